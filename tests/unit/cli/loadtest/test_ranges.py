"""bellwire.cli.loadtest.ranges: sets of sequence numbers."""

from __future__ import annotations

from bellwire.cli.loadtest.ranges import Ranges, common, length_of


def test_a_stream_without_gaps_is_one_range():
    ranges = Ranges([(0, 1_000)])
    assert (ranges.ranges(), len(ranges), ranges.missing(1_000)) == ([(0, 1_000)], 1_000, [])


def test_a_number_is_added_once():
    ranges = Ranges([(0, 3)])
    assert [ranges.add(number) for number in (1, 5, 5, 3, 4)] == [False, True, False, True, True]
    assert ranges.ranges() == [(0, 6)]


def test_what_is_missing_is_told_at_the_begin_in_between_and_at_the_end():
    assert Ranges([(2, 4), (6, 7)]).missing(9) == [(0, 2), (4, 6), (7, 9)]
    assert Ranges([(2, 4), (6, 7)]).missing(3) == [(0, 2)]
    assert Ranges().missing(2) == [(0, 2)]


def test_the_lowest_gap_can_be_given_up():
    ranges = Ranges([(0, 2), (5, 6), (9, 10)])
    assert (ranges.fill_first_gap(), ranges.ranges()) == (3, [(0, 6), (9, 10)])
    assert Ranges([(0, 2)]).fill_first_gap() == 0


def test_what_two_lists_share_is_counted():
    assert common([(0, 4), (6, 9)], [(2, 7), (8, 20)]) == 4
    assert common([], [(0, 1)]) == common([(0, 1)], [(1, 2)]) == 0
    assert length_of([(0, 4), (6, 9)]) == 7
