"""The same features over whole arrays: for training, for tests, for checking the stream.

Written apart from the streaming form on purpose (loops over ages, not over bars): that both agree
bit for bit is a test of each. Only the exponential mean and tanh go bar by bar, through the shared
scalar kernels.
"""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from bellwire.agents.features import kernels
from bellwire.agents.features.errors import BarArraysError
from bellwire.agents.features.fvg import (
    BODY_FACTOR,
    LOOKBACK_BARS_DEFAULT,
    TIE,
    ZONE_AGE_BARS_MAX,
    ZoneKind,
    check_lookback,
)
from bellwire.agents.features.matrix import (
    COLUMNS,
    DTYPE,
    ROWS,
    Column,
    check_bar,
    ready_after_bars,
)

_Floats = NDArray[np.float64]
_NEVER: Final = ZONE_AGE_BARS_MAX + 2  # age at which a zone that price never crosses is mitigated


def feature_rows(
    open_: ArrayLike,
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    volume: ArrayLike,
    *,
    lookback_bars: int = LOOKBACK_BARS_DEFAULT,
) -> NDArray[np.float32]:
    """Return one row per bar, shape (bars, 7); row i is what the i-th `push` returns.

    Raises:
        InvalidBarError: a bar no feature can be computed from.
        BarArraysError: the arrays are not one-dimensional or differ in length.
        SettingsError: `lookback_bars` is out of range.
    """
    check_lookback(lookback_bars)
    o, h, lo, c, v = _checked(open_, high, low, close, volume)
    rows = np.zeros((len(c), COLUMNS), DTYPE)  # (bar, column)
    with np.errstate(over="ignore"):  # absurd but finite prices overflow to inf, as floats do
        kind = _detect(o, h, lo, c, lookback_bars)
        _fill_fvg(rows, kind, h, lo, c)
        rows[:, Column.PRICE_MOMENTUM_5] = _momentum(c)
    rows[:, Column.VOLUME_RATIO] = _volume_ratio(v)
    return rows


def observation_windows(
    rows: NDArray[np.float32], lookback_bars: int = LOOKBACK_BARS_DEFAULT
) -> NDArray[np.float32]:
    """Return every complete observation of `rows` as a read-only view, shape (n, 60, 7).

    The first is the one a stream gives after `ready_after_bars(lookback_bars)` bars.
    """
    first = ready_after_bars(lookback_bars) - ROWS
    if len(rows) < first + ROWS:
        return np.empty((0, ROWS, COLUMNS), DTYPE)
    windows = sliding_window_view(rows[first:], ROWS, axis=0)  # (window, column, row)
    return windows.transpose(0, 2, 1)  # (window, row, column)


def _checked(*arrays: ArrayLike) -> tuple[_Floats, _Floats, _Floats, _Floats, _Floats]:
    o, h, lo, c, v = (np.asarray(array, dtype=np.float64) for array in arrays)
    shapes = tuple(array.shape for array in (o, h, lo, c, v))
    if len(set(shapes)) != 1 or len(shapes[0]) != 1:
        raise BarArraysError(shapes)
    good = (lo > 0.0) & (lo <= o) & (o <= h) & (lo <= c) & (c <= h) & (h < np.inf)
    good &= (v >= 0.0) & (v < np.inf)
    if not good.all():
        bad = int(np.argmin(good))
        o_, h_, lo_, c_, v_ = (float(array[bad]) for array in (o, h, lo, c, v))
        check_bar(o_, h_, lo_, c_, v_, bad)
    return o, h, lo, c, v


def _detect(o: _Floats, h: _Floats, lo: _Floats, c: _Floats, lookback: int) -> NDArray[np.int8]:
    """Return for each bar 1 / -1 / 0: a bullish, a bearish, no zone created on it."""
    bars = len(c)
    kind = np.zeros(bars, np.int8)
    if bars <= lookback:
        return kind
    body = np.abs(c - o)
    windows = bars - lookback  # windows ending at bar lookback-1, ..., bars-2
    total = np.zeros(windows)
    for offset in range(lookback):  # oldest first, the order of the streaming sum
        total += body[offset : offset + windows]
    threshold = BODY_FACTOR * (total / lookback) + TIE * c[lookback:]
    large = body[lookback - 1 : -1] > threshold
    now, before = slice(lookback, bars), slice(lookback - 2, bars - 2)
    kind[now][large & (lo[now] > h[before])] = ZoneKind.BULLISH
    kind[now][large & (h[now] < lo[before])] = ZoneKind.BEARISH
    return kind


