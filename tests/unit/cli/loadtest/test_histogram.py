"""The histogram against sorted lists."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.cli.loadtest.histogram import LatencyHistogram, bucket_of, highest_in

durations_ns = st.integers(0, 1 << 40)


@given(durations_ns)
def test_a_bucket_ends_within_one_percent_above_each_value_in_it(value_ns):
    highest = highest_in(bucket_of(value_ns))
    assert value_ns <= highest <= value_ns * 1.008
    assert bucket_of(highest) == bucket_of(value_ns)
    assert bucket_of(highest + 1) == bucket_of(value_ns) + 1


@given(
    st.lists(durations_ns, min_size=1, max_size=200),
    st.floats(0, 100, exclude_min=True),
)
def test_a_percentile_is_the_nearest_rank_value_to_within_one_percent(values_ns, percent):
    exact = sorted(values_ns)[math.ceil(Fraction(str(percent)) * len(values_ns) / 100) - 1]
    found = LatencyHistogram.of(values_ns).percentile(percent)
    assert exact <= found <= exact * 1.008


@given(st.lists(durations_ns), st.lists(durations_ns))
def test_merging_equals_counting_everything_at_once(first, second):
    merged = LatencyHistogram.of(first)
    merged.merge(LatencyHistogram.of(second))
    assert merged.to_json() == LatencyHistogram.of(first + second).to_json()


@given(st.lists(durations_ns))
def test_a_histogram_survives_its_json_form(values_ns):
    document = LatencyHistogram.of(values_ns).to_json()
    assert LatencyHistogram.from_json(document).to_json() == document


def test_the_maximum_is_exact_and_bounds_every_percentile():
    histogram = LatencyHistogram.of([1_000_001, 5])
    assert histogram.max_ns == histogram.percentile(100) == 1_000_001


def test_a_negative_duration_is_refused_because_two_clocks_were_mixed():
    with pytest.raises(ValueError, match="got -1 ns"):
        LatencyHistogram.of([-1])


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_a_percentile_outside_the_range_is_refused(percent):
    with pytest.raises(ValueError, match="of 1 values"):
        LatencyHistogram.of([7]).percentile(percent)


def test_an_empty_histogram_has_no_percentile():
    with pytest.raises(ValueError, match="of 0 values"):
        LatencyHistogram.of([]).percentile(50)


def test_a_percentile_is_not_one_rank_too_high_by_rounding():
    values_ns = [10] * 1_998 + [70, 70]
    assert LatencyHistogram.of(values_ns).percentile(99.9) == 10
