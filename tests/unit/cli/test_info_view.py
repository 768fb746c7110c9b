"""bellwire.cli.info_view and recovery: a coordinator and its store."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from bellwire.admin.v1.server_pb2 import (
    CLUSTER_ROLE_STANDBY,
    ClusterInfo,
    GetServerInfoResponse,
    RecoveryReport,
    StoreInfo,
    TopicGroup,
)
from bellwire.cli.info_view import info_json, info_table
from bellwire.cli.recovery import recovery_json, recovery_text

START = 1_500_033_600_000_000_000  # 2017-07-14 12:00 UTC
NOW = START + 3_725_000_000_000

REPORT = RecoveryReport(
    duration_millis=35,
    topics=1,
    partitions=4,
    messages=12_000,
    stored_bytes=3 << 20,
    subscriptions=2,
    dead_letters=1,
    after_crash=True,
)


def info(**store):
    found = GetServerInfoResponse(
        version="1.2.3",
        pid=77,
        start_time_unix_nano=START,
        addresses=["127.0.0.1:7400"],
        workers=16,
    )
    if store:
        found.store.CopyFrom(StoreInfo(path="/data", recovery=REPORT, **store))
    return found


def rendered(found, *, colour=False):
    out = io.StringIO()
    Console(file=out, width=160, force_terminal=colour, color_system="standard").print(
        info_table(found, NOW)
    )
    return out.getvalue()


def test_a_store_shows_its_commits_and_what_it_recovered():
    text = rendered(
        info(commits=12_345, commit_p50_micros=1_200, commit_p99_micros=5_600, disk_bytes=1 << 30)
    )
    assert "pid 77, up 1 h 2 min (2017-07-14 12:00:00)" in text
    assert "/data, 1.00 GiB on disk" in text
    assert "writable" in text
    assert "12,345, p50 1.20 ms, p99 5.60 ms of the latest" in text
    assert "recovered 1 topic, 12,000 messages, 2 subscriptions, 1 dead letter" in text


def test_a_read_only_store_says_so_in_red_with_its_reason():
    text = rendered(info(read_only=True, read_only_reason="[fsync] failed\x1b"), colour=True)
    assert "\x1b[31m[fsync] failed\\x1b" in text
    assert "writable" not in text


def test_a_store_whose_kafka_is_away_says_since_when_instead_of_writable():
    away = info(
        unanswered_since_unix_nano=NOW - 75_000_000_000,
        unanswered_reason="Kafka at [k]:9092 does not answer\x1b",
    )
    away.store.path = "kafka://[k]:9092/_bellwire_state"
    text = rendered(away, colour=True)
    assert "writable" not in text
    assert "on disk" not in text
    assert "\x1b[31mfor 1 min 15 s (since 2017-07-14 13:00:50): " in text
    assert "Kafka at [k]:9092 does not answer\\x1b; nothing durable is acknowledged" in text
    found: Any = info_json(away)["store"]
    assert found["unanswered_since_unix_nano"] == NOW - 75_000_000_000
    assert info_json(info(commits=1))["store"]["unanswered_since_unix_nano"] is None  # type: ignore[index]


def test_without_a_store_it_says_how_to_get_one():
    assert "none: everything is kept in memory (`bellwire serve --data DIR`)" in rendered(info())
    assert info_json(info())["store"] is None


def test_the_json_has_plain_numbers():
    found: Any = info_json(info(commits=5, disk_bytes=1 << 40))
    assert (found["pid"], found["workers"]) == (77, 16)
    assert found["store"]["disk_bytes"] == 1 << 40
    assert found["store"]["recovery"] == recovery_json(REPORT)


def test_a_recovery_is_one_sentence():
    assert recovery_text(REPORT) == (
        "recovered 1 topic, 12,000 messages, 2 subscriptions, 1 dead letter (3.00 MiB) "
        "in 35.0 ms; after a crash"
    )
    closed = RecoveryReport(duration_millis=2, topics=1)
    assert recovery_text(closed).endswith("(0 B) in 2.00 ms; closed properly the last time")


def test_a_new_folder_has_nothing_to_recover():
    assert (
        recovery_text(RecoveryReport(duration_millis=2)) == "nothing stored yet; opened in 2.00 ms"
    )
    assert "after a crash" in recovery_text(RecoveryReport(after_crash=True))


def standby(**cluster):
    found = info()
    found.cluster.CopyFrom(
        ClusterInfo(
            group="desk",
            role=CLUSTER_ROLE_STANDBY,
            role_since_unix_nano=NOW - 60_000_000_000,
            **cluster,
        )
    )
    return found


def test_a_standby_shows_its_group_and_who_is_active():
    text = rendered(standby(owner="host1:7400"))
    assert "desk: " in text
    assert "standby" in text
    assert "for 1 min" in text
    assert "host1:7400" in text
    assert "store" not in text
    cluster: Any = info_json(standby(owner="host1:7400"))["cluster"]
    assert (cluster["role"], cluster["owner"]) == ("standby", "host1:7400")


def test_a_group_without_an_owner_and_without_redis_says_so():
    text = rendered(standby(lease_service_away=True))
    assert "nobody known" in text
    assert "Redis is away" in text


def test_a_directory_of_agents_in_trouble_is_named_with_its_faults():
    assert "agent directory" not in rendered(standby())
    found = standby(agent_directory_away=True, agent_directory_faults=2)
    assert "Redis is away, 2 faults of its own, see the log" in rendered(found)
    cluster: Any = info_json(found)["cluster"]
    assert (cluster["agent_directory_away"], cluster["agent_directory_faults"]) == (True, 2)


def test_groups_that_share_out_topics_are_listed_with_what_they_have():
    orders = TopicGroup(
        group="orders", topics=["orders.>", "fills.>"], owner="host2:7400", owner_since_unix_nano=5
    )
    found = standby(groups=[orders, TopicGroup(group="desk")])
    lines = [line.strip() for line in rendered(found).splitlines()]
    assert "topics     orders.>, fills.>: orders at host2:7400" in lines
    assert "all others: desk, nobody active" in lines
    cluster: Any = info_json(found)["cluster"]
    assert cluster["groups"] == [
        {
            "group": "orders",
            "topics": ["orders.>", "fills.>"],
            "owner": "host2:7400",
            "owner_since_unix_nano": 5,
        },
        {"group": "desk", "topics": [], "owner": None, "owner_since_unix_nano": 0},
    ]


def test_one_group_that_has_everything_needs_no_list():
    assert "topics" not in rendered(standby(groups=[TopicGroup(group="desk")]))
