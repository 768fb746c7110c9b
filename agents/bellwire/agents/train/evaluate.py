"""What a policy earns on bars it has not seen, acting greedily; needs numpy and nothing more.

A quantizer's gate evaluates the same tape before and after through the same function.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.tactical.networks import ACTIONS
from bellwire.agents.train.policy import Policy
from bellwire.agents.train.position import BP
from bellwire.agents.train.tape import Tape


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One pass over a range of bars, begun flat."""

    bars: int
    gross_log_return: float
    """Sum of position times next log return, before any fee."""
    standard_error: float
    """Of that sum, were the bars independent; a return within two of it may be chance."""
    turnover: float
    """Position traded, in units of the whole position: flat to long is 1, long to short 2."""
    actions: tuple[tuple[int, ...], ...]
    """How often each agent of the system took each action; none for a benchmark."""
    seen: NDArray[np.float64] = field(
        default_factory=lambda: np.empty(0), compare=False, repr=False
    )
    """(bars,) position the policy was asked with; empty for a benchmark."""

    def net_log_return(self, fee_bp: float) -> float:
        """Return what is left after a fee on the value traded. Policies do not see the fee."""
        return self.gross_log_return - fee_bp * BP * self.turnover


def evaluate(policy: Policy, tape: Tape, bars: range) -> Evaluation:
    """Return what the most likely actions earn, bar after bar. Blocks; 20 to 40 us a bar."""
    positions = np.zeros(len(bars) + 1)
    agents = np.arange(len(tape.system.agents))
    counts = np.zeros((len(agents), ACTIONS), np.int64)
    for index, bar in enumerate(bars):
        position = positions[index : index + 1]
        # One observation at a time: all at once would take 1.7 kB a bar.
        shares = policy(tape.observations(np.array([bar])), position[:, None].astype(np.float32))
        actions = shares.argmax(axis=2)  # (1, 3)
        counts[agents, actions[0]] += 1
        positions[index + 1] = tape.system.positions_after(position, actions)[0]
    traded = float(np.abs(np.diff(positions)).sum())
    earned = positions[1:] * tape.log_returns[bars.start : bars.stop]
    histogram = tuple(tuple(row) for row in counts.tolist())
    gross = float(earned.sum())
    return Evaluation(len(bars), gross, _error(earned), traded, histogram, seen=positions[:-1])


def buy_and_hold(tape: Tape, bars: range) -> Evaluation:
    """Return what buying on the first bar and never selling earns."""
    earned = tape.log_returns[bars.start : bars.stop]
    return Evaluation(len(bars), float(earned.sum()), _error(earned), 1.0, ())


def _error(earned: NDArray[np.float64]) -> float:
    return math.sqrt(len(earned)) * float(earned.std())