def _fill_fvg(
    rows: NDArray[np.float32], kind: NDArray[np.int8], h: _Floats, lo: _Floats, c: _Floats
) -> None:
    bars = len(c)
    created = np.flatnonzero(kind)
    bullish = kind[created] == ZoneKind.BULLISH
    lower = np.where(bullish, h[created - 2], h[created])
    upper = np.where(bullish, lo[created], lo[created - 2])
    ended = _mitigation_age(created, bullish, lower, upper, h, lo)
    crossed = (created + ended)[ended != _NEVER]
    rows[crossed, Column.FVG_MITIGATION] = 1.0

    best = np.full(bars, np.inf)
    edge = np.zeros(bars)
    age_of_nearest = np.zeros(bars)
    for age in range(ZONE_AGE_BARS_MAX, -1, -1):  # oldest first: of equal distances it wins
        alive = (ended > age) & (created + age < bars)
        at = created[alive] + age  # each bar at most once: one zone per creating bar
        rows[at[bullish[alive]], Column.FVG_BULLISH_ACTIVE] = 1.0
        rows[at[~bullish[alive]], Column.FVG_BEARISH_ACTIVE] = 1.0
        for level in (lower[alive], upper[alive]):
            distance = np.abs(level - c[at])
            nearer = distance < best[at] - TIE * c[at]
            best[at[nearer]] = distance[nearer]
            edge[at[nearer]] = level[nearer]
            age_of_nearest[at[nearer]] = age
    active = best < np.inf
    level_pct = 100.0 * (edge[active] / c[active] - 1.0)
    clipped = np.clip(level_pct, -kernels.LEVEL_CLIP_PCT, kernels.LEVEL_CLIP_PCT)
    rows[active, Column.FVG_NEAREST_LEVEL] = clipped
    rows[:, Column.FVG_AGE] = age_of_nearest / ZONE_AGE_BARS_MAX


def _mitigation_age(
    created: NDArray[np.intp],
    bullish: NDArray[np.bool_],
    lower: _Floats,
    upper: _Floats,
    h: _Floats,
    lo: _Floats,
) -> NDArray[np.intp]:
    """Return the age at which price first crossed each zone whole, or _NEVER."""
    bars = len(h)
    ended = np.full(len(created), _NEVER)
    # Downwards, so that the earliest crossing is the one that stays. Expiry comes after mitigation
    # within a bar, so a zone can still be crossed on the very bar it turns too old.
    for age in range(ZONE_AGE_BARS_MAX + 1, 0, -1):
        inside = created + age < bars
        at = np.minimum(created + age, bars - 1)
        crossed = np.where(bullish, lo[at] <= lower, h[at] >= upper)
        ended[inside & crossed] = age
    return ended


def _momentum(c: _Floats) -> _Floats:
    bars = kernels.MOMENTUM_BARS
    out = np.zeros(len(c))
    if len(c) > bars:
        out[bars:] = list(map(kernels.momentum, c[bars:].tolist(), c[:-bars].tolist()))
    return out


def _volume_ratio(v: _Floats) -> _Floats:
    out = np.zeros(len(v))
    if not len(v):
        return out
    volumes = v.tolist()
    ema = volumes[0]
    means = [ema]
    for volume in volumes[1:]:
        ema = kernels.next_ema(ema, volume)
        means.append(ema)
    ratio = v / np.maximum(means, kernels.EMA_FLOOR)
    above = ratio > 1.0
    square = ratio[above] * ratio[above]
    out[above] = (square - 1.0) / (square + 1.0)
    return out
