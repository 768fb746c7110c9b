"""A log-linear histogram of durations: small, mergeable, and within 0.8 % of each value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Final, Self, TypedDict

__all__ = ["HistogramJson", "LatencyHistogram", "Quantiles", "bucket_of", "highest_in"]

# 2**7 buckets per power of two bound the relative error by 1/128, below the noise of any run.
SUBBUCKET_BITS: Final = 7
VALUE_BITS_MAX: Final = 63  # Durations are 64-bit integers; in nanoseconds that is 292 years.
BUCKETS: Final = (VALUE_BITS_MAX - SUBBUCKET_BITS + 1) << SUBBUCKET_BITS


class HistogramJson(TypedDict):
    """Buckets as (highest value of the bucket in ns, count), ascending."""

    max_ns: int
    buckets: list[tuple[int, int]]


class Quantiles(TypedDict):
    """A few figures of a histogram."""

    p50_ns: int
    p95_ns: int
    p99_ns: int
    max_ns: int


def bucket_of(value_ns: int) -> int:
    """Return the bucket number; values up to 2**8 - 1 have one each."""
    shift = max(value_ns.bit_length() - SUBBUCKET_BITS - 1, 0)
    return (shift << SUBBUCKET_BITS) + (value_ns >> shift)


def highest_in(bucket: int) -> int:
    """Return the largest value that falls into the bucket."""
    shift = max((bucket >> SUBBUCKET_BITS) - 1, 0)
    return ((bucket - (shift << SUBBUCKET_BITS) + 1) << shift) - 1


class LatencyHistogram:
    """Counts nanosecond durations. Percentiles are nearest-rank and never below the true value."""

    __slots__ = ("_counts", "_max_ns")

    def __init__(self) -> None:
        # All buckets at once are 60 kB, and adding to a list costs half of adding to a dict.
        self._counts = [0] * BUCKETS
        self._max_ns = 0

    @classmethod
    def of(cls, values_ns: Iterable[int]) -> Self:
        """Build from values.

        Raises:
            ValueError: A value is negative; two clocks were mixed.
        """
        histogram = cls()
        histogram.add_all(values_ns)
        return histogram

    @classmethod
    def from_json(cls, document: HistogramJson) -> Self:
        """Rebuild what `to_json` gave."""
        histogram = cls()
        for value_ns, count in document["buckets"]:
            histogram._counts[bucket_of(value_ns)] += count
        histogram._max_ns = document["max_ns"]
        return histogram

    def to_json(self) -> HistogramJson:
        """Return the buckets in a form that `from_json` and people can read."""
        buckets = [
            (highest_in(bucket), count) for bucket, count in enumerate(self._counts) if count
        ]
        return {"max_ns": self._max_ns, "buckets": buckets}

    def quantiles(self) -> Quantiles:
        """Return the usual few figures, for what needs no more."""
        p50_ns, p95_ns, p99_ns = map(self.percentile, (50, 95, 99))
        return {"p50_ns": p50_ns, "p95_ns": p95_ns, "p99_ns": p99_ns, "max_ns": self._max_ns}

    def add_all(self, values_ns: Iterable[int]) -> None:
        """Count values.

        Raises:
            ValueError: A value is negative; two clocks were mixed.
        """
        counts, longest = self._counts, self._max_ns
        for value_ns in values_ns:
            # `bucket_of` written out: this runs for every message of a load.
            shift = value_ns.bit_length() - SUBBUCKET_BITS - 1
            if value_ns < 0:
                raise ValueError(f"a duration cannot be negative, got {value_ns} ns")
            if shift > 0:
                counts[(shift << SUBBUCKET_BITS) + (value_ns >> shift)] += 1
            else:
                counts[value_ns] += 1
            if value_ns > longest:
                longest = value_ns
        self._max_ns = longest

    def merge(self, other: Self) -> None:
        """Add the counts of another histogram."""
        self._counts = [
            mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)
        ]
        self._max_ns = max(self._max_ns, other._max_ns)

    def percentile(self, percent: float) -> int:
        """Return the smallest bucket limit that at least `percent` of the values do not exceed.

        Raises:
            ValueError: The histogram is empty, or percent is not within 0 (exclusive) and 100.
        """
        count = self.count
        if not count or not 0 < percent <= 100:
            raise ValueError(f"no percentile {percent} of {count} values")
        # In exact arithmetic: 99.9 / 100 * 2000 is a little above 1998 as a float.
        rank = math.ceil(Fraction(str(percent)) * count / 100)
        for bucket, here in enumerate(self._counts):
            rank -= here
            if here and rank <= 0:
                return min(highest_in(bucket), self._max_ns)
        return self._max_ns

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(self._counts)

    @property
    def max_ns(self) -> int:
        """Largest value, exact."""
        return self._max_ns
