"""Significance of a difference between two versions: effect, interval and p-value, two-sided.

All of it assumes that observations are independent. Returns of overlapping or neighbouring trades are not: feed sums
of a day or of a trade that is closed, not of each bar. A p-value holds for one look at a number of observations that
was settled before; who looks each day and stops at the first small one finds differences that are not there.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

CONFIDENCE: Final = 0.95  # Of the intervals; the level of significance that goes with it is 5 %.
EXPECTED_MIN: Final = 5.0  # Cochran (1954): below that in a cell, the normal approximation is poor.
T_MAX: Final = 1e9  # Of a quantile: with two observations a side the 95 % one is 12.7.
OBSERVATION_MAX: Final = 1e100  # Squares of it are summed, and stay far from infinity.
_TERMS_MAX: Final = 10_000  # Of the continued fraction; some √max(a, b) are needed.
_TINY: Final = 1e-300  # Stands in for a zero denominator in Lentz's method.
_PRECISION: Final = 1e-15
_HALVINGS: Final = 60  # Of an interval of doubles: more cannot narrow it.


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus the version in service."""

    effect: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    p_value: float
    """Probability of a difference at least as large if there were none."""

    @property
    def is_significant(self) -> bool:
        """Tell whether the p-value is below 5 %."""
        return self.p_value < 1 - CONFIDENCE


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and spread of observations that are not kept (Welford 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared distances from the mean."""

    def add(self, value: float) -> "Moments":
        """Return these with one observation more.

        Raises:
            ValueError: It is NaN, or beyond ± 1e100.
        """
        if not abs(value) <= OBSERVATION_MAX:
            raise ValueError(f"observation {value} is not finite, or above {OBSERVATION_MAX:g}")
        count = self.count + 1
        mean = self.mean + (value - self.mean) / count
        return Moments(count, mean, self.squares + (value - self.mean) * (value - mean))

    def merged(self, other: "Moments") -> "Moments":
        """Return those of both together (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        if not self.count or not other.count:
            return self if self.count else other
        distance = other.mean - self.mean
        mean = self.mean + distance * (other.count / count)
        between = distance * distance * (self.count * (other.count / count))
        return Moments(count, mean, self.squares + other.squares + between)

    @property
    def variance(self) -> float:
        """Unbiased estimate; 0 below two observations."""
        return self.squares / (self.count - 1) if self.count > 1 else 0.0


def welch(serving: Moments, candidate: Moments) -> Difference | None:
    """Return the difference of two means, or None where too little was seen to tell.

    Welch's t-test (Welch 1947): the variances may differ; degrees of freedom by Satterthwaite (1946).
    """
    if serving.count < 2 or candidate.count < 2:
        return None
    ours, theirs = serving.variance / serving.count, candidate.variance / candidate.count
    error = math.sqrt(ours + theirs)
    effect = candidate.mean - serving.mean
    if error == 0:
        return None  # No spread at all: there is nothing to hold the difference against.
    # Scaled by their sum, as squares of tiny variances vanish.
    ours, theirs = ours / (ours + theirs), theirs / (ours + theirs)
    freedom = 1 / (ours**2 / (serving.count - 1) + theirs**2 / (candidate.count - 1))
    half = student_quantile(freedom, (1 + CONFIDENCE) / 2) * error
    p_value = student_two_sided(effect / error, freedom)
    return Difference(effect, effect - half, effect + half, p_value)


def two_proportions(
    serving_hits: int, serving: int, candidate_hits: int, candidate: int
) -> Difference | None:
    """Return the difference of two shares, or None where too little was seen to tell.

    The p-value is that of the pooled z-test; the interval is Newcombe's hybrid score interval (Newcombe 1998, method
    10), which keeps within -1 … 1. Being two methods, they may disagree by a little at the border of significance.
    """
    if serving == 0 or candidate == 0:
        return None
    pooled = (serving_hits + candidate_hits) / (serving + candidate)
    if min(serving, candidate) * min(pooled, 1 - pooled) < EXPECTED_MIN:
        return None
    ours, theirs = serving_hits / serving, candidate_hits / candidate
    effect = theirs - ours
    error = math.sqrt(pooled * (1 - pooled) * (1 / serving + 1 / candidate))
    our_low, our_high = wilson(serving_hits, serving)
    their_low, their_high = wilson(candidate_hits, candidate)
    low = effect - math.hypot(theirs - their_low, our_high - ours)
    high = effect + math.hypot(their_high - theirs, ours - our_low)
    return Difference(effect, low, high, math.erfc(abs(effect) / error / math.sqrt(2)))


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927); `count` is above 0."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share = hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def student_two_sided(t: float, freedom: float) -> float:
    """Return the probability that |T| of Student's distribution is at least |t| (DLMF 8.17.9 ff.)."""
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def student_quantile(freedom: float, probability: float) -> float:
    """Return the t that T stays below with this probability, ½ … 1, by bisection; at most `T_MAX`."""
    tail = 2 * (1 - probability)
    low, high = 0.0, 1.0
    while student_two_sided(high, freedom) > tail and high < T_MAX:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if student_two_sided(middle, freedom) > tail:
            low = middle
        else:
            high = middle
    return high


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function Iₓ(a, b), 0 ≤ x ≤ 1.

    By its continued fraction (DLMF 8.17.22) and Lentz's method (Thompson and Barnett 1986), on the side where it
    converges fast, x < (a + 1) / (a + b + 2); the other side by Iₓ(a, b) = 1 - I₁₋ₓ(b, a).
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = a * math.log(x) + b * math.log1p(-x)
    front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) / a / _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """Return 1 + d₁/(1 + d₂/(1 + …)), the denominator of DLMF 8.17.22."""
    value = numerator = 1.0
    denominator = 0.0
    for term in range(1, _TERMS_MAX):
        m = term // 2
        if term % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / ((1 + d * denominator) or _TINY)
        numerator = (1 + d / numerator) or _TINY
        change = numerator * denominator
        value *= change
        if abs(change - 1) < _PRECISION:
            break
    return value
