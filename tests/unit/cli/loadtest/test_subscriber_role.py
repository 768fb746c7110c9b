"""bellwire.cli.loadtest.subscriber_role.Sink: whose message it is, and how late it came."""

from __future__ import annotations

from bellwire.cli.loadtest.stamp import STAMP, STAMP_BYTES
from bellwire.cli.loadtest.subscriber_role import Sink

RUN, LEVEL = 0xFFFFFFFF, 3
LANE = ("t", 0)


def payload(sequence: int, intended_ns: int = 0, *, run=RUN, level=LEVEL, publisher=0) -> bytes:
    return STAMP.pack(run, level, publisher, sequence, intended_ns) + b"body"


def sink(publishers: int = 1, measure_from_ns: int = 0) -> Sink:
    return Sink(RUN, LEVEL, publishers, measure_from_ns)


def test_latency_counts_from_the_intended_time():
    found = sink()
    found.take([payload(0, 100), payload(1, 150)], LANE, 200)
    assert (found.received, found.last_ns, found.total().max_ns) == (2, 200, 100)


def test_messages_of_others_are_nobodys_business():
    found = sink()
    foreign = [b"", b"x" * STAMP_BYTES, payload(0, run=1), payload(0, level=2)]
    assert found.take(foreign, LANE, 200) == 0
    assert (found.received, found.last_ns, found.total().count) == (0, 0, 0)


def test_the_warm_up_is_accounted_for_and_not_timed():
    found = sink(measure_from_ns=100)
    found.take([payload(0, 50), payload(1, 100)], LANE, 200)
    assert (found.received, found.total().count, found.measured) == (2, 1, 2)


def test_what_arrived_after_the_warm_up_counts_for_the_rate_whenever_it_was_due():
    found = sink(measure_from_ns=100)
    found.take([payload(0, 50)], LANE, 90)
    found.take([payload(1, 60)], LANE, 99)
    found.take([payload(2, 70), payload(3, 120)], LANE, 130)
    assert (found.received, found.measured, found.total().count) == (4, 2, 1)


def test_publishers_count_for_themselves():
    found = sink(publishers=2)
    found.take([payload(0), payload(0, publisher=1), payload(0, publisher=1)], LANE, 1)
    assert [account.received for account in found.arrivals] == [1, 1]
    assert [account.duplicates for account in found.arrivals] == [0, 1]


def test_an_interval_holds_what_came_since_the_last_one_and_the_total_everything():
    found = sink()
    found.take([payload(0)], LANE, 10)
    assert found.take_interval().count == 1
    found.take([payload(1), payload(2)], LANE, 20)
    assert found.take_interval().count == 2
    assert found.take_interval().count == 0
    assert found.total().count == 3
