"""Exact statistics of recorded values: no sketch, no interpolation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Distribution", "distribution", "nearest_rank"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """How values spread; every percentile is a value that was recorded (nearest rank)."""

    n: int
    mean: float
    p50: float
    p95: float
    p99: float
    max: float


def distribution(values: Iterable[float]) -> Distribution | None:
    """Return the distribution, or None when nothing was recorded."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Distribution(
        n=len(ordered),
        mean=math.fsum(ordered) / len(ordered),
        p50=nearest_rank(ordered, 50),
        p95=nearest_rank(ordered, 95),
        p99=nearest_rank(ordered, 99),
        max=ordered[-1],
    )


def nearest_rank(ordered: list[float], percent: float) -> float:
    """Return the smallest recorded value that `percent` of all values do not exceed.

    Args:
        ordered: At least one value, ascending.
        percent: Above 0, at most 100.
    """
    return ordered[math.ceil(percent / 100 * len(ordered)) - 1]
