"""A log-linear histogram of durations: small, mergeable, and within 0.8 % of each value."""

import math
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import Final, Self, TypedDict

# 2**7 buckets per power of two bound the relative error by 1/128, below the noise of any run.
SUBBUCKET_BITS: Final = 7


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
    """Give the bucket number; values up to 2**8 - 1 have one each."""
    shift = max(value_ns.bit_length() - SUBBUCKET_BITS - 1, 0)
    return (shift << SUBBUCKET_BITS) + (value_ns >> shift)


def highest_in(bucket: int) -> int:
    """Give the largest value that falls into the bucket."""
    shift = max((bucket >> SUBBUCKET_BITS) - 1, 0)
    return ((bucket - (shift << SUBBUCKET_BITS) + 1) << shift) - 1


class LatencyHistogram:
    """Counts nanosecond durations. Percentiles are nearest-rank and never below the true value."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._max_ns = 0

    @classmethod
    def of(cls, values_ns: Iterable[int]) -> Self:
        """Build from values.

        Raises:
            ValueError: A value is negative; two clocks were mixed.
        """
        histogram = cls()
        for value_ns in values_ns:
            histogram._add(value_ns, 1)
        return histogram

    @classmethod
    def from_json(cls, document: HistogramJson) -> Self:
        """Rebuild what `to_json` gave."""
        histogram = cls()
        for value_ns, count in document["buckets"]:
            histogram._add(value_ns, count)
        histogram._max_ns = document["max_ns"]
        return histogram

    def to_json(self) -> HistogramJson:
        """Give the buckets in a form that `from_json` and people can read."""
        buckets = [(highest_in(bucket), self._counts[bucket]) for bucket in sorted(self._counts)]
        return {"max_ns": self._max_ns, "buckets": buckets}

    def quantiles(self) -> Quantiles:
        """Give the usual few figures, for what needs no more."""
        p50_ns, p95_ns, p99_ns = map(self.percentile, (50, 95, 99))
        return {"p50_ns": p50_ns, "p95_ns": p95_ns, "p99_ns": p99_ns, "max_ns": self._max_ns}

    def merge(self, other: Self) -> None:
        """Add the counts of another histogram."""
        self._counts.update(other._counts)
        self._max_ns = max(self._max_ns, other._max_ns)

    def percentile(self, percent: float) -> int:
        """Give the smallest bucket limit that at least `percent` of the values do not exceed.

        Raises:
            ValueError: The histogram is empty, or percent is not within 0 (exclusive) and 100.
        """
        if not self._counts or not 0 < percent <= 100:
            raise ValueError(f"no percentile {percent} of {self.count} values")
        # In exact arithmetic: 99.9 / 100 * 2000 is a little above 1998 as a float.
        rank = math.ceil(Fraction(str(percent)) * self.count / 100)
        for bucket in sorted(self._counts):
            rank -= self._counts[bucket]
            if rank <= 0:
                return min(highest_in(bucket), self._max_ns)
        return self._max_ns

    @property
    def count(self) -> int:
        """Number of values."""
        return self._counts.total()

    @property
    def max_ns(self) -> int:
        """Largest value, exact."""
        return self._max_ns

    def _add(self, value_ns: int, count: int) -> None:
        if value_ns < 0:
            raise ValueError(f"a duration cannot be negative, got {value_ns} ns")
        self._counts[bucket_of(value_ns)] += count
        self._max_ns = max(self._max_ns, value_ns)
