"""The actions of the three agents, numbered as their networks' outputs are.

Direction is always index minus one, and probabilities stand in ascending order of the index: there is
no second encoding anywhere.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from bellwire.agents.inference.errors import InvalidTensorError
from bellwire.agents.inference.tensor import Array

NEUTRAL: Final = 1  # index of "no direction" of both voting agents
SUM_TOLERANCE: Final = 0.05  # of a row from 1: what eight bits make of three probabilities


class FvgAction(IntEnum):
    """What the agent of the fair value gaps says."""

    SHORT = 0
    HOLD = 1
    LONG = 2


class MomentumAction(IntEnum):
    """Where the momentum agent sees the price go; not whether that is with the trend."""

    DOWN = 0
    NEUTRAL = 1
    UP = 2


class EntryAction(IntEnum):
    """How much of the move to the target is made now; it has no direction."""

    WAIT = 0
    """Nothing."""
    EXECUTE_NOW = 1
    """Half of it."""
    AGGRESSIVE = 2
    """All of it."""

    @property
    def share(self) -> float:
        """Of the move: 0, 0.5 or 1."""
        return self.value / 2


class JointAction(NamedTuple):
    """What the three say about one bar, and how sure each is."""

    fvg: FvgAction
    momentum: MomentumAction
    entry: EntryAction
    confidences: tuple[float, float, float]
    """Largest probability of fvg, momentum and entry, 0 to 1."""

    @property
    def directions(self) -> tuple[int, int]:
        """-1, 0 or 1 of fvg and of momentum."""
        return (self.fvg - NEUTRAL, self.momentum - NEUTRAL)


class Choice(NamedTuple):
    """What one row of probabilities says."""

    action: int | None
    """Index of the most probable one; None when two or three share that place."""
    confidence: float
    """Its probability."""


def read_probabilities(table: Array) -> JointAction:
    """Return the most probable action of each agent.

    Of equal probabilities none is the most probable: the agent is then neutral, or waits, so that a
    network that knows nothing trades nothing.

    Args:
        table: (3, 3), rows fvg, momentum, entry.

    Raises:
        InvalidTensorError: Another shape, or a row that is no distribution.
    """
    fvg, momentum, entry = read_choices(table)
    return JointAction(
        fvg=FvgAction(NEUTRAL if fvg.action is None else fvg.action),
        momentum=MomentumAction(NEUTRAL if momentum.action is None else momentum.action),
        entry=EntryAction(0 if entry.action is None else entry.action),
        confidences=(fvg.confidence, momentum.confidence, entry.confidence),
    )


def read_choices(table: Array) -> tuple[Choice, Choice, Choice]:
    """Return what each of three rows says; errors as of `read_probabilities`."""
    expected = "three rows of three probabilities"
    if table.shape != (3, 3):
        raise InvalidTensorError("probabilities", f"of shape {table.shape}", expected)
    sums = table.sum(axis=1)
    # Written so that NaN is refused too.
    if not ((table >= 0.0).all() and (np.abs(sums - 1.0) <= SUM_TOLERANCE).all()):
        raise InvalidTensorError("probabilities", f"{table.tolist()}", expected)
    first, second, third = table.tolist()
    return _choice(first), _choice(second), _choice(third)


def _choice(row: list[float]) -> Choice:
    largest = max(row)
    return Choice(row.index(largest) if row.count(largest) == 1 else None, largest)
