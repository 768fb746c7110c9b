"""Scales of the plots."""

import pytest
from tests.benchmarks.axis import LogAxis, duration, rate


def test_a_log_axis_ends_at_round_values_around_what_it_shows():
    axis = LogAxis.over([130, 4_100], 0, 100)
    assert (axis.low, axis.high) == (100, 5_000)


def test_equal_ratios_are_equal_lengths_and_ends_are_kept():
    axis = LogAxis(1, 1_000, 50, 350)
    assert [axis.place(value) for value in (1, 10, 100, 1_000)] == pytest.approx(
        [50, 150, 250, 350]
    )
    assert (axis.place(0.1), axis.place(9_999)) == (50, 350)


def test_an_axis_of_a_single_value_still_has_a_length():
    axis = LogAxis.over([100], 0, 100)
    assert axis.high > axis.low


def test_powers_of_ten_are_labelled_and_ends_that_have_room_and_all_of_a_short_axis():
    long = [value for value, labelled in LogAxis(20, 5_000, 0, 1).ticks() if labelled]
    assert long == pytest.approx([20, 100, 1_000, 5_000])
    crowded = [value for value, labelled in LogAxis(50, 2_000, 0, 1).ticks() if labelled]
    assert crowded == pytest.approx([100, 1_000])
    short = LogAxis(100, 500, 0, 1).ticks()
    assert short == [(100, True), (200, True), (500, True)]


def test_figures_are_shown_in_their_natural_unit():
    assert [duration(us) for us in (58.2, 1_500, 2_480_000)] == ["58.2 µs", "1.5 ms", "2.48 s"]
    assert [rate(each) for each in (5, 3_514, 5_150_000)] == ["5", "3.51 k", "5.15 M"]
