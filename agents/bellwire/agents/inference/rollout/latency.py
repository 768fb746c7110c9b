"""Durations, counted in buckets: small, bounded, and exact enough to compare two versions."""

import math
from itertools import accumulate
from typing import Final

PER_DOUBLING: Final = 8  # Buckets a doubling; a percentile is at most 9 % too high.
FIRST_SECONDS: Final = 1e-6
BUCKETS: Final = 32 * PER_DOUBLING  # Up to 72 minutes; what is longer counts as that.


class LatencyCounts:
    """Counts durations; percentiles are never below the true value."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self.count = 0

    def add(self, seconds: float) -> None:
        """Count one duration, 0 and above."""
        doublings = math.log2(max(seconds, FIRST_SECONDS) / FIRST_SECONDS)
        self._counts[min(math.ceil(doublings * PER_DOUBLING), BUCKETS - 1)] += 1
        self.count += 1

    def percentile(self, percent: float) -> float:
        """Return, by nearest rank, the upper end in seconds of the bucket it is in; NaN where nothing was counted."""
        if self.count == 0:
            return math.nan
        rank = max(1, math.ceil(percent / 100 * self.count))
        counted = accumulate(self._counts)
        bucket = next(number for number, below in enumerate(counted) if below >= rank)
        return float(FIRST_SECONDS * 2 ** (bucket / PER_DOUBLING))
