"""bellwire.agents.train.synthetic: the planted effect is there, of the stated size, and no other."""

import math

import numpy as np
import pytest

from bellwire.agents.features import feature_rows
from bellwire.agents.train.synthetic import SyntheticSettings, synthetic_prices
from bellwire.wire.settings import SettingsError

BARS = 40_000


def reversal_bp(prices):
    """Mean return against the five bars before, and its standard error, in bp."""
    logs = np.log(prices.close)
    against = -np.sign(logs[5:-1] - logs[:-6]) * np.diff(logs)[5:]
    return 1e4 * against.mean(), 1e4 * against.std() / math.sqrt(len(against))


@pytest.mark.parametrize("effect", [0.0, 5.0, 15.0])
def test_the_planted_reversal_has_the_stated_size(effect):
    settings = SyntheticSettings(bars=BARS, seed=1, effect_bp=effect, spread_bp=0.0)
    found, error = reversal_bp(synthetic_prices(settings))
    assert abs(found - effect) < 4 * error


def test_trades_at_bid_and_ask_make_closes_bounce():
    calm = SyntheticSettings(bars=BARS, seed=1, effect_bp=0.0, volatility_bp=5.0, spread_bp=20.0)
    moves = np.diff(np.log(synthetic_prices(calm).close))
    # Roll (1984): neighbouring moves have a covariance of minus half the spread squared.
    assert np.cov(moves[1:], moves[:-1])[0, 1] == pytest.approx(-((10e-4) ** 2), rel=0.1)


def test_volatility_clusters_and_tails_are_fat():
    settings = SyntheticSettings(bars=BARS, seed=2, effect_bp=0.0, spread_bp=0.0)
    moves = np.diff(np.log(synthetic_prices(settings).close))
    assert moves.std() == pytest.approx(50e-4, rel=0.15)
    squares = moves**2
    assert np.corrcoef(squares[1:], squares[:-1])[0, 1] > 0.05
    assert (squares**2).mean() / squares.mean() ** 2 > 4.0  # 3 is Gaussian


def test_every_bar_is_one_that_features_take():
    prices = synthetic_prices(SyntheticSettings(bars=2_000, seed=5))
    rows = feature_rows(*prices)
    assert rows.shape == (2_000, 7)
    assert rows[:, 0].mean() > 0.05, "no fair value gaps: nothing for the fvg agent to see"


def test_more_bars_than_memory_holds_are_refused():
    with pytest.raises(SettingsError, match="bars is 10000000"):
        SyntheticSettings(bars=10_000_000)
