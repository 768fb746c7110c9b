"""bellwire.cli.loadtest.accounting: the answers of all processes as one level."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bellwire.cli.loadtest.accounting import Outcome, commit_share, evidence_of, result_of
from bellwire.cli.loadtest.histogram import LatencyHistogram
from bellwire.cli.loadtest.plan import Level
from bellwire.cli.loadtest.protocol import Published, Received
from bellwire.cli.loadtest.usage import CoordinatorSample

SECOND = 1_000_000_000
LEVEL = Level(0, tps=100, seconds=2.0, total=300, warm_up_seconds=1.0)
SAMPLE = CoordinatorSample(
    time_ns=0,
    cpu_seconds=5.0,
    rss_bytes=70,
    commits=10,
    commit_us_p50=1_000,
    commit_us_p99=9_000,
    uncommitted_messages=0,
    dropped_messages=4,
    low_offset_min=0,
)


def published(**changes: object) -> Published:
    base: Published = {
        "scheduled": 300,
        "sent": 300,
        "acknowledged": 300,
        "failed": [],
        "error": "",
        "lateness": LatencyHistogram.of([1] * 300).to_json(),
    }
    return {**base, **changes}  # type: ignore[typeddict-item]


def received(measured: int = 200, **changes: object) -> Received:
    base: Received = {
        "received": 300,
        "measured": measured,
        "missing": [[]],
        "given_up": 0,
        "duplicates": 0,
        "out_of_order": 0,
        "dropped": 0,
        "last_ns": round(2.9 * SECOND),
        "error": "",
        "latency": LatencyHistogram.of([10] * measured).to_json(),
    }
    return {**base, **changes}  # type: ignore[typeddict-item]


def outcome(**changes):
    base = Outcome(
        level=LEVEL,
        start_ns=0,
        published=[published()],
        received=[received()],
        samples=[SAMPLE, replace(SAMPLE, time_ns=4 * SECOND, cpu_seconds=7.0, rss_bytes=60)],
        cpu_seconds=[1.0, 3.0],
        machine_share=0.8,
        cores=4,
        interrupted=False,
    )
    return replace(base, **changes)


def test_a_level_without_trouble():
    result = result_of(outcome())
    assert (result.offered_tps, result.achieved_tps, result.seconds) == (100, 100, 2.0)
    assert (result.scheduled, result.sent, result.received, result.lost) == (300, 300, 300, 0)
    assert (result.coordinator.cpu_seconds, result.coordinator.core_share_max) == (2.0, 0.5)
    assert (result.publishers.core_share_max, result.subscribers.core_share_max) == (0.25, 0.75)
    assert (result.coordinator_rss_bytes_max, result.dropped) == (70, 0)
    # 4 + 2 of the 16 CPU seconds of four cores were ours.
    assert result.others_share == pytest.approx(0.8 - 6 / 16)


def test_a_backlog_that_drains_late_lowers_the_rate_achieved():
    result = result_of(outcome(received=[received(last_ns=5 * SECOND)]))
    assert (result.seconds, result.achieved_tps) == (4.0, 50)


def test_an_interrupted_level_was_as_long_as_it_was():
    late = received(measured=50, last_ns=round(1.5 * SECOND))
    result = result_of(outcome(published=[published(sent=150)], received=[late], interrupted=True))
    assert (result.seconds, result.achieved_tps, result.interrupted) == (0.5, 100, True)


def test_a_level_that_was_sent_whole_was_not_interrupted():
    assert not result_of(outcome(interrupted=True)).interrupted


def test_the_slowest_subscriber_counts():
    result = result_of(outcome(received=[received(), received(measured=20)], cpu_seconds=[1, 3, 3]))
    assert result.achieved_tps == 10
    assert result.subscribers.processes == 2


def test_only_what_was_acknowledged_can_be_lost():
    failing = published(failed=[[10, 20]], acknowledged=290, error="full")
    result = result_of(
        outcome(published=[failing], received=[received(missing=[[[12, 25]]], given_up=2)])
    )
    assert (result.failed, result.error) == (10, "full")
    # 13 are missing, of which 8 nobody was promised; 2 more belong to gaps that were given up.
    assert result.lost == 7


def test_the_backlog_of_the_warm_up_does_not_make_a_rate_higher_than_was_offered():
    assert result_of(outcome(received=[received(measured=220)])).achieved_tps == 100


def test_losses_of_all_subscribers_and_publishers_are_added_up():
    result = result_of(
        outcome(
            published=[published(), published()],
            received=[received(missing=[[(0, 1)], [(5, 7)]]), received(missing=[[], [(5, 6)]])],
            cpu_seconds=[1, 1, 1, 1],
        )
    )
    assert result.lost == 4


def test_nothing_arrived():
    result = result_of(outcome(received=[received(measured=0, received=0, last_ns=0)]))
    assert (result.achieved_tps, result.latency_us("p99")) == (0, None)


def test_a_subscription_that_ended_says_why():
    ended = received(error="too slow")
    assert (
        result_of(outcome(received=[received(), ended], cpu_seconds=[1, 3, 3])).ended == "too slow"
    )


def test_drops_are_those_of_this_level():
    samples = [SAMPLE, replace(SAMPLE, time_ns=SECOND, dropped_messages=9)]
    result = result_of(outcome(samples=samples))
    assert result.dropped == 5
    assert evidence_of(result, is_met=False, cores=2).dropped_messages == 5


def test_the_disk_is_busy_while_commits_are_under_way():
    later = replace(SAMPLE, time_ns=SECOND, commits=810)
    assert commit_share(SAMPLE, later) == pytest.approx(0.8)
    assert commit_share(SAMPLE, SAMPLE) == 0
