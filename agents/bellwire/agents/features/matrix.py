"""The tactical observation: 60 closed bars by 7 features, kept up to date bar by bar."""

import math
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.features import kernels
from bellwire.agents.features.errors import InvalidBarError
from bellwire.agents.features.fvg import (
    LOOKBACK_BARS_DEFAULT,
    ZONE_AGE_BARS_MAX,
    FvgDetector,
    FvgState,
    Zone,
)

ROWS: Final = 60  # bars in one observation; the newest closed bar is the last row
DTYPE: Final = np.dtype("<f4")  # what travels on the wire: little-endian float32


class Column(IntEnum):
    """Meaning of each column of the matrix."""

    FVG_BULLISH_ACTIVE = 0
    """1 while a bullish zone is active, else 0."""
    FVG_BEARISH_ACTIVE = 1
    """1 while a bearish zone is active, else 0."""
    FVG_NEAREST_LEVEL = 2
    """Percent from the close to the nearest zone edge, clipped to +-5; 0 without a zone."""
    FVG_AGE = 3
    """Age of that zone over 50, in [0, 1]; 0 without a zone."""
    FVG_MITIGATION = 4
    """1 when this bar crossed an older zone whole."""
    PRICE_MOMENTUM_5 = 5
    """tanh(move over five bars in percent / 5), in +-0.964; 0 on the first five bars."""
    VOLUME_RATIO = 6
    """0 when volume is at or below its 20-bar mean, towards 0.982 as it rises above."""


COLUMNS: Final = len(Column)


class FeatureRow(NamedTuple):
    """One row of the matrix; the values are exactly representable as float32."""

    fvg_bullish_active: float
    fvg_bearish_active: float
    fvg_nearest_level: float
    fvg_age: float
    fvg_mitigation: float
    price_momentum_5: float
    volume_ratio: float


@dataclass(frozen=True, slots=True)
class Observation:
    """The last 60 rows as they stood after one bar; never changes afterwards."""

    bar_count: int
    """Bars seen when it was taken, the newest included; tells two observations apart."""
    data: bytes
    """60 x 7 little-endian float32, row by row, oldest first: the tensor as it travels."""

    def array(self) -> NDArray[np.float32]:
        """Return a read-only view of the rows."""
        return np.frombuffer(self.data, DTYPE).reshape(ROWS, COLUMNS)  # (row, column)


def ready_after_bars(lookback_bars: int = LOOKBACK_BARS_DEFAULT) -> int:
    """Return how many bars fill 60 rows whose every feature had its history: 80 by default."""
    return ROWS + max(lookback_bars, kernels.MOMENTUM_BARS)


class FeatureMatrix:
    """Turn the closed bars of one symbol into observations; feed every bar once, in order.

    A ring of twice 60 rows, each row written at two places, so that the newest 60 always lie in
    one piece and are copied out at once.
    """

    __slots__ = ("_closes", "_ema", "_fvg", "_lookback", "_ring")

    def __init__(self, lookback_bars: int = LOOKBACK_BARS_DEFAULT) -> None:
        self._fvg = FvgDetector(lookback_bars)
        self._lookback = lookback_bars
        self._closes: deque[float] = deque(maxlen=kernels.MOMENTUM_BARS)
        self._ema: float | None = None
        self._ring = np.zeros((2 * ROWS, COLUMNS), DTYPE)

    @property
    def bar_count(self) -> int:
        """How many bars have been seen."""
        return self._fvg.bar_count

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The active fair value gaps, oldest first."""
        return self._fvg.zones

    @property
    def ready(self) -> bool:
        """Whether enough bars were seen for an observation (80 by default)."""
        return self.bar_count >= ready_after_bars(self._lookback)

    def push(
        self, open_: float, high: float, low: float, close: float, volume: float
    ) -> FeatureRow:
        """Take the next closed bar and return its row.

        Raises:
            InvalidBarError: a value is not finite, a price is not positive or outside [low, high],
                or the volume is negative; nothing has changed then.
        """
        check_bar(open_, high, low, close, volume, self.bar_count)
        slot = self.bar_count % ROWS
        state = self._fvg.update(open_, high, low, close)
        row = self._ring[slot]
        row[:] = (*_fvg_columns(state, close), self._momentum(close), self._volume(volume))
        self._ring[slot + ROWS] = row
        return FeatureRow(*row.tolist())

    def observation(self) -> Observation | None:
        """Return the newest 60 rows, or None until `ready`."""
        if not self.ready:
            return None
        oldest = self.bar_count % ROWS
        return Observation(self.bar_count, self._ring[oldest : oldest + ROWS].tobytes())

    def _momentum(self, close: float) -> float:
        closes = self._closes
        full = len(closes) == kernels.MOMENTUM_BARS
        value = kernels.momentum(close, closes[0]) if full else 0.0
        closes.append(close)
        return value

    def _volume(self, volume: float) -> float:
        self._ema = volume if self._ema is None else kernels.next_ema(self._ema, volume)
        return kernels.volume_ratio(volume, self._ema)


def check_bar(
    open_: float, high: float, low: float, close: float, volume: float, bar: int | None = None
) -> None:
    """Refuse a bar no feature could be computed from; `bar` is its number, for the message.

    Raises:
        InvalidBarError: naming the first bad value.
    """
    ordered = 0.0 < low <= open_ <= high < math.inf and low <= close <= high
    if ordered and 0.0 <= volume < math.inf:
        return
    prices = {"open": open_, "high": high, "low": low, "close": close}
    for name, price in prices.items():
        if not 0.0 < price < math.inf:
            raise InvalidBarError(name, price, "a finite price above 0", bar)
    if not 0.0 <= volume < math.inf:
        raise InvalidBarError("volume", volume, "a finite number of at least 0", bar)
    if high < low:
        raise InvalidBarError("high", high, f"at least the low {low}", bar)
    for name in ("open", "close"):
        if not low <= prices[name] <= high:
            raise InvalidBarError(name, prices[name], f"from the low {low} to the high {high}", bar)


def _fvg_columns(state: FvgState, close: float) -> tuple[float, float, float, float, float]:
    edge = state.nearest_edge
    return (
        float(state.bullish_active),
        float(state.bearish_active),
        0.0 if edge is None else kernels.level_pct(edge, close),
        state.nearest_age_bars / ZONE_AGE_BARS_MAX,
        float(state.mitigated),
    )
