"""What a model earns on bars that it has not seen, taking its likeliest actions; numpy and no I/O.

The rule is the one that the tactical agents are trained by. fvg and momentum each say short, hold or long, and the sum
of both, cut to -1 … 1, is the target; entry says whether none, half or all of the way to it is gone now.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Policy: TypeAlias = Callable[[Floats, Floats], Floats]
"""Observations (n, 420) and positions (n, 1) to probabilities (n, 3, 3), rows fvg, momentum, entry."""

HEADS: Final = ("fvg", "momentum", "entry")
ACTIONS: Final = 3
BP: Final = 1e-4
_SHARES: Final = np.array((0.0, 0.5, 1.0))  # of the way to the target: wait, now, aggressive


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """One pass over the bars, begun flat."""

    seen: Doubles
    """(bars,) position the model was asked with."""
    gross_log_return: float
    """Sum of position times next log return, before any fee."""
    turnover: float
    """Position traded: flat to long is 1, long to short 2."""

    def net_log_return(self, fee_bp: float) -> float:
        """Return what is left after a fee, in basis points of the value traded."""
        return self.gross_log_return - fee_bp * BP * self.turnover


def moved(position: Doubles, actions: NDArray[np.intp]) -> Doubles:
    """Return the positions after actions (n, 3), each 0 … 2."""
    target = np.clip(actions[:, 0] + actions[:, 1] - 2.0, -1.0, 1.0)
    after: Doubles = position + (target - position) * _SHARES[actions[:, 2]]
    return after


def walk(policy: Policy, observations: Floats, log_returns: Doubles) -> Walk:
    """Walk over the bars, each position going into the next question. Blocks, about 20 us a bar.

    Args:
        policy: Asked with one row at a time.
        observations: (bars, 60, 7) or (bars, 420), oldest first; a view will do.
        log_returns: (bars,) from the close of each bar to that of the next.
    """
    bars = len(log_returns)
    positions = np.zeros(bars + 1)
    for bar in range(bars):
        now = positions[bar : bar + 1]
        shares = policy(
            np.ascontiguousarray(observations[bar]).reshape(1, -1),  # (1, 420)
            now.astype(np.float32)[:, np.newaxis],  # (1, 1)
        )
        positions[bar + 1] = moved(now, shares.argmax(axis=2))[0]
    earned = float((positions[1:] * log_returns).sum())
    return Walk(positions[:-1], earned, float(np.abs(np.diff(positions)).sum()))
