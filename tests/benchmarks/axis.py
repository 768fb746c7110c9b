"""Axes of the plots: from a value to a place, and the values that get a label."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

STEPS: Final = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class LogAxis:
    """Maps values between two of 1, 2, 5, 10, 20 … onto a length."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float) -> Self:
        """Give the shortest such axis that holds all values, which must be above 0."""
        found = list(values)
        low, high = _step_below(min(found)), _step_above(max(found))
        return cls(low, high if high > low else low * 10, start, end)

    def place(self, value: float) -> float:
        """Give where a value belongs; values beyond an end are put onto it."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, bool]]:
        """Give each value of a grid line, and whether it is labelled: powers of ten, and the ends."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [step * 10.0**decade for decade in decades for step in STEPS]
        inside = [each for each in values if self.low * 0.999 <= each <= self.high * 1.001]
        few = len(inside) <= len(STEPS) + 2  # Within a decade or so every one is needed.
        return [(each, few or _is_labelled(each, inside)) for each in inside]


def duration(microseconds: float) -> str:
    """Show a duration in its natural unit."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds:.3g} µs"


def rate(per_second: float) -> str:
    """Show a rate with three digits."""
    if per_second >= 1_000_000:
        return f"{per_second / 1e6:.3g} M"
    return f"{per_second / 1e3:.3g} k" if per_second >= 1_000 else f"{per_second:.0f}"


def _step_below(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return max(step for step in STEPS if step * decade <= value * 1.0001) * decade


def _step_above(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return min(step for step in (*STEPS, 10) if step * decade >= value * 0.9999) * decade


def _is_labelled(value: float, ticks: list[float]) -> bool:
    if _is_decade(value):
        return True
    # An end next to a power of ten has none: the two labels would run into each other.
    return (value == ticks[0] and not _is_decade(ticks[1])) or (
        value == ticks[-1] and not _is_decade(ticks[-2])
    )


def _is_decade(value: float) -> bool:
    return math.log10(value).is_integer()
