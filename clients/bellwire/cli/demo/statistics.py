"""Exact statistics of recorded values: no sketch, no interpolation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bellwire.execution.quality import nearest_rank

__all__ = ["Distribution", "distribution"]


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
