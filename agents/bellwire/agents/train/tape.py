"""The tape of one symbol: what the agents may look at on each bar, and what the next bar brought."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.features import ROWS, feature_rows, ready_after_bars
from bellwire.agents.tactical.networks import OBSERVATION_SIZE
from bellwire.agents.train.data import BarArrays
from bellwire.agents.train.errors import TooFewBarsError

BARS_MIN: Final = ready_after_bars() + 1  # one bar to decide on and the one after it

_OFFSETS: Final = np.arange(1 - ROWS, 1)  # (60,) rows of an observation, from its newest


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """Features and returns of every bar; observations are cut out of it when they are needed."""

    bars: BarArrays
    rows: NDArray[np.float32]
    """(bars, 7): row i is known when bar i has closed."""
    log_returns: NDArray[np.float64]
    """(bars - 1,): from the close of bar i to that of bar i + 1."""

    @property
    def decisions(self) -> range:
        """Bars with a complete observation and a known next return."""
        return range(ready_after_bars() - 1, len(self.log_returns))

    def observations(self, bars: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the flattened observations at the close of these bars, shape (n, 420)."""
        windows: NDArray[np.float32] = self.rows[bars[:, np.newaxis] + _OFFSETS]  # (n, 60, 7)
        return windows.reshape(len(bars), OBSERVATION_SIZE)  # (n, 420)


def record(bars: BarArrays) -> Tape:
    """Return the tape of a series.

    Raises:
        TooFewBarsError: not even one bar can be decided on.
        InvalidBarError: a bar no feature can be computed from.
    """
    if len(bars) < BARS_MIN:
        raise TooFewBarsError(bars.symbol, len(bars), BARS_MIN)
    rows = feature_rows(bars.open, bars.high, bars.low, bars.close, bars.volume)
    # A quotient first: prices of another scale then give the same return to the last bit but one.
    return Tape(bars, rows, np.log(bars.close[1:] / bars.close[:-1]))
