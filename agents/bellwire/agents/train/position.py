"""What the three agents' actions do to the position, and what that earns.

Actions are counted in ascending order: the first two agents of a system short, hold, long. Direction is
index - 1; the target is the sum of both directions within one unit. The third decides how much of it:

* tactical: entry (wait, execute now, aggressive) how much of the way to the target is gone.
* strategic: mmd (avoid, reduce, trade) how much of the target is held, wherever the position was.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

ENTRY_SHARES: Final = (0.0, 0.5, 1.0)  # of the way to the target: wait, execute now, aggressive
REWARD_SCALE: Final = 100.0  # rewards are in percent, so that values are of order one
BP: Final = 1e-4
REGIME_SHARES: Final = (0.0, 0.5, 1.0)  # of the target: avoid, reduce, trade

_SHARES: Final = np.array(ENTRY_SHARES)
_REGIMES: Final = np.array(REGIME_SHARES)
_Floats = NDArray[np.float64]


def moved(position: _Floats, actions: NDArray[np.int64]) -> _Floats:
    """Return the positions after these actions.

    Args:
        position: (n,) in [-1, 1].
        actions: (n, 3) indices 0 … 2 of fvg, momentum, entry.
    """
    after: _Floats = position + (_target(actions) - position) * _SHARES[actions[:, 2]]
    return after


def held(position: _Floats, actions: NDArray[np.int64]) -> _Floats:
    """Return the positions after the actions of mlmi, nwrqk and mmd, (n, 3); where they were is left."""
    after: _Floats = _target(actions) * _REGIMES[actions[:, 2]]
    return after


def rewards(position: _Floats, before: _Floats, log_return: _Floats, fee_bp: float) -> _Floats:
    """Return what holding `position` over the next bar earned, in percent, fee paid.

    In return units, never in money: the price level does not matter, and who stays flat earns
    exactly 0. Nothing is paid or charged for a fill that did not happen.
    """
    fee = fee_bp * BP * np.abs(position - before)
    return REWARD_SCALE * (position * log_return - fee)


def _target(actions: NDArray[np.int64]) -> _Floats:
    target: _Floats = np.clip(actions[:, 0] + actions[:, 1] - 2.0, -1.0, 1.0)
    return target
