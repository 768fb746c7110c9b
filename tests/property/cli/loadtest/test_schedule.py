"""Schedules: all publishers together send the whole stream, each message once and in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.cli.loadtest.schedule import EvenSchedule, RecordedSchedule, Schedule

rates = st.integers(1, 1_000_000)
totals = st.integers(1, 200)
START_NS = 1 << 40


def due_exactly_when_intended(schedule: Schedule) -> None:
    for index in range(schedule.count):
        intended_ns = schedule.intended_ns(index)
        assert schedule.due_count(intended_ns) > index
        assert schedule.due_count(intended_ns - 1) <= index


@given(rates, totals, st.integers(1, 8))
def test_publishers_share_one_even_stream(rate, total, publishers):
    alone = EvenSchedule(START_NS, rate, total)
    shares = [EvenSchedule(START_NS, rate, total, first, publishers) for first in range(publishers)]
    together = sorted(share.intended_ns(index) for share in shares for index in range(share.count))
    assert together == [alone.intended_ns(index) for index in range(total)]
    for share in shares:
        due_exactly_when_intended(share)


@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=60).map(sorted),
    st.floats(0.01, 1_000),
)
def test_a_recording_is_due_when_it_is_intended_at_any_rate(offsets_ns, rate):
    schedule = RecordedSchedule(START_NS, offsets_ns, rate)
    due_exactly_when_intended(schedule)
    intended = [schedule.intended_ns(index) for index in range(schedule.count)]
    assert intended == sorted(intended)
