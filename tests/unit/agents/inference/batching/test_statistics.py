"""Counting by powers of two."""

from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.inference.batching.statistics import BUCKETS, PowerHistogram


def histogram(*values: int) -> PowerHistogram:
    counted = PowerHistogram()
    for value in values:
        counted.note(value)
    return counted


def test_a_bucket_holds_the_values_of_as_many_bits() -> None:
    counts = histogram(0, 1, 2, 3, 4, 7, 8).counts
    assert counts[:5] == [1, 1, 2, 2, 1]


def test_what_is_too_large_is_counted_in_the_last_bucket() -> None:
    counted = histogram(1 << 60)
    assert (counted.counts[BUCKETS - 1], counted.highest) == (1, 1 << 60)


def test_a_percentile_is_at_most_twice_the_value_and_never_above_the_highest() -> None:
    counted = histogram(*range(1, 101))
    assert 50 <= counted.percentile(50) < 100
    assert counted.percentile(100) == 100
    assert (counted.count, counted.total) == (100, 5_050)


def test_the_percentile_of_nothing_is_0() -> None:
    assert histogram().percentile(99) == 0


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=20))
def test_values_counted_together_are_counted_as_one_by_one(values: list[int]) -> None:
    one_by_one, together = histogram(3, *values), histogram(3)
    together.note_all(values)
    assert together.counts == one_by_one.counts
    assert (together.total, together.highest) == (one_by_one.total, one_by_one.highest)
