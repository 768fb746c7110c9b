"""A/B: does the candidate earn more than the version in service, or agree more often?

What a key is answered with is settled by its hash (`split.py`), so that one symbol never changes sides. Observations
are counted and summed, not kept.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from bellwire.agents.inference.rollout.significance import (
    Difference,
    Moments,
    two_proportions,
    welch,
)
from bellwire.agents.inference.rollout.split import is_candidates

SAMPLES_MIN: Final = 100  # A side; by then the mean of skewed returns is near enough to normal.


class Side(StrEnum):
    """Who answers for a key."""

    SERVING = "SERVING"
    CANDIDATE = "CANDIDATE"


class Verdict(StrEnum):
    """What may be said of a difference."""

    TOO_FEW = "TOO_FEW"
    """Fewer observations than were planned, or no spread in them: nothing may be said yet."""
    NO_DIFFERENCE_SHOWN = "NO_DIFFERENCE_SHOWN"
    """Which is not that there is none: the interval says how large it may still be."""
    CANDIDATE_BETTER = "CANDIDATE_BETTER"
    CANDIDATE_WORSE = "CANDIDATE_WORSE"


@dataclass(frozen=True, slots=True)
class Arm:
    """What was seen of one side."""

    returns: Moments = field(default_factory=Moments)
    agreed: int = 0
    compared: int = 0

    def merged(self, other: "Arm") -> "Arm":
        """Return what both have seen together."""
        return Arm(
            self.returns.merged(other.returns),
            self.agreed + other.agreed,
            self.compared + other.compared,
        )


@dataclass(frozen=True, slots=True)
class ExperimentSums:
    """All that is kept of an experiment: what was seen of both sides."""

    serving: Arm = field(default_factory=Arm)
    candidate: Arm = field(default_factory=Arm)

    def merged(self, other: "ExperimentSums") -> "ExperimentSums":
        """Return what both have seen together, as two servers of one folder."""
        return ExperimentSums(
            self.serving.merged(other.serving), self.candidate.merged(other.candidate)
        )

    def with_arm(self, side: Side, arm: Arm) -> "ExperimentSums":
        """Return these with another arm on one side."""
        if side is Side.SERVING:
            return replace(self, serving=arm)
        return replace(self, candidate=arm)

    def arm(self, side: Side) -> Arm:
        """Return what was seen of one side."""
        return self.serving if side is Side.SERVING else self.candidate

    def report(self, samples_min: int = SAMPLES_MIN) -> "ExperimentReport":
        """Return effect, interval, p-value and verdict of both measures.

        Args:
            samples_min: Observations of each side that were planned; before, every verdict is TOO_FEW.
        """
        ours, theirs = self.serving, self.candidate
        returns = _measure(
            "return",
            (ours.returns.count, ours.returns.mean),
            (theirs.returns.count, theirs.returns.mean),
            welch(ours.returns, theirs.returns),
            samples_min,
        )
        agreement = _measure(
            "agreement",
            (ours.compared, ours.agreed / max(1, ours.compared)),
            (theirs.compared, theirs.agreed / max(1, theirs.compared)),
            two_proportions(ours.agreed, ours.compared, theirs.agreed, theirs.compared),
            samples_min,
        )
        return ExperimentReport(returns, agreement)


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of both sides, and what may be said of their difference."""

    name: str
    serving_count: int
    serving_mean: float
    candidate_count: int
    candidate_mean: float
    difference: Difference | None
    verdict: Verdict

    @property
    def text(self) -> str:
        """One line for people."""
        counts = f"n {self.serving_count} and {self.candidate_count}"
        words = self.verdict.value.lower().replace("_", " ")
        if self.difference is None:
            return f"{self.name}: {words} ({counts})"
        found = self.difference
        return (
            f"{self.name}: {words}; {self.candidate_mean:.6g} against {self.serving_mean:.6g}, difference"
            f" {found.effect:+.6g} (95 % interval {found.low:+.6g} to {found.high:+.6g}),"
            f" p = {found.p_value:.4f}, {counts}"
        )


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """Both measures. Settle which of them decides before looking: two looks find twice as much by chance."""

    returns: Measure
    agreement: Measure


class Experiment:
    """Takes what each side earned, and says whether the sides differ.

    Attributes:
        sums: What was seen; all that need be kept.
    """

    def __init__(
        self,
        model: str,
        share: float,
        samples_min: int = SAMPLES_MIN,
        sums: ExperimentSums | None = None,
    ) -> None:
        """Begin, or go on.

        Args:
            model: Name, without version.
            share: Of the keys that the candidate answers for, as in the rollout.
            samples_min: Observations of each side that were planned; before, every verdict is TOO_FEW.
            sums: What was seen before; None = nothing.
        """
        self._model = model
        self._share = share
        self._samples_min = samples_min
        self.sums = sums or ExperimentSums()

    def side_of(self, key: str) -> Side:
        """Return who answers for a key: what the rollout's endpoint does, for whoever computes returns."""
        is_new = is_candidates(self._model, key, self._share)
        return Side.CANDIDATE if is_new else Side.SERVING

    def record_return(self, side: Side, value: float) -> None:
        """Count what a side earned with one independent decision, in any unit that both sides share.

        Raises:
            ValueError: It is NaN, or beyond ± 1e100.
        """
        arm = self.sums.arm(side)
        counted = replace(arm, returns=arm.returns.add(value))
        self.sums = self.sums.with_arm(side, counted)

    def record_agreement(self, side: Side, *, agrees: bool) -> None:
        """Count whether a side's action was that of the reference: the rules', or what would have been right."""
        arm = self.sums.arm(side)
        counted = replace(arm, agreed=arm.agreed + agrees, compared=arm.compared + 1)
        self.sums = self.sums.with_arm(side, counted)

    def report(self, others: ExperimentSums | None = None) -> ExperimentReport:
        """Return effect, interval, p-value and verdict of both measures, with what others have seen."""
        sums = self.sums if others is None else self.sums.merged(others)
        return sums.report(self._samples_min)


def _measure(
    name: str,
    serving: tuple[int, float],
    candidate: tuple[int, float],
    difference: Difference | None,
    samples_min: int,
) -> Measure:
    if difference is None or min(serving[0], candidate[0]) < samples_min:
        verdict = Verdict.TOO_FEW
    elif not difference.is_significant:
        verdict = Verdict.NO_DIFFERENCE_SHOWN
    else:
        better = difference.effect > 0
        verdict = Verdict.CANDIDATE_BETTER if better else Verdict.CANDIDATE_WORSE
    return Measure(name, *serving, *candidate, difference, verdict)
