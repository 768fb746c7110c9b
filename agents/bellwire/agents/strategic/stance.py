"""From what the strategic networks say to one stance, by the rules of the tactical system.

mlmi and nwrqk have a direction; mmd says how much of a position the regime allows, and never where.

* `target`: the sum of both directions, cut to -1 … 1. The networks are trained and evaluated by it.
* `vote`: both vote with equal weight; threshold and tie are those of the tactical vote.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from bellwire.agents.inference.tensor import Array
from bellwire.agents.tactical.actions import NEUTRAL, read_choices
from bellwire.agents.tactical.aggregate import AggregationSettings, MoveReason, Rule, count_votes
from bellwire.wire.settings import check_settings, setting

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
    """-1 … 1: target times what the regime allows; by vote 0 unless a direction is carried."""
    regime: RegimeAction
    score: float
    """0 to 1: by vote the weighted confidence of the best direction, else the mean of both."""
    reason: MoveReason
    """MOVED = there is a direction; else why not."""


@dataclass(frozen=True, slots=True)
class StanceSettings:
    """How the two directions are joined; as in the tactical system, without its events and half steps.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    rule: str = field(
        default=Rule.TARGET.value,
        metadata=setting(
            unit="",
            why="the networks are trained and measured by it; vote asks for confidence too",
            choices=tuple(rule.value for rule in Rule),
        ),
    )
    threshold: float = field(
        default=AggregationSettings().threshold,
        metadata=setting(
            unit="weighted confidence (vote)",
            why="above the weight of either network: one alone never carries a direction",
            gt=0.0,
            le=1.0,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)


def strategic_stance(table: Array, settings: StanceSettings | None = None) -> Stance:
    """Return the stance of one bar.

    Args:
        table: (3, 3) probabilities, rows mlmi, nwrqk, mmd.
        settings: Rule, and threshold of the vote; None = the defaults.

    Raises:
        InvalidTensorError: The table is no three distributions.
    """
    mlmi, nwrqk, mmd = read_choices(table)
    chosen = settings or StanceSettings()
    votes = tuple(
        (0 if each.action is None else each.action - NEUTRAL, _WEIGHT * each.confidence)
        for each in (mlmi, nwrqk)
    )
    regime = RegimeAction(0 if mmd.action is None else mmd.action)
    if chosen.rule == Rule.TARGET:
        target, score, reason = _summed(votes)
    else:
        tally = count_votes(votes, 0, AggregationSettings(threshold=chosen.threshold))
        target, score, reason = tally.direction, tally.score, tally.reason
    position = target * regime.share if reason is MoveReason.MOVED else 0.0
    return Stance(position, regime, score, reason)


def _summed(votes: tuple[tuple[int, float], ...]) -> tuple[int, float, MoveReason]:
    """Return target, mean confidence and why there is a target or none."""
    directions = [direction for direction, _ in votes]
    target = max(-1, min(1, sum(directions)))
    against = MoveReason.TIE if any(directions) else MoveReason.HOLD_VOTED
    score = sum(weighted for _, weighted in votes)
    return target, score, MoveReason.MOVED if target else against
