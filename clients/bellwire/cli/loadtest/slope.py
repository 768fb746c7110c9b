"""Does a series of samples grow? A straight line through it, and how sure its slope is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Slope", "fit_slope"]


@dataclass(frozen=True, slots=True)
class Slope:
    """Least-squares slope, in units of y per unit of x."""

    value: float
    standard_error: float

    def is_above(self, limit: float, standard_errors: float) -> bool:
        """Tell whether it exceeds the limit by more than chance explains."""
        return self.value - standard_errors * self.standard_error > limit


def fit_slope(xs: Sequence[float], ys: Sequence[float]) -> Slope | None:
    """Fit a line by least squares; None with fewer than three samples or all at one x.

    The standard error allows for samples that resemble their neighbours, as memory does that moves
    in steps: Newey and West, "A Simple, Positive Semi-definite, Heteroskedasticity and
    Autocorrelation Consistent Covariance Matrix" (Econometrica 1987), Bartlett weights, lag
    4 (n / 100)^(2/9). The usual formula would take each sample for news and cry wolf.
    """
    count = len(xs)
    if count < 3:
        return None
    x_mean, y_mean = math.fsum(xs) / count, math.fsum(ys) / count
    x_off = [x - x_mean for x in xs]
    spread = math.fsum(x * x for x in x_off)
    if spread <= 0:
        return None
    slope = math.fsum(x * (y - y_mean) for x, y in zip(x_off, ys, strict=True)) / spread
    scores = [x * (y - y_mean - slope * x) for x, y in zip(x_off, ys, strict=True)]
    lag_max = min(count - 1, math.floor(4 * (count / 100) ** (2 / 9)))
    variance = math.fsum(score * score for score in scores)
    for lag in range(1, lag_max + 1):
        weight = 1 - lag / (lag_max + 1)
        together = math.fsum(a * b for a, b in zip(scores, scores[lag:], strict=False))
        variance += 2 * weight * together
    # Two degrees of freedom went into the line.
    variance *= count / (count - 2)
    return Slope(slope, math.sqrt(max(variance, 0.0)) / spread)
