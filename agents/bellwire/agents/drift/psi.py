"""The population stability index, and how much of it is chance.

PSI = Σ (a - b) ln(a / b) over the shares a, b of the bins: the symmetric divergence of Kullback and
Leibler (Jeffreys'). Expanded to the second order it is Pearson's statistic of two samples times
(1/n + 1/m), hence for independent samples of one distribution its expectation is (bins - 1)(1/n + 1/m)
and its quantiles are those of a chi-square (Yurdakul 2018, "Statistical properties of population
stability index", Western Michigan University, chapter 3).
"""

from collections.abc import Sequence
from math import log, sqrt
from statistics import NormalDist
from typing import Final

SHARE_MIN: Final = (
    0.01  # smaller shares count as this: a month cannot tell 1 in 100 from 1 in 1,000
)
_NORMAL: Final = NormalDist()


def psi(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the index of two histograms of the same bins: 0 to 4.61 a bin, the same either way round.

    Shares below 1 % count as 1 %, so that an empty bin gives no infinity.

    Args:
        first: Counts, at least one of them above 0.
        second: As many counts, at least one of them above 0.
    """
    assert len(first) == len(second), "histograms of different bins"
    n, m = sum(first), sum(second)
    assert n > 0, "an empty histogram"
    assert m > 0, "an empty histogram"
    total = 0.0
    for a, b in zip(first, second, strict=True):
        one, other = max(a / n, SHARE_MIN), max(b / m, SHARE_MIN)
        total += (one - other) * log(one / other)
    return total


def psi_by_chance(n: float, m: float, *, scale: float, degrees: float) -> float:
    """Return the index to be expected of two samples of one distribution.

    Args:
        n: Bars of the one sample.
        m: Bars of the other.
        scale: Of the noise; 1 for independent bars.
        degrees: Of freedom; bins - 1 for independent bars.
    """
    return scale * degrees * (1.0 / n + 1.0 / m)


def psi_limit(n: float, m: float, *, scale: float, degrees: float, false_alarms: float) -> float:
    """Return the index that two samples of one distribution exceed in a share `false_alarms` of cases.

    Arguments as of `psi_by_chance`; `false_alarms` is above 0 and below 1.
    """
    return scale * chi_square_limit(degrees, false_alarms) * (1.0 / n + 1.0 / m)


def chi_square_limit(degrees: float, exceeded: float) -> float:
    """Return what a chi-square exceeds in a share `exceeded` of cases.

    Wilson & Hilferty 1931: the cube root of a chi-square over its degrees is nearly normal. Within 2 %
    from 5 degrees on, and up to 8 % too large (the safe side) for one degree at 1 in 10,000.
    """
    spread = 2.0 / (9.0 * degrees)
    root = 1.0 - spread + _NORMAL.inv_cdf(1.0 - exceeded) * sqrt(spread)
    cut = max(root, 0.0)
    return degrees * cut * cut * cut
