"""bellwire.cli.loadtest.schedule: who is due, and when."""

from __future__ import annotations

import pytest

from bellwire.cli.loadtest.schedule import EvenSchedule, RecordedSchedule

NANOSECONDS_PER_SECOND = 1_000_000_000
START_NS = 5 * NANOSECONDS_PER_SECOND


@pytest.mark.parametrize("rate", [1, 3, 7, 999, 1_000, 10_000, 333_333])
def test_a_message_is_due_exactly_from_its_intended_time_on(rate):
    schedule = EvenSchedule(START_NS, rate, 1_000)
    for index in (0, 1, 2, 17, 998, 999):
        assert schedule.due_count(schedule.intended_ns(index)) == index + 1
        assert schedule.due_count(schedule.intended_ns(index) - 1) == index


def test_nothing_is_due_before_the_start_and_never_more_than_the_count():
    schedule = EvenSchedule(START_NS, 1_000, 10)
    assert schedule.due_count(0) == 0
    assert schedule.due_count(START_NS + NANOSECONDS_PER_SECOND) == 10


@pytest.mark.parametrize(("rate", "count"), [(0, 1), (-1, 1), (1, 0)])
def test_a_schedule_without_messages_is_refused_with_what_was_found(rate, count):
    with pytest.raises(ValueError, match=f"got {rate}/s and {count} messages"):
        EvenSchedule(START_NS, rate, count)


def test_a_publisher_that_is_none_of_the_publishers_is_refused():
    with pytest.raises(ValueError, match="publisher 2 is none of 2"):
        EvenSchedule(START_NS, 1_000, 10, first=2, every=2)


def test_the_second_of_three_publishers_sends_every_third_message_from_the_second_on():
    schedule = EvenSchedule(START_NS, 1_000, 8, first=1, every=3)
    due_ms = [(schedule.intended_ns(index) - START_NS) // 1_000_000 for index in range(3)]
    assert (schedule.count, due_ms) == (3, [1, 4, 7])


def test_a_publisher_without_a_message_has_none():
    assert EvenSchedule(START_NS, 1_000, 2, first=2, every=3).count == 0


def test_a_recording_at_twice_its_pace_takes_half_as_long():
    schedule = RecordedSchedule(START_NS, [0, 10, 10, 1_000], rate=2.0)
    assert [schedule.intended_ns(index) - START_NS for index in range(4)] == [0, 5, 5, 500]
    due = [schedule.due_count(START_NS + after) for after in (-1, 0, 4, 5, 499, 500, 10_000)]
    assert due == [0, 1, 1, 3, 3, 4, 4]
