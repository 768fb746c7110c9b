"""Finds leaks: the slope of a process's memory over rounds of the same work.

One comparison of before and after sees a leak and a cache that fills alike; a slope over many rounds
does not, once the first rounds are left out. The slope is Theil's: the median of the slopes between
all pairs of rounds. A garbage collection, a resized heap or a neighbour's noise in up to 29 % of the
rounds does not move it far, where least squares follow each::

    meter = LeakMeter(resident_bytes)  # or another process's
    leak = await meter.measure(one_round)
    assert leak.bytes_per_round < 4096, leak

Sources: H. Theil, "A rank-invariant method of linear and polynomial regression analysis", Proc. KNAW
53 (1950); P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", J. Amer.
Statist. Assoc. 63 (1968), 1379-1389, whose interval this is, without correction for ties.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import sqrt
from statistics import median
from typing import Final

from bellwire.wire.settings import check_settings, setting

__all__ = ["Leak", "LeakMeter", "LeakMeterSettings", "Slope", "theil_sen"]

POINTS_MIN: Final = 3  # Two points lie on any line.
Z_95: Final = 1.96  # Of the normal distribution, for an interval of 95 %.


@dataclass(frozen=True, slots=True)
class Slope:
    """A line's rise per step, with what is known of it."""

    value: float
    low: float
    """Lower bound of the 95 % interval; -inf where points are too few for one."""
    high: float
    """Upper bound; inf where points are too few."""


@dataclass(frozen=True, slots=True)
class Leak:
    """What the rounds took and did not give back."""

    bytes_per_round: float
    """Theil-Sen slope; negative when memory shrank."""
    bytes_per_round_low: float
    """Lower end of the 95 % interval: above 0, memory grows. It takes the noise of different rounds for
    independent, which that of an allocator is not quite."""
    bytes_per_round_high: float
    """Upper end."""
    resident_bytes: tuple[int, ...]
    """After each round that counted."""


@dataclass(frozen=True, slots=True)
class LeakMeterSettings:
    """How long to look.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    warm_up_rounds: int = field(
        default=5,
        metadata=setting(
            unit="rounds",
            why="caches, pools and the heap take their size in the first of them",
            ge=0,
            le=10_000,
        ),
    )
    rounds: int = field(
        default=20,
        metadata=setting(
            unit="rounds",
            why="190 pairs: the median is steady; pairs grow with the square",
            ge=POINTS_MIN,
            le=1_000,
        ),
    )

    def __post_init__(self) -> None:
        """Refuse values that cannot be used."""
        check_settings(self)


class LeakMeter:
    """Runs work in rounds and looks at memory after each."""

    def __init__(
        self, resident: Callable[[], int], settings: LeakMeterSettings | None = None
    ) -> None:
        """Prepare.

        Args:
            resident: Returns the resident set now, bytes: of this process or of another.
            settings: How long to look.
        """
        self._resident = resident
        self.settings = settings or LeakMeterSettings()

    async def measure(self, work: Callable[[int], Awaitable[None]]) -> Leak:
        """Run all rounds.

        Args:
            work: One round, the same each time, ended when it returns; given 0, 1, 2, ….
        """
        warm_up = self.settings.warm_up_rounds
        resident: list[int] = []
        for number in range(warm_up + self.settings.rounds):
            await work(number)
            if number >= warm_up:
                resident.append(self._resident())
        slope = theil_sen(resident)
        return Leak(slope.value, slope.low, slope.high, tuple(resident))


def theil_sen(values: Sequence[float]) -> Slope:
    """Return the slope per step of a series, with Sen's 95 % interval.

    1. Sort the slopes between all pairs of points.
    2. Their median is the slope.
    3. Kendall's S of n points without a trend has the variance n (n - 1) (2n + 5) / 18; the interval
       is between the slopes that lie z / 2 of its deviations below and above the middle of the order.

    Args:
        values: At equal distances, in order; memory and time grow with the square of their number.

    Raises:
        ValueError: Fewer than three.
    """
    count = len(values)
    if count < POINTS_MIN:
        raise ValueError(f"a slope needs {POINTS_MIN} points or more, got {count}")
    slopes = sorted((values[j] - values[i]) / (j - i) for i, j in combinations(range(count), 2))
    deviation = sqrt(count * (count - 1) * (2 * count + 5) / 18)
    below = round((len(slopes) - Z_95 * deviation) / 2)
    if below < 1:
        return Slope(median(slopes), float("-inf"), float("inf"))
    return Slope(median(slopes), slopes[below - 1], slopes[-below])
