"""Ranges and arrivals against plain sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.cli.loadtest.arrivals import Arrivals
from bellwire.cli.loadtest.ranges import Ranges, common, length_of

numbers = st.lists(st.integers(0, 60), max_size=80)


def numbers_of(ranges) -> list[int]:
    return [number for first, end in ranges for number in range(first, end)]


@given(numbers)
def test_ranges_hold_what_a_set_holds(added):
    ranges, model = Ranges(), set()
    for number in added:
        assert ranges.add(number) is (number not in model)
        model.add(number)
    assert numbers_of(ranges.ranges()) == sorted(model)
    assert len(ranges) == len(model)
    # Disjoint, ascending, and not touching: as few as there can be.
    ends = [end for _, end in ranges.ranges()]
    starts = [first for first, _ in ranges.ranges()]
    assert all(end < first for end, first in zip(ends, starts[1:], strict=False))


@given(numbers, st.integers(0, 70))
def test_what_is_missing_is_the_complement(added, count):
    ranges = Ranges((number, number + 1) for number in added)
    assert numbers_of(ranges.missing(count)) == sorted(set(range(count)) - set(added))


@given(numbers, numbers)
def test_what_two_share_is_the_intersection(ours, theirs):
    first = Ranges((number, number + 1) for number in ours).ranges()
    second = Ranges((number, number + 1) for number in theirs).ranges()
    assert common(first, second) == common(second, first) == len(set(ours) & set(theirs))
    assert length_of(first) == len(set(ours))


@given(numbers, st.integers(1, 5))
def test_no_message_is_forgotten_however_few_gaps_are_kept(sequences, gaps_max):
    arrivals = Arrivals(gaps_max)
    for sequence in sequences:
        arrivals.note(sequence, ("t", 0))
    sent = max(sequences, default=-1) + 1
    assert arrivals.received + arrivals.given_up + length_of(arrivals.missing(sent)) == sent
    assert arrivals.received + arrivals.duplicates == len(sequences)


@given(st.permutations(range(12)), st.data())
def test_each_message_of_a_lane_that_was_overtaken_is_out_of_order(sequences, data):
    lanes = data.draw(st.lists(st.integers(0, 2), min_size=12, max_size=12))
    arrivals = Arrivals()
    overtaken = 0
    highest: dict[int, int] = {}
    for sequence in sequences:
        lane = lanes[sequence]
        arrivals.note(sequence, ("t", lane))
        overtaken += sequence < highest.get(lane, -1)
        highest[lane] = max(sequence, highest.get(lane, -1))
    assert arrivals.out_of_order == overtaken
