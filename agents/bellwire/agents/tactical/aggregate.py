"""From what three agents say to one move of the position, without I/O.

Only fvg and momentum have a direction; entry decides how much of the move is made now, never where.
Two rules give the target:

* `target`: the sum of both directions, cut to -1 … 1. The networks are trained and evaluated by it.
* `vote`: a direction carries when the weighted confidence of the agents behind it reaches a threshold;
  against the direction of a synergy event its score is lowered first. A tie, a score below the
  threshold and a vote for holding leave the position as it is.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bellwire.agents.tactical.actions import EntryAction, JointAction
from bellwire.agents.tactical.synergy import Synergy, weights_of
from bellwire.wire.settings import check_settings, setting

TIE: Final = 1e-6  # scores closer than float32 probabilities can tell apart are equal


class Rule(StrEnum):
    """How two directions become a target."""

    TARGET = "target"
    VOTE = "vote"


class MoveReason(StrEnum):
    """Why a bar ended in its move."""

    MOVED = "MOVED"
    """The position goes towards the target."""
    AT_TARGET = "AT_TARGET"
    """No move: the position is nearer to the target than a move is worth."""
    ENTRY_WAIT = "ENTRY_WAIT"
    """No move: the entry agent waits."""
    TIE = "TIE"
    """No move: two directions have the same score."""
    BELOW_THRESHOLD = "BELOW_THRESHOLD"
    """No move: no direction is carried."""
    AGAINST_EVENT = "AGAINST_EVENT"
    """No move: carried but for the penalty of the synergy event it goes against."""
    HOLD_VOTED = "HOLD_VOTED"
    """No move: both voted to hold, and that was carried."""


@dataclass(frozen=True, slots=True)
class AggregationSettings:
    """How directions are joined."""

    rule: str = field(
        default=Rule.TARGET.value,
        metadata=setting(
            unit="",
            why="the networks are trained and measured by it; vote asks for confidence too",
            choices=tuple(rule.value for rule in Rule),
        ),
    )
    threshold: float = field(
        default=0.65,
        metadata=setting(
            unit="weighted confidence (vote)",
            why="above the weight of either agent: one alone never trades",
            gt=0.0,
            le=1.0,
        ),
    )
    counter_penalty: float = field(
        default=0.7,
        metadata=setting(
            unit="factor on a score against a synergy event (vote)",
            why="both agents must then be 93 % sure",
            gt=0.0,
            le=1.0,
        ),
    )
    change_min: float = field(
        default=0.05,
        metadata=setting(
            unit="share of a whole position",
            why="halving the rest bar by bar would send orders for ever; the last one takes it all",
            gt=0.0,
            le=1.0,
        ),
    )

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            SettingsError: naming the field and its range.
        """
        check_settings(self)


@dataclass(frozen=True, slots=True)
class Tally:
    """How the two voted."""

    direction: int
    """The one with the best score: -1, 0 or 1; 0 in a tie."""
    score: float
    """Its weighted confidence, after the penalty; 0 to 1."""
    reason: MoveReason
    """MOVED = carried; else why not."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where the position goes on one bar; -1 whole short … 1 whole long."""

    position: float
    """After the move; where it was when there is none."""
    target: float
    """What the agents want in the end."""
    reason: MoveReason
    confidence: float
    """Weighted confidence of fvg and momentum in what each said, 0 to 1; of a vote, its score."""


def tally_votes(
    actions: JointAction, synergy: Synergy | None, settings: AggregationSettings
) -> Tally:
    """Count the votes of fvg and momentum."""
    weights = weights_of(synergy)
    fvg, momentum = actions.directions
    votes = (
        (fvg, weights.fvg * actions.confidences[0]),
        (momentum, weights.momentum * actions.confidences[1]),
    )
    return count_votes(votes, 0 if synergy is None else synergy.direction, settings)


def count_votes(
    votes: tuple[tuple[int, float], ...], event_direction: int, settings: AggregationSettings
) -> Tally:
    """Return the direction with the best score, and whether it is carried.

    Args:
        votes: Direction (-1, 0, 1) and weighted confidence of each; the weights add up to 1.
        event_direction: What votes against are penalised for; 0 = no event.
        settings: Threshold and penalty.
    """
    scores = {-1: 0.0, 0: 0.0, 1: 0.0}
    for direction, weighted in votes:
        scores[direction] += weighted
    best = max(scores, key=lambda direction: scores[direction])
    score = scores[best]
    if sum(other >= score - TIE for other in scores.values()) > 1:
        return Tally(0, score, MoveReason.TIE)
    enough = settings.threshold - TIE
    carried = score >= enough
    if event_direction and best == -event_direction:
        score *= settings.counter_penalty
        if carried and score < enough:
            return Tally(best, score, MoveReason.AGAINST_EVENT)
    if not carried:
        return Tally(best, score, MoveReason.BELOW_THRESHOLD)
    return Tally(best, score, MoveReason.MOVED if best else MoveReason.HOLD_VOTED)


def target_of(actions: JointAction) -> int:
    """Return the sum of the two directions, cut to -1 … 1."""
    return max(-1, min(1, sum(actions.directions)))


def next_position(position: float, target: float, entry: EntryAction) -> float:
    """Return the position after this bar: 0, half or all of the way to the target."""
    return position + (target - position) * entry.share


def decide_move(
    actions: JointAction,
    position: float,
    synergy: Synergy | None = None,
    settings: AggregationSettings | None = None,
) -> Move:
    """Return the move of one bar.

    Args:
        actions: What the agents say.
        position: Where the position is, -1 to 1.
        synergy: The event under way; only the rule `vote` looks at it.
        settings: None = the defaults.
    """
    chosen = settings or AggregationSettings()
    if chosen.rule == Rule.VOTE:
        tally = tally_votes(actions, synergy, chosen)
        if tally.reason is not MoveReason.MOVED:
            return Move(position, position, tally.reason, tally.score)
        target, confidence = float(tally.direction), tally.score
    else:
        weights = weights_of(None)
        fvg, momentum, _ = actions.confidences
        target = float(target_of(actions))
        confidence = weights.fvg * fvg + weights.momentum * momentum
    return _move(position, target, actions.entry, confidence, chosen)


def _move(
    position: float,
    target: float,
    entry: EntryAction,
    confidence: float,
    settings: AggregationSettings,
) -> Move:
    if abs(target - position) < settings.change_min:
        return Move(position, target, MoveReason.AT_TARGET, confidence)
    if entry is EntryAction.WAIT:
        return Move(position, target, MoveReason.ENTRY_WAIT, confidence)
    reached = next_position(position, target, entry)
    if abs(target - reached) < settings.change_min:
        reached = target
    return Move(reached, target, MoveReason.MOVED, confidence)
