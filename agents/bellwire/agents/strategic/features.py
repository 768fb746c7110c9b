"""Thirteen numbers of the last 81 closes: what the strategic networks see.

All are free of scale: prices times a constant give the same numbers. Only sums, products, divisions
and square roots are taken, along the last axis and always in the same order, so that one bar at a time
and a whole series give the same bits. x / (1 + |x|) squeezes what has no bound into -1 … 1.

* mlmi, momentum by its likeness to the past: relative strength over 5 and over 20 bars (gains minus
  losses over their sum); where the price went after the 5 most alike of the last 60 bars (mean of the
  signs: k nearest neighbours, Cover and Hart, IEEE Trans. Information Theory 13, 1967); how far away
  these are.
* nwrqk, a smooth line through the closes: Nadaraya-Watson regression (both 1964) over the last 25 with
  the rational quadratic kernel (1 + d^2 / (2 h^2))^-1 (Rasmussen and Williams 2006, formula 4.19,
  alpha = 1). Only the past is used, so it never repaints. For h = 8 and h = 16: distance of the close
  from the line and slope of the line in typical moves; then the distance of the two lines, and the
  change of the first slope.
* mmd, whether the market is the one it was: unbiased maximum mean discrepancy (Gretton et al., JMLR 13,
  2012, formula 3), halved, between the last 30 moves and the 30 before, with the kernel
  1 / (1 + d^2 / 2) on moves in units of their own size; how much their size has grown; their mean
  over its standard error.
"""

from collections import deque
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from bellwire.agents.features import InvalidBarError

CLOSES: Final = 81  # 20 moves up to the oldest of 60 neighbours, and one more for each bar since
FEATURES: Final = 13
MLMI: Final = slice(0, 4)
NWRQK: Final = slice(4, 10)
MMD: Final = slice(10, 13)

_FAST: Final = 5  # bars of the fast relative strength
_SLOW: Final = 20  # bars of the slow one
_NEIGHBOURS: Final = 60  # bars among which the most alike are looked for
_NEAREST: Final = 5  # odd, so that their signs rarely cancel
_LINE_BARS: Final = 25  # the kernel's weights beyond are small
_BANDWIDTHS: Final = (8.0, 16.0)  # bars
_SAMPLE: Final = 30  # moves in each of the two samples of the discrepancy
PRICE_MIN: Final = 1e-18
PRICE_MAX: Final = 1e18  # what the order path carries; squares of ratios stay far from overflow
_CHUNK: Final = 512  # windows computed at once: 512 x 30 x 30 doubles are 4 MB
_EXPECTED: Final = f"a price from {PRICE_MIN:g} to {PRICE_MAX:g}"

_Floats = NDArray[np.float64]


class StrategicColumn(IntEnum):
    """Meaning of each number; all within -1 … 1."""

    STRENGTH_FAST = 0
    STRENGTH_SLOW = 1
    NEIGHBOURS_DIRECTION = 2
    NEIGHBOURS_DISTANCE = 3
    LINE_FAST_DISTANCE = 4
    LINE_FAST_SLOPE = 5
    LINE_SLOW_DISTANCE = 6
    LINE_SLOW_SLOPE = 7
    LINES_GAP = 8
    LINE_FAST_TURN = 9
    DISCREPANCY = 10
    SIZE_RATIO = 11
    DRIFT = 12


class StrategicFeatures:
    """Turns the closes of one symbol into features; feed every closed bar once, in order."""

    __slots__ = ("_closes",)

    def __init__(self) -> None:
        self._closes: deque[float] = deque(maxlen=CLOSES)

    def push(self, close: float) -> NDArray[np.float32] | None:
        """Take the next close; return the 13 features, or None until there are 81 closes.

        Raises:
            InvalidBarError: the close is no price from 1e-18 to 1e18; nothing has changed then.
        """
        check_close(close)
        self._closes.append(close)
        if len(self._closes) < CLOSES:
            return None
        row: NDArray[np.float32] = _columns(np.array([self._closes]))[0]
        return row


def check_close(close: float) -> None:
    """Let pass what features can be computed from.

    Raises:
        InvalidBarError: the close is no price from 1e-18 to 1e18.
    """
    if not PRICE_MIN <= close <= PRICE_MAX:
        raise InvalidBarError("close", close, _EXPECTED)


def strategic_rows(closes: ArrayLike) -> NDArray[np.float32]:
    """Return the features of a whole series, (closes - 80, 13); row 0 belongs to the 81st close.

    Raises:
        InvalidBarError: a close is no price from 1e-18 to 1e18; its number is named.
    """
    series = np.asarray(closes, dtype=np.float64)
    good = (series >= PRICE_MIN) & (series <= PRICE_MAX)
    if not good.all():
        bad = int(np.argmin(good))
        raise InvalidBarError("close", float(series[bad]), _EXPECTED, bad)
    if len(series) < CLOSES:
        return np.empty((0, FEATURES), np.float32)
    windows = sliding_window_view(series, CLOSES)  # (window, close)
    parts = [
        _columns(np.ascontiguousarray(windows[first : first + _CHUNK]))
        for first in range(0, len(windows), _CHUNK)
    ]
    return np.concatenate(parts)


