"""Generated bars with a planted effect: a market in which it is known what can be learnt.

The efficient price follows GARCH(1,1) with Student-t shocks (Bollerslev, 1987), so that
volatility clusters and tails are fat. Trades happen at bid or ask, chosen by a coin, which makes
closes bounce (Roll, 1984). The planted effect is a reversal: the expected return of a bar is
`effect_bp` against the sign of the efficient price's move over the five bars before, which the
momentum column shows.
"""

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bellwire.wire.settings import check_settings, setting

_FIRST_PRICE: Final = 100.0
_EFFECT_BARS: Final = 5  # bars: what the momentum column looks back
_GARCH_SHOCK: Final = 0.08  # of the variance from the last shock, as daily series usually give
_GARCH_MEMORY: Final = 0.90  # of the variance from the last variance; both sum to below 1
_TAIL_DEGREES: Final = 5.0  # of freedom: kurtosis is finite, tails are fat
_WICK_SHARE: Final = 0.5  # of a bar's volatility: mean length of a wick
_VOLUME_SPREAD: Final = 0.4  # standard deviation of log volume
_VOLUME_MEAN: Final = 1_000.0

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SyntheticSettings:
    """One generated series."""

    bars: int = field(
        default=20_000,
        metadata=setting(
            unit="bars",
            why="ten weeks of five-minute bars; a third as many are learnt by heart",
            ge=200,
            le=1_000_000,
        ),
    )
    seed: int = field(
        default=0, metadata=setting(unit="", why="any number does", ge=0, le=2**32 - 1)
    )
    volatility_bp: float = field(
        default=50.0,
        metadata=setting(unit="bp a bar", why="long-run; a lively crypto pair", gt=0.0, le=1_000.0),
    )
    effect_bp: float = field(
        default=15.0,
        metadata=setting(
            unit="bp a bar",
            why="three tenths of the volatility: found in half a minute; 0 plants none",
            ge=0.0,
            le=1_000.0,
        ),
    )
    spread_bp: float = field(
        default=2.0,
        metadata=setting(unit="bp", why="bid to ask; far below the volatility", ge=0.0, le=1_000.0),
    )

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            SettingsError: naming the field and its range.
        """
        check_settings(self)


class Prices(NamedTuple):
    """The columns of generated bars."""

    open: _Floats
    high: _Floats
    low: _Floats
    close: _Floats
    volume: _Floats


def synthetic_prices(settings: SyntheticSettings) -> Prices:
    """Return the generated columns; equal settings give equal numbers."""
    random = np.random.default_rng(settings.seed)
    efficient, volatility = _efficient_price(settings, random)
    half_spread = settings.spread_bp / 2e4
    bounce = random.choice((-half_spread, half_spread), settings.bars)
    close = efficient * (1.0 + bounce)
    open_ = np.concatenate(([_FIRST_PRICE], close[:-1]))
    wicks = random.exponential(_WICK_SHARE, (2, settings.bars)) * volatility
    high = np.maximum(open_, close) * (1.0 + wicks[0])
    low = np.minimum(open_, close) / (1.0 + wicks[1])
    surprise = np.abs(np.log(close / open_)) / volatility
    volume = _VOLUME_MEAN * np.exp(
        _VOLUME_SPREAD * random.standard_normal(settings.bars) + 0.5 * surprise
    )
    return Prices(open_, high, low, close, volume)


def _efficient_price(
    settings: SyntheticSettings, random: np.random.Generator
) -> tuple[_Floats, _Floats]:
    """Return price and volatility after each bar, bar by bar: each move depends on those before."""
    shocks = random.standard_t(_TAIL_DEGREES, settings.bars)
    shocks *= math.sqrt((_TAIL_DEGREES - 2.0) / _TAIL_DEGREES)  # to variance 1
    long_run = (settings.volatility_bp / 1e4) ** 2
    base = (1.0 - _GARCH_SHOCK - _GARCH_MEMORY) * long_run
    effect = settings.effect_bp / 1e4
    logs = [0.0] * (_EFFECT_BARS + 1)  # of the price over the first; no move before the first bar
    variances = [long_run]
    for shock in shocks.tolist():
        past = logs[-1] - logs[-1 - _EFFECT_BARS]
        deviation = math.sqrt(variances[-1]) * shock
        logs.append(logs[-1] - math.copysign(effect, past) * (past != 0.0) + deviation)
        variances.append(base + _GARCH_SHOCK * deviation**2 + _GARCH_MEMORY * variances[-1])
    moves = np.array(logs[_EFFECT_BARS + 1 :])
    return _FIRST_PRICE * np.exp(moves), np.sqrt(np.array(variances[:-1]))
