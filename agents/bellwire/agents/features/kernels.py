"""Scalar kernels of the feature columns, shared by the streaming and the batch form.

`math.tanh` is used on purpose: numpy's vector tanh may differ from it in the last bit and between
machines, and both forms must agree bit for bit.
"""

import math
from typing import Final

MOMENTUM_BARS: Final = 5  # bars: the column is the move over the last five
_MOMENTUM_CLIP_PCT: Final = 10.0  # percent: one spike must not drown the hour
_MOMENTUM_SCALE_PCT: Final = 5.0  # percent that tanh maps to 0.76; keeps the column in +-0.964

LEVEL_CLIP_PCT: Final = 5.0  # percent from the close; further away, distance carries nothing

EMA_ALPHA: Final = 2.0 / 21.0  # a 20-bar exponential mean
EMA_FLOOR: Final = 1e-12  # volume units: guards the division while all volumes were zero


def momentum(close: float, close_before: float) -> float:
    """Return tanh(move in percent / 5) of two closes, the move clipped to 10: within +-0.965."""
    move_pct = 100.0 * (close / close_before - 1.0)
    clipped = min(max(move_pct, -_MOMENTUM_CLIP_PCT), _MOMENTUM_CLIP_PCT)
    return math.tanh(clipped / _MOMENTUM_SCALE_PCT)


def momentum_pct(value: float) -> float:
    """Return the move in percent (clipped to 10) that `momentum` turned into `value`."""
    return _MOMENTUM_SCALE_PCT * math.atanh(value)


def next_ema(ema: float, volume: float) -> float:
    """Return the exponential mean after one more bar."""
    return EMA_ALPHA * volume + (1.0 - EMA_ALPHA) * ema


def volume_ratio(volume: float, ema: float) -> float:
    """Return tanh(log(1 + max(0, r - 1))) of r = volume / ema, in [0, 0.982].

    For r >= 1 that is (r^2 - 1) / (r^2 + 1): no transcendental, so no rounding to agree on.
    """
    ratio = volume / max(ema, EMA_FLOOR)
    if ratio <= 1.0:
        return 0.0
    square = ratio * ratio
    return (square - 1.0) / (square + 1.0)


def level_pct(edge: float, close: float) -> float:
    """Return the distance from the close to a zone edge in percent, clipped to +-5."""
    return min(max(100.0 * (edge / close - 1.0), -LEVEL_CLIP_PCT), LEVEL_CLIP_PCT)
