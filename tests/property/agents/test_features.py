"""Features on random bars: stream and batch agree, scale does not matter, ranges hold."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bellwire.agents.features import (
    Column,
    FeatureMatrix,
    FvgDetector,
    ZoneKind,
    feature_rows,
    observation_windows,
)

Arrays = tuple[NDArray[np.float64], ...]
Rows = NDArray[np.float32]

lookbacks = st.sampled_from([2, 3, 5, 20])


@st.composite
def bar_arrays(draw, bars_max: int = 140):
    """Draw o, h, l, c, v of a random walk on a coarse price grid, so that ties abound."""
    bars = draw(st.integers(1, bars_max))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tick = draw(st.sampled_from([0.25, 0.01, 1e-5, 1e-8]))
    jump = draw(st.integers(1, 12))  # ticks; small ones give many ties, large ones many gaps
    steps = rng.integers(-jump, jump + 1, (4, bars))
    close = 60 * jump + np.clip(np.cumsum(steps[0]), -50 * jump, 50 * jump)
    open_ = np.maximum(close + steps[1], 2)
    high = np.maximum(open_, close) + np.abs(steps[2]) // 2
    low = np.maximum(np.minimum(open_, close) - np.abs(steps[3]) // 2, 1)
    volume = rng.integers(0, 5, bars) * rng.choice([0.0, 1.0, 1e6, 1e-13], bars)
    return (*(prices * tick for prices in (open_, high, low, close)), volume)


def rows_of(arrays: Arrays, lookback: int) -> Rows:
    open_, high, low, close, volume = arrays
    return feature_rows(open_, high, low, close, volume, lookback_bars=lookback)


def stream(arrays: Arrays, lookback: int) -> tuple[FeatureMatrix, Rows]:
    matrix = FeatureMatrix(lookback)
    rows = [matrix.push(*bar) for bar in zip(*(array.tolist() for array in arrays), strict=True)]
    return matrix, np.array(rows, np.float32)


@settings(max_examples=150, deadline=None)
@given(bar_arrays(), lookbacks)
def test_streaming_equals_batch_bit_for_bit(arrays, lookback):
    matrix, rows = stream(arrays, lookback)
    batch = rows_of(arrays, lookback)
    assert rows.tobytes() == batch.tobytes()
    windows = observation_windows(batch, lookback)
    observation = matrix.observation()
    assert (observation is not None) == (len(windows) > 0)
    if observation is not None:
        assert observation.data == windows[-1].tobytes()


@settings(max_examples=60, deadline=None)
@given(bar_arrays(), lookbacks, st.integers(-20, 20))
def test_scaling_prices_by_a_power_of_two_changes_no_bit(arrays, lookback, exponent):
    prices = (array * 2.0**exponent for array in arrays[:4])
    scaled = rows_of((*prices, arrays[4]), lookback)
    assert scaled.tobytes() == rows_of(arrays, lookback).tobytes()


@settings(max_examples=60, deadline=None)
@given(bar_arrays(), lookbacks, st.floats(1e-5, 1e5))
def test_scaling_prices_by_any_factor_changes_less_than_a_millionth(arrays, lookback, factor):
    prices = (array * factor for array in arrays[:4])
    scaled = rows_of((*prices, arrays[4]), lookback)
    assert np.abs(scaled - rows_of(arrays, lookback)).max() <= 1e-6


@settings(max_examples=60, deadline=None)
@given(bar_arrays(), lookbacks)
def test_every_column_stays_in_its_range(arrays, lookback):
    rows = rows_of(arrays, lookback)
    assert np.isfinite(rows).all()
    flags = rows[:, [Column.FVG_BULLISH_ACTIVE, Column.FVG_BEARISH_ACTIVE, Column.FVG_MITIGATION]]
    assert np.isin(flags, [0.0, 1.0]).all()
    assert (np.abs(rows[:, Column.FVG_NEAREST_LEVEL]) <= 5).all()
    assert ((rows[:, Column.FVG_AGE] >= 0) & (rows[:, Column.FVG_AGE] <= 1)).all()
    assert (np.abs(rows[:, Column.PRICE_MOMENTUM_5]) < 0.9641).all()
    assert ((rows[:, Column.VOLUME_RATIO] >= 0) & (rows[:, Column.VOLUME_RATIO] < 0.98203)).all()


@settings(max_examples=60, deadline=None)
@given(bar_arrays(), lookbacks)
def test_zones_are_bounded_ordered_and_untouched_while_active(arrays, lookback):
    open_, high, low, close, _ = (array.tolist() for array in arrays)
    detector = FvgDetector(lookback)
    for bar in range(len(close)):
        detector.update(open_[bar], high[bar], low[bar], close[bar])
        zones = detector.zones
        assert len(zones) <= 51
        assert [zone.created_bar for zone in zones] == sorted({zone.created_bar for zone in zones})
        for zone in zones:
            since = slice(zone.created_bar + 1, bar + 1)
            assert zone.lower < zone.upper
            assert bar - zone.created_bar <= 50
            if zone.kind is ZoneKind.BULLISH:
                assert all(price > zone.lower for price in low[since])
            else:
                assert all(price < zone.upper for price in high[since])