def _columns(closes: _Floats) -> NDArray[np.float32]:
    """Return (window, 13) of (window, 81)."""
    moves = closes[:, 1:] / closes[:, :-1] - 1.0  # (window, 80)
    typical = np.sqrt(_mean(moves[:, -2 * _SAMPLE :] ** 2))[:, None]  # (window, 1)
    parts = [*_momentum(moves), *_lines(closes, typical), *_discrepancy(moves, typical)]
    return np.stack(parts, axis=1).astype(np.float32)


def _momentum(moves: _Floats) -> tuple[_Floats, ...]:
    fast, slow = _strength(moves, _FAST), _strength(moves, _SLOW)  # (window, bar), newest last
    past = slice(-1 - _NEIGHBOURS, -1)
    distance = np.sqrt((fast[:, past] - fast[:, -1:]) ** 2 + (slow[:, past] - slow[:, -1:]) ** 2)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :_NEAREST]  # the oldest of equals
    after = np.sign(moves[:, -_NEIGHBOURS:])  # of each neighbour, the move that came next
    direction = _mean(np.take_along_axis(after, nearest, axis=1))
    away = _mean(np.take_along_axis(distance, nearest, axis=1))
    return fast[:, -1], slow[:, -1], direction, away / (1.0 + away)


def _strength(moves: _Floats, bars: int) -> _Floats:
    """Return (gains - losses) / (gains + losses) of the last `bars` moves, 0 without any."""
    windows = sliding_window_view(moves, bars, axis=1)  # (window, bar, move)
    up = np.ascontiguousarray(np.maximum(windows, 0.0)).sum(axis=-1)
    down = np.ascontiguousarray(np.maximum(-windows, 0.0)).sum(axis=-1)
    return _ratio(up - down, up + down)


def _lines(closes: _Floats, typical: _Floats) -> tuple[_Floats, ...]:
    last = closes[:, -1]
    unit = typical[:, 0] * last
    fast, slow = (_line(closes, bandwidth) for bandwidth in _BANDWIDTHS)  # (window, 3), newest last
    slope, slope_before = fast[:, 2] - fast[:, 1], fast[:, 1] - fast[:, 0]
    measured = (
        last - fast[:, 2],
        slope,
        last - slow[:, 2],
        slow[:, 2] - slow[:, 1],
        fast[:, 2] - slow[:, 2],
        slope - slope_before,
    )
    return tuple(_squeezed(_ratio(each, unit)) for each in measured)


def _line(closes: _Floats, bandwidth: float) -> _Floats:
    """Return the regression at the three newest bars."""
    ago = np.arange(_LINE_BARS - 1, -1, -1.0)  # bars, oldest first
    weights = 1.0 / (1.0 + ago * ago / (2.0 * bandwidth * bandwidth))
    windows = sliding_window_view(closes[:, -_LINE_BARS - 2 :], _LINE_BARS, axis=1)
    weighted = np.ascontiguousarray(windows * weights).sum(axis=-1)  # (window, 3)
    result: _Floats = weighted / weights.sum()
    return result


def _discrepancy(moves: _Floats, typical: _Floats) -> tuple[_Floats, ...]:
    units = _ratio(moves[:, -2 * _SAMPLE :], np.broadcast_to(typical, (len(moves), 2 * _SAMPLE)))
    before, recent = units[:, :_SAMPLE], units[:, _SAMPLE:]
    pairs = _SAMPLE * (_SAMPLE - 1)
    within = (_kernel_sum(before, before) + _kernel_sum(recent, recent) - 2.0 * _SAMPLE) / pairs
    across = 2.0 * _kernel_sum(before, recent) / (_SAMPLE * _SAMPLE)
    size_before, size = np.sqrt(_mean(before * before)), np.sqrt(_mean(recent * recent))
    drift = _ratio(_mean(recent) * np.sqrt(float(_SAMPLE)), size)
    return (within - across) / 2.0, _ratio(size - size_before, size + size_before), _squeezed(drift)


def _kernel_sum(one: _Floats, other: _Floats) -> _Floats:
    """Return the sum of the kernel over all pairs; a move and itself count 1."""
    difference = one[:, :, None] - other[:, None, :]  # (window, move, move)
    kernel = 1.0 / (1.0 + difference * difference / 2.0)
    flat: _Floats = kernel.reshape(len(one), -1).sum(axis=-1)
    return flat


def _mean(values: _Floats) -> _Floats:
    total: _Floats = np.ascontiguousarray(values).sum(axis=-1)
    total /= values.shape[-1]
    return total


def _ratio(dividend: _Floats, divisor: _Floats) -> _Floats:
    """Return the quotient, 0 where nothing moved and there is nothing to divide by."""
    result = np.zeros(np.broadcast_shapes(dividend.shape, divisor.shape))
    np.divide(dividend, divisor, out=result, where=divisor > 0.0)
    return result


def _squeezed(values: _Floats) -> _Floats:
    result: _Floats = values / (1.0 + np.abs(values))
    return result
