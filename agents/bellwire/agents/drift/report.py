"""What a look at a window says."""

from dataclasses import dataclass
from enum import StrEnum


class DriftVerdict(StrEnum):
    """Whether the window looks like the training bars."""

    STABLE = "STABLE"
    """No column differs by more than chance and the smallest shift that matters."""
    DRIFTING = "DRIFTING"
    """At least one column does."""
    TOO_FEW = "TOO_FEW"
    """Too few bars to say, of at least one column, and none that drifts."""


@dataclass(frozen=True, slots=True)
class ColumnScore:
    """One column."""

    name: str
    bars: int
    """In the window."""
    psi: float
    """The index; 0 without bars."""
    expected: float
    """What chance alone gives in the mean; 0 without bars."""
    limit: float
    """Above it the column drifts: of chance and `psi_min` the larger; 0 without bars."""
    verdict: DriftVerdict


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All columns of one window."""

    verdict: DriftVerdict
    scores: tuple[ColumnScore, ...]

    @property
    def drifting(self) -> tuple[str, ...]:
        """Names of the columns that drift, the furthest above its limit first."""
        found = [score for score in self.scores if score.verdict is DriftVerdict.DRIFTING]
        found.sort(key=lambda score: score.limit / score.psi)
        return tuple(score.name for score in found)
