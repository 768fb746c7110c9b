"""From what the strategic networks say to one stance, in the manner of the tactical vote.

mlmi and nwrqk have a direction and vote with equal weight, threshold and tie as in the tactical system;
mmd says how much of a position the regime allows, and never where.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bellwire.agents.inference.tensor import Array
from bellwire.agents.tactical.actions import NEUTRAL, read_choices
from bellwire.agents.tactical.aggregate import AggregationSettings, MoveReason, count_votes

_WEIGHT: Final = 0.5  # of each of the two that have a direction


class RegimeAction(IntEnum):
    """What the mmd network says about the market."""

    AVOID = 0
    """It is not the one it was: no position."""
    REDUCE = 1
    """Half a position."""
    TRADE = 2
    """A whole one."""

    @property
    def share(self) -> float:
        """Of a position: 0, 0.5 or 1."""
        return self.value / 2


@dataclass(frozen=True, slots=True)
class Stance:
    """What the strategic system would hold."""

    position: float
    """-1 … 1: direction times what the regime allows; 0 unless a direction is carried."""
    regime: RegimeAction
    score: float
    """Weighted confidence of the best direction, 0 to 1."""
    reason: MoveReason
    """MOVED = a direction is carried; else why not."""


def strategic_stance(table: Array, settings: AggregationSettings | None = None) -> Stance:
    """Return the stance of one bar.

    Args:
        table: (3, 3) probabilities, rows mlmi, nwrqk, mmd.
        settings: Of the vote; None = the defaults.

    Raises:
        InvalidTensorError: The table is no three distributions.
    """
    mlmi, nwrqk, mmd = read_choices(table)
    votes = tuple(
        (0 if each.action is None else each.action - NEUTRAL, _WEIGHT * each.confidence)
        for each in (mlmi, nwrqk)
    )
    tally = count_votes(votes, 0, settings or AggregationSettings())
    regime = RegimeAction(0 if mmd.action is None else mmd.action)
    carried = tally.reason is MoveReason.MOVED
    position = tally.direction * regime.share if carried else 0.0
    return Stance(position, regime, tally.score, tally.reason)
