"""`bellwire loadtest` as a user starts it, with levels of a second."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bellwire.admin.v1.topic_pb2 import LOG_KIND_SQLITE, Topic
from bellwire.client import connect

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

QUICK = ("--set", "loadtest.warm_up_seconds=0.2", "--set", "loadtest.quiet_seconds=0.5")
# A busy machine is late and slow: what these tests ask for is only what was sent.
NOTICE = "stopping; again to stop at once"
LENIENT = ("--limits", "tps=1%")


def events(out: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in out.splitlines():
        event = json.loads(line)
        found.setdefault(event["event"], []).append(event)
    return found


def descendants_of(parent: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, waiting = [], [parent]
    while waiting:
        waiting += (born := children.get(waiting.pop(), []))
        found += born
    return found


async def error_line(command) -> str:
    async with asyncio.timeout(30):
        line: bytes = await command.process.stderr.readline()
        return line.decode().rstrip("\n")


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


async def topics_of(address: str) -> list[str]:
    async with connect(address) as client:
        return [topic.name for topic in await client.admin.list_topics()]


async def test_levels_that_are_met_end_with_0_on_a_coordinator_of_its_own(bellwire):
    arguments = ("--tps", "200,400", "--seconds", "1", "-P", "2", "-S", "2", *QUICK, *LENIENT)
    status, out, err = await bellwire.run("loadtest", *arguments)
    assert (status, err) == (0, "")
    lines = [line.strip() for line in out.splitlines() if line.strip()]
    assert lines[0].startswith("2 publishers, 2 subscribers, 200 bytes a message")
    assert [row.split("|")[1].strip() for row in lines[3:5]] == ["200", "400"]
    assert lines[-1] == "2 of 2 levels met"


async def test_a_level_for_machines_has_units_in_its_names_and_accounts_for_each_message(bellwire):
    async with bellwire.serving() as (_, address):
        status, out, err = await bellwire.run(
            *("loadtest", "--server", address, "--tps", "500", "--seconds", "1", "-S", "2"),
            *("-P", "3", "--partitions", "2", "--size", "1KiB", "--json", *QUICK, *LENIENT),
        )
        assert await topics_of(address) == []
    assert (status, err) == (0, "")
    found = events(out)
    (start,), (level,), (end,) = found["start"], found["level"], found["end"]
    assert (start["server"], start["payload_bytes"], start["tps"]) == (address, 1_024, [500])
    assert start["limits"] == {"tps": "1%", "loss": "0", "rss": "300MB"}
    assert (level["met"], level["missed"], level["bottleneck"]) == (True, [], "none")
    assert level["messages_scheduled"] == level["messages_sent"] == 600
    assert level["messages_received"] == 1_200
    assert level["latency_messages"] == 1_000
    for name in ("lost", "duplicate", "out_of_order", "failed", "unsent", "dropped"):
        assert level[f"messages_{name}"] == 0
    percentiles = [level[f"latency_us_{name}"] for name in ("p50", "p95", "p99", "p99_9", "max")]
    assert percentiles == sorted(percentiles)
    assert percentiles[0] > 0
    assert level["coordinator_rss_bytes_max"] > 10_000_000
    assert level["coordinator_cpu_seconds"] > 0
    assert (level["publisher_processes"], level["subscriber_processes"]) == (3, 2)
    assert (end["met"], end["levels_met"], end["tps_met_max"]) == (True, 1, 500)


async def test_a_limit_nobody_can_keep_ends_with_1_and_is_named(bellwire):
    async with bellwire.serving() as (_, address):
        status, out, err = await bellwire.run(
            *("loadtest", "--server", address, "--tps", "200", "--seconds", "1", *QUICK),
            *("--limits", "p99=1us,tps=1%"),
        )
    assert (status, err) == (1, "")
    assert "MISSED" in out
    assert "200 TPS: missed p99 " in out
    assert "at most 1us allowed" in out
    assert "200 TPS: bottleneck " in out
    assert out.rstrip().endswith("missed")


@pytest.mark.slow
async def test_what_is_persisted_is_read_through_durable_cursors_that_are_gone_afterwards(bellwire):
    async with bellwire.serving("--data", str(bellwire.folder / "data")) as (_, address):
        async with connect(address) as client:
            await client.admin.create_topic(Topic(name="kept", log=LOG_KIND_SQLITE))
        status, out, _ = await bellwire.run(
            *("loadtest", "--server", address, "--ack", "persisted", "--topic", "kept"),
            *("--tps", "200", "--seconds", "1", "--json", *QUICK, *LENIENT),
        )
        async with connect(address) as client:
            stats = await client.admin.topic_stats("kept")
    assert status == 0
    (level,) = events(out)["level"]
    assert (level["messages_received"], level["messages_lost"]) == (240, 0)
    assert level["commit_us_p50"] > 0
    assert level["commit_time_share"] > 0
    assert stats.published_messages == 240
    assert list(stats.subscriptions) == []


@pytest.mark.slow
async def test_a_topic_that_was_there_is_used_by_name_and_stays(bellwire):
    async with bellwire.serving() as (_, address):
        async with connect(address) as client:
            for topic in ("mine", "other"):
                await client.publisher().publish(topic, b"kept")
        status, out, _ = await bellwire.run(
            *("loadtest", "--server", address, "--topic", "mine", "--tps", "100"),
            *("--seconds", "1", "--json", *QUICK, *LENIENT),
        )
        assert await topics_of(address) == ["mine", "other"]
        async with connect(address) as client:
            published = [
                (await client.admin.topic_stats(topic)).published_messages
                for topic in ("mine", "other")
            ]
    assert status == 0
    assert events(out)["level"][0]["messages_received"] == 120
    assert published == [121, 1]


@pytest.mark.slow
async def test_a_recording_is_played_faster_than_it_was(bellwire):
    lines = "".join(f"tick {number}\n" for number in range(50))
    (bellwire.folder / "lines.txt").write_text(lines)
    async with bellwire.serving() as (_, address):
        with (bellwire.folder / "lines.txt").open() as source:
            async with bellwire.started(
                "pub", "ticks", "-", "--key", "EURUSD", "-a", address, stdin=source
            ) as publishing:
                assert (await publishing.end())[0] == 0
        _, recorded, _ = await bellwire.run(
            *("replay", "ticks", "-a", address, "--json", "--count", "50")
        )
        path = bellwire.folder / "ticks.jsonl"
        path.write_text(stretched(recorded, seconds=2.0))
        status, out, err = await bellwire.run(
            *("loadtest", "--server", address, "--replay", str(path), "--rate", "4x", "--json"),
            *(*QUICK, *LENIENT),
        )
    assert (status, err) == (0, "")
    (start,), (level,) = events(out)["start"], events(out)["level"]
    assert (start["rate"], start["level_seconds"], start["payload_bytes"]) == (4.0, 0.5, None)
    assert level["offered_tps"] == 100
    assert (level["messages_received"], level["messages_lost"]) == (50, 0)
    assert level["latency_messages"] == 50


def stretched(recorded: str, seconds: float) -> str:
    """Return the recording as if its messages had come evenly over that time."""
    records = [json.loads(line) for line in recorded.splitlines()]
    for index, record in enumerate(records):
        record["time_unix_nano"] = 10**18 + round(index * seconds * 1e9 / (len(records) - 1))
    return "".join(json.dumps(record) + "\n" for record in records)


async def soaked(
    bellwire, *arguments: str, leak_bytes: int = 0, retention_messages: int = 20
) -> tuple[int, dict[str, Any], int]:
    """Soak a small topic for 2 s while something else takes memory of the coordinator.

    Returns:
        The exit code, the level, and the number of intervals.
    """
    async with bellwire.serving() as (_, address), connect(address) as client:
        await client.admin.create_topic(Topic(name="small", retention_messages=retention_messages))
        await client.admin.create_topic(Topic(name="leak", retention_bytes=1 << 30))
        async with bellwire.started(
            *("loadtest", "--server", address, "--topic", "small", "--soak", "2s", "--json"),
            *("--tps", "200", *QUICK, *LENIENT, "--set", "loadtest.interval_seconds=0.1"),
            *("--set", "loadtest.soak_interval_seconds=0.1"),
            *("--set", "loadtest.soak_samples_min=5", *arguments),
        ) as running:
            intervals = 0
            while (event := await running.event())["event"] != "level":
                if event["event"] == "interval":
                    intervals += 1
                    assert event["coordinator_rss_bytes"] > 0
                    if leak_bytes:
                        await client.publisher().publish("leak", os.urandom(leak_bytes))
            status, _, err = await running.end()
    assert err == ""
    return status, event, intervals


@pytest.mark.slow
async def test_a_soak_prints_intervals_and_lets_growth_below_its_limit_pass(bellwire):
    status, level, intervals = await soaked(
        bellwire, "--set", "loadtest.rss_slope_mb_per_hour_max=1000000"
    )
    assert (status, level["rss_grows"], level["met"]) == (0, False, True)
    assert intervals >= 3
    assert level["rss_samples"] >= 5
    assert level["rss_slope_mb_per_hour"] is not None


@pytest.mark.slow
async def test_a_soak_under_which_memory_grows_ends_with_1(bellwire):
    status, level, _ = await soaked(
        bellwire, "--set", "loadtest.rss_slope_standard_errors=1", leak_bytes=500_000
    )
    assert (status, level["rss_grows"], level["met"], level["missed"]) == (1, True, False, [])
    # About ten times half a megabyte a second; the machine may be slow.
    assert level["rss_slope_mb_per_hour"] > 1_000


@pytest.mark.slow
async def test_a_soak_of_a_topic_that_is_still_filling_passes_no_verdict(bellwire):
    status, level, _ = await soaked(bellwire, retention_messages=100_000)
    assert (status, level["rss_grows"], level["retention_filled"]) == (0, None, False)


async def stalled_subscriber(bellwire, overflow: str) -> tuple[int, dict[str, Any]]:
    """Run a level whose subscriber stands still until everything is sent; give code and level."""
    async with bellwire.serving() as (_, address), connect(address) as client:
        await client.admin.create_topic(Topic(name="small", retention_messages=100))
        async with (
            client.subscribe("small") as everything,
            bellwire.started(
                *("loadtest", "--server", address, "--topic", "small", "--soak", "2s", "--json"),
                *("--tps", "500", "--overflow", overflow, *QUICK, "--limits", "tps=1%"),
                *("--set", "loadtest.soak_interval_seconds=0.1"),
                *("--set", "loadtest.interval_seconds=0.1"),
                *("--set", "client.subscribe.window_messages=50"),
            ) as running,
        ):
            while (await running.event())["event"] != "interval":
                pass
            subscriber = min(descendants_of(running.process.pid))
            os.kill(subscriber, signal.SIGSTOP)
            async with asyncio.timeout(20):
                left = 1_100  # All that will be sent.
                async for batch in everything.batches():
                    if (left := left - len(batch)) <= 0:
                        break
            os.kill(subscriber, signal.SIGCONT)
            status, out, _ = await running.end()
    (level,) = events(out)["level"]
    return status, level


@pytest.mark.slow
async def test_what_is_dropped_for_a_slow_subscriber_is_lost(bellwire):
    status, level = await stalled_subscriber(bellwire, "drop-oldest")
    assert status == 1
    assert level["messages_lost"] > 100
    assert level["messages_dropped"] == level["messages_lost"]
    assert level["messages_received"] + level["messages_lost"] == level["messages_sent"] == 1_100
    assert level["missed"][0].startswith("loss ")
    assert level["subscription_error"] == ""


@pytest.mark.slow
async def test_a_subscriber_that_is_disconnected_is_named_with_the_reason(bellwire):
    status, level = await stalled_subscriber(bellwire, "disconnect")
    assert status == 1
    assert level["messages_lost"] > 100
    assert level["bottleneck"] == "subscriber"
    assert level["bottleneck_reason"].startswith("its subscription ended: ")
    assert level["subscription_error"]


@pytest.mark.slow
async def test_a_publisher_that_dies_is_the_error_and_nothing_is_left_behind(bellwire):
    async with bellwire.serving() as (_, address):
        async with bellwire.started(
            *("loadtest", "--server", address, "--soak", "60s", "--tps", "100", "--json", *QUICK),
            *("--set", "loadtest.interval_seconds=0.1"),
            *("--set", "loadtest.soak_interval_seconds=0.1"),
        ) as running:
            while (await running.event())["event"] != "interval":
                pass
            workers = descendants_of(running.process.pid)
            os.kill(max(workers), signal.SIGKILL)
            status, out, err = await running.end(seconds=15)
        assert alive(workers) == []
        assert await topics_of(address) == []
    assert (status, events(out)["end"][0]["error"]) == (1, "publisher 0: ended unasked")
    assert err == "error: publisher 0: ended unasked\n(its log is empty)\n"


@pytest.mark.slow
async def test_more_than_any_machine_can_is_missed_with_a_bottleneck_and_ends(bellwire):
    status, out, _ = await bellwire.run(
        *("loadtest", "--tps", "5000000", "--seconds", "1", "--json", *QUICK)
    )
    (level,) = events(out)["level"]
    assert status == 1
    assert 0 < level["achieved_tps"] < 5_000_000
    assert level["messages_unsent"] > 0
    assert (level["messages_lost"], level["messages_out_of_order"]) == (0, 0)
    assert level["bottleneck"] not in ("none", "unclear")
    assert level["bottleneck_reason"]


async def test_ctrl_c_ends_it_with_what_was_measured_and_leaves_nothing_behind(bellwire):
    async with bellwire.serving() as (_, address):
        async with bellwire.started(
            *("loadtest", "--server", address, "--soak", "60s", "--tps", "200", "--json"),
            *("-P", "2", "--set", "loadtest.interval_seconds=0.1", *QUICK, *LENIENT),
            *("--set", "loadtest.soak_interval_seconds=0.1"),
        ) as running:
            while (await running.event())["event"] != "interval":
                pass
            await running.event()
            workers = descendants_of(running.process.pid)
            assert len(workers) == 3
            running.signal(signal.SIGINT)
            status, out, err = await running.end(seconds=15)
        assert alive(workers) == []
        assert await topics_of(address) == []
    assert (status, err) == (130, f"{NOTICE}\n")
    (level,), (end,) = events(out)["level"], events(out)["end"]
    assert (level["interrupted"], end["interrupted"]) == (True, True)
    assert 0 < level["messages_received"] == level["messages_sent"]
    assert level["messages_unsent"] > 0


@pytest.mark.slow
async def test_a_second_ctrl_c_does_not_wait_for_a_worker_that_hangs(bellwire):
    async with bellwire.started(
        *("loadtest", "--soak", "60s", "--tps", "200", "--json", *QUICK, *LENIENT),
        *("--set", "loadtest.interval_seconds=0.1", "--set", "loadtest.soak_interval_seconds=0.1"),
    ) as running:
        while (await running.event())["event"] != "interval":
            pass
        workers = descendants_of(running.process.pid)
        assert len(workers) == 3  # The coordinator is one of them.
        os.kill(max(workers), signal.SIGSTOP)  # The publisher, which was started last.
        running.signal(signal.SIGINT)
        # Two signals at once are one: the second goes when the first was taken.
        assert await error_line(running) == NOTICE
        running.signal(signal.SIGINT)
        status, _, err = await running.end(seconds=25)
    assert alive(workers) == []
    assert (status, err) == (130, "")


async def test_without_a_coordinator_at_the_address_it_says_so(bellwire):
    status, out, err = await bellwire.run(
        *("loadtest", "--server", "127.0.0.1:1", "--tps", "10"),
        *("--set", "client.transport.connect_timeout_seconds=0.3"),
    )
    assert (status, out) == (1, "")
    assert err.startswith("error: no coordinator at 127.0.0.1:1 within 0.3 s")
    assert err.count("\n") == 1


@pytest.mark.slow
async def test_a_coordinator_that_dies_under_the_load_is_the_error_and_earlier_levels_stay(
    bellwire,
):
    async with (
        bellwire.serving() as (server, address),
        bellwire.started(
            *("loadtest", "--server", address, "--tps", "200,201", "--seconds", "1", "--json"),
            *(*QUICK, *LENIENT, "--set", "client.timeout_seconds=0.5"),
            *("--set", "loadtest.interval_seconds=0.1"),
        ) as running,
    ):
        while (await running.event())["event"] != "level":
            pass
        workers = descendants_of(running.process.pid)
        server.signal(signal.SIGKILL)
        status, out, err = await running.end(seconds=20)
    assert status == 1
    left_over, error = err.splitlines()
    assert left_over.startswith("topic loadtest.")
    assert error.startswith("error: the coordinator was lost at 201 TPS: ")
    assert alive(workers) == []
    assert events(out)["end"][0]["levels"] == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--tps", "many"), "error: --tps is 'many'; expected messages per second"),
        (("--tps", "1", "--limits", "speed=1"), "error: --limits has 'speed=1'; expected NAME"),
        (("--tps", "1", "--publishers", "0"), "Invalid value for '--publishers'"),
        (("--rate", "2x"), "error: --rate is for a recording"),
        (("--replay", "absent.jsonl"), "error: --replay absent.jsonl cannot be read: No such file"),
        (("--set", "loadtest.warm_up=1"), "unknown key loadtest.warm_up"),
    ],
)
async def test_bad_usage_is_2_and_one_line(bellwire, arguments, text):
    status, out, err = await bellwire.run("loadtest", *arguments)
    assert (status, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1


async def test_a_coordinator_of_its_own_that_cannot_start_shows_its_log(bellwire):
    (bellwire.folder / "file").write_text("x")
    status, out, err = await bellwire.run(
        *("loadtest", "--tps", "1", "--data", str(bellwire.folder / "file"))
    )
    assert (status, out) == (1, "")
    assert err.startswith("error: the coordinator could not start: ")
