"""The tape of one symbol: what the agents may look at on each bar, and what the next bar brought."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.train.data import BarArrays
from bellwire.agents.train.errors import TooFewBarsError
from bellwire.agents.train.system import TACTICAL, System

BARS_MIN: Final = TACTICAL.ready_after_bars + 1  # one bar to decide on and the one after it


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """Features and returns of every bar; observations are cut out of it when they are needed."""

    bars: BarArrays
    rows: NDArray[np.float32]
    """(bars, columns): row i is known when bar i has closed."""
    log_returns: NDArray[np.float64]
    """(bars - 1,): from the close of bar i to that of bar i + 1."""
    system: System = TACTICAL
    """Whose agents look at it."""

    @property
    def decisions(self) -> range:
        """Bars with a complete observation and a known next return."""
        return range(self.system.ready_after_bars - 1, len(self.log_returns))

    @property
    def observation_size(self) -> int:
        """Numbers of one observation."""
        return self.system.window * int(self.rows.shape[1])

    def observations(self, bars: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the flattened observations at the close of these bars, (n, observation_size)."""
        back = np.arange(1 - self.system.window, 1)
        windows: NDArray[np.float32] = self.rows[bars[:, np.newaxis] + back]  # (n, window, columns)
        return windows.reshape(len(bars), self.observation_size)


def record(bars: BarArrays, system: System = TACTICAL) -> Tape:
    """Return the tape of a series, as this system sees it.

    Raises:
        TooFewBarsError: not even one bar can be decided on.
        InvalidBarError: a bar no feature can be computed from.
    """
    needed = system.ready_after_bars + 1
    if len(bars) < needed:
        raise TooFewBarsError(bars.symbol, len(bars), needed)
    # A quotient first: prices of another scale then give the same return to the last bit but one.
    returns = np.log(bars.close[1:] / bars.close[:-1])
    return Tape(bars, system.rows_of(bars), returns, system)
