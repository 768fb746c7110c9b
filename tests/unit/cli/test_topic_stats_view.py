"""bellwire.cli.topic_view and topic_stats_view: topics, what went through them, what was dropped."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from bellwire.admin.v1.topic_pb2 import (
    LOG_KIND_SQLITE,
    PRIORITY_CLASS_KILL_SWITCH,
    GetTopicStatsResponse,
    PartitionStats,
    SubscriptionStats,
    Topic,
)
from bellwire.cli.topic_stats_view import stats_json, stats_tables
from bellwire.cli.topic_view import counters_json, topic_json, topics_table

STATS = GetTopicStatsResponse(
    name="orders",
    published_messages=1_500,
    dropped_messages={"expired": 3, "skipped_by_seek": 2},
    dead_letters=4,
    partitions=[PartitionStats(low_offset=10, next_offset=1_500, high_watermark=1_490)],
    subscriptions=[
        SubscriptionStats(
            subscription="risk",
            members=2,
            backlog_messages=7,
            redelivery_messages=5,
            dropped_messages=5,
            dropped_by_reason={"skipped_by_seek": 2, "expired": 3},
            dead_lettered_messages=4,
        ),
        SubscriptionStats(),
    ],
)


def rendered(*tables):
    out = io.StringIO()
    for table in tables:
        Console(file=out, width=120).print(table)
    return out.getvalue()


def test_stats_show_drops_by_reason_redeliveries_and_dead_letters():
    text = rendered(*stats_tables(STATS))
    assert "dropped: skipped by seek" in text
    assert "dead letters" in text
    (row,) = (line for line in text.splitlines() if line.startswith("risk"))
    assert row.split() == [
        *["risk", "2", "7", "0", "5", "4", "3"],
        "expired,",
        *["2", "skipped", "by", "seek"],
    ]
    (row,) = (line for line in text.splitlines() if line.startswith("(ephemeral)"))
    assert row.split()[-1] == "0"


def test_stats_show_the_watermark_below_what_is_being_committed():
    text = rendered(*stats_tables(STATS))
    lines = text.splitlines()
    heading = next(line for line in lines if "high watermark" in line)
    row = lines[lines.index(heading) + 1]
    assert row.split() == ["0", "10", "1,490", "1,500", "0", "B"]


def test_the_json_has_every_count():
    found: Any = stats_json(STATS)
    assert found["dead_letters"] == 4
    assert found["partitions"][0]["high_watermark"] == 1_490
    assert found["subscriptions"][0] == {
        "subscription": "risk",
        "members": 2,
        "backlog_messages": 7,
        "in_flight_messages": 0,
        "redelivery_messages": 5,
        "dropped_messages": 5,
        "dropped_by_reason": {"expired": 3, "skipped_by_seek": 2},
        "dead_lettered_messages": 4,
    }


def test_the_list_names_the_log_and_shows_dead_letters_once_there_are_any():
    topic = Topic(name="orders", partition_count=1, log=LOG_KIND_SQLITE)
    assert rendered(topics_table([(topic, STATS)])).splitlines()[1].split()[:2] == [
        *("orders", "sqlite")
    ]
    assert "dead" in rendered(topics_table([(topic, STATS)]))
    assert "dead" not in rendered(topics_table([(topic, GetTopicStatsResponse())]))


def test_what_is_kept_is_shown_beside_what_came_since_the_start():
    stats = GetTopicStatsResponse(published_messages=2)
    stats.partitions.add(low_offset=10, high_watermark=25, next_offset=30)
    stats.partitions.add(low_offset=0, high_watermark=1_000, next_offset=1_000)
    topic = Topic(name="orders", partition_count=2, log=LOG_KIND_SQLITE)
    heads, row = (
        line.split() for line in rendered(topics_table([(topic, stats)])).splitlines()[:2]
    )
    assert heads[2:5] == ["parts", "kept", "published"]
    assert row[2:5] == ["2", "1,015", "2"]
    assert counters_json(stats)["kept_messages"] == 1_015


def test_the_settings_of_a_topic_name_log_time_and_priority():
    found = topic_json(
        Topic(
            name="t",
            log=LOG_KIND_SQLITE,
            retention_seconds=60,
            priority_class=PRIORITY_CLASS_KILL_SWITCH,
        )
    )
    assert (found["log"], found["retention_seconds"]) == ("sqlite", 60)
    assert found["priority_class"] == "kill-switch"
