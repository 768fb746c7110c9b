"""What a shadow's answers are held against: the answers that were given."""

from dataclasses import dataclass

import numpy as np

from bellwire.agents.inference.rollout.latency import LatencyCounts
from bellwire.agents.inference.tensor import Array


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of one side's latency, in seconds; NaN where nothing was measured."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """How a candidate did beside the version in service, which alone answered."""

    requests: int
    """Answered by both."""
    decisions: int
    """Rows times heads: one argmax each."""
    agreed: int
    """Decisions in which both took the same action."""
    difference_max: float
    """Largest difference of a probability."""
    difference_mean: float
    """Of all probabilities."""
    failed: int
    """The candidate raised, was too slow, gave another shape, or somebody else answered for it."""
    dropped: int
    """Not asked, because too many were waiting or the shadow was closed."""
    serving_latency: Percentiles
    candidate_latency: Percentiles

    @property
    def agreement(self) -> float:
        """Share of the decisions, 0 … 1; 0 without any."""
        return self.agreed / self.decisions if self.decisions else 0.0


class Comparison:
    """Sums over pairs of answers; keeps none of them."""

    def __init__(self) -> None:
        self.failed = 0
        self.dropped = 0
        self.serving_latency = LatencyCounts()
        self.candidate_latency = LatencyCounts()
        self._requests = 0
        self._decisions = 0
        self._agreed = 0
        self._difference_max = 0.0
        self._difference_sum = 0.0
        self._numbers = 0

    def add(self, given: Array, shadow: Array) -> None:
        """Compare probabilities (batch, …, actions) of one request; another shape counts as failed."""
        if given.shape != shadow.shape or given.ndim < 2:
            self.failed += 1
            return
        differences = np.abs(given.astype("f8") - shadow)
        same = given.argmax(axis=-1) == shadow.argmax(axis=-1)  # (batch, …)
        self._requests += 1
        self._decisions += same.size
        self._agreed += int(same.sum())
        self._difference_max = max(self._difference_max, float(differences.max()))
        self._difference_sum += float(differences.sum())
        self._numbers += differences.size

    def report(self) -> ShadowReport:
        """Return what was seen so far."""
        return ShadowReport(
            self._requests,
            self._decisions,
            self._agreed,
            self._difference_max,
            self._difference_sum / max(1, self._numbers),
            self.failed,
            self.dropped,
            _percentiles(self.serving_latency),
            _percentiles(self.candidate_latency),
        )


def _percentiles(counts: LatencyCounts) -> Percentiles:
    return Percentiles(*(counts.percentile(percent) for percent in (50, 95, 99)))
