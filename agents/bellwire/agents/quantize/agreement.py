"""How far two models' answers to the same questions lie apart; numpy and no I/O."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.tactical.networks import AGENTS
from bellwire.agents.train.policy import Floats, Policy
from bellwire.agents.train.position import moved
from bellwire.agents.train.tape import Tape

Doubles: TypeAlias = NDArray[np.float64]

_ROWS_AT_ONCE = 1_024  # 1.7 MB of observations: bounded whatever the number of bars


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of a quantized model with its parent, over some rows."""

    rows: int
    heads: tuple[float, ...]
    """Share of the rows on which both find the same action likeliest: fvg, momentum, entry."""
    decision: float
    """Share on which both come to the same next position."""
    probability_difference_max: float
    probability_difference_mean: float

    @property
    def shares(self) -> dict[str, float]:
        """All four shares by name: "fvg", "momentum", "entry", "decision"."""
        return {**dict(zip(AGENTS, self.heads, strict=True)), "decision": self.decision}


def answers(policy: Policy, tape: Tape, bars: range, positions: Doubles) -> Floats:
    """Return the probabilities (n, 3, 3) for n bars, asked for in batches of a bounded size.

    Args:
        policy: To be asked.
        tape: What it is asked about.
        bars: Which of them; n ≥ 1.
        positions: (n,) that it is asked with.
    """
    asked = np.arange(bars.start, bars.stop)
    parts = [
        policy(
            tape.observations(asked[start : start + _ROWS_AT_ONCE]),
            positions[start : start + _ROWS_AT_ONCE, np.newaxis].astype(np.float32),
        )
        for start in range(0, len(bars), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts)  # (n, heads, actions)


def compare(parent: Floats, child: Floats, positions: Doubles) -> Agreement:
    """Compare probabilities (n, 3, 3) that were given for the same rows; n ≥ 1.

    Args:
        parent: Of the model before.
        child: Of the model after.
        positions: (n,) that both were asked with.
    """
    first, second = parent.argmax(axis=2), child.argmax(axis=2)
    difference = np.abs(parent.astype(np.float64) - child)
    return Agreement(
        rows=len(positions),
        heads=tuple((first == second).mean(axis=0).tolist()),
        decision=float((moved(positions, first) == moved(positions, second)).mean()),
        probability_difference_max=float(difference.max()),
        probability_difference_mean=float(difference.mean()),
    )
