"""bellwire.cli.units: quantities as people read them."""

from __future__ import annotations

import pytest

from bellwire.cli.units import (
    bytes_text,
    clock_text,
    count_text,
    counted_text,
    duration_text,
    moment_text,
    span_text,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 µs"),
        (0.0000004, "0.40 µs"),
        (0.00064, "640 µs"),
        (0.0009996, "1.00 ms"),
        (0.0012, "1.20 ms"),
        (0.0123, "12.3 ms"),
        (0.412, "412 ms"),
        (3.4, "3.40 s"),
        (1234.0, "1,234 s"),
        (-0.002, "-2.00 ms"),
    ],
)
def test_durations_have_three_figures_and_the_unit_that_fits(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (3 << 20, "3.00 MiB"),
        (5 << 30, "5.00 GiB"),
    ],
)
def test_sizes_are_in_binary_units(size, text):
    assert bytes_text(size) == text


def test_counts_group_thousands():
    assert count_text(1234567) == "1,234,567"


def test_counts_come_with_their_noun():
    assert counted_text(0, "dead letter") == "0 dead letters"
    assert (counted_text(1, "batch"), counted_text(2500, "batch")) == ("1 batch", "2,500 batches")


def test_times_are_utc_and_zero_means_not_set():
    assert clock_text(1_700_000_000_123_456_789) == "22:13:20.123"
    assert moment_text(1_700_000_000_000_000_000) == "2023-11-14 22:13:20"
    assert (clock_text(0), moment_text(0)) == ("-", "-")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.9, "0 s"),
        (42, "42 s"),
        (185, "3 min 5 s"),
        (3600, "1 h"),
        (187_200, "2 d 4 h"),
    ],
)
def test_long_spans_have_their_two_largest_units(seconds, text):
    assert span_text(seconds) == text
