"""What came of one bar, whoever decided it: the networks, the rules in their place, or nobody."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bellwire.agents.tactical.actions import JointAction
from bellwire.agents.tactical.aggregate import Move, MoveReason
from bellwire.agents.tactical.decision import Action, Decision, Side
from bellwire.agents.tactical.quantity import confidence_factor

WHOLE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class DecidedBy:
    """Who decided, as signals name it."""

    name: str
    version: str
    quantization: str = "none"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one bar."""

    has_moved: bool
    """Whether a signal follows."""
    position: float
    """Where the position is meant to be from now on, -1 to 1."""
    confidence: float
    """0 to 1."""
    factor: Decimal
    """Of the base quantity; 1 but for votes."""
    rationale: str
    """Why, for people; with every fall-back that led here."""
    decided_by: DecidedBy
    actions: JointAction | None = None
    """What the networks said; None when they did not decide."""


def by_networks(
    actions: JointAction, move: Move, is_vote: bool, decided_by: DecidedBy, notes: tuple[str, ...]
) -> Verdict:
    """Return the verdict of the networks; `notes` are the fall-backs behind the endpoint."""
    fvg, momentum, entry = actions.confidences
    said = (
        f"{move.reason}: fvg {actions.fvg.name} {fvg:.3f}, momentum {actions.momentum.name} "
        f"{momentum:.3f}, entry {actions.entry.name} {entry:.3f}; target {move.target:g}"
    )
    return Verdict(
        has_moved=move.reason is MoveReason.MOVED,
        position=move.position,
        confidence=min(1.0, move.confidence),
        factor=confidence_factor(move.confidence) if is_vote else WHOLE,
        rationale="; ".join((said, *notes)),
        decided_by=decided_by,
        actions=actions,
    )


def by_rules(
    decision: Decision, position: float, decided_by: DecidedBy, notes: tuple[str, ...]
) -> Verdict:
    """Return the verdict of the rules: a whole position on their side, flat, or as it is."""
    votes = ", ".join(f"{v.name} {v.value:.4g}/{v.threshold:.4g}" for v in decision.votes)
    moved = position
    if decision.action is Action.ENTER:
        moved = 1.0 if decision.side is Side.BUY else -1.0
    elif decision.action is Action.EXIT:
        moved = 0.0
    return Verdict(
        has_moved=moved != position,
        position=moved,
        confidence=decision.confidence,
        factor=WHOLE,
        rationale="; ".join((f"rules {decision.reason}: {votes}", *notes)),
        decided_by=decided_by,
    )


def by_nobody(position: float, notes: tuple[str, ...]) -> Verdict:
    """Return HOLD: the position stays as it is."""
    rationale = "; ".join(("HOLD", *notes))
    return Verdict(False, position, 0.0, WHOLE, rationale, DecidedBy("hold", ""))
