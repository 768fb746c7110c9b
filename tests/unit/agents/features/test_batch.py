"""The batch form: equal to the stream on real data, free of scale, strict about its input."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import BUNDLED_SERIES
from bellwire.agents.features import (
    BarArraysError,
    Column,
    FeatureMatrix,
    InvalidBarError,
    feature_rows,
    observation_windows,
    ready_after_bars,
)
from bellwire.wire.settings import SettingsError

Arrays = Sequence[NDArray[np.float64]]


def rows_of(arrays: Arrays, lookback: int = 20) -> NDArray[np.float32]:
    open_, high, low, close, volume = arrays
    return feature_rows(open_, high, low, close, volume, lookback_bars=lookback)


@pytest.fixture(scope="module", params=BUNDLED_SERIES, ids=lambda series: series.symbol)
def arrays(request):
    series = read_ohlcv(request.param.path, symbol=request.param.symbol)
    return tuple(
        np.array(column) for column in zip(*(b.floats() for b in series.bars), strict=True)
    )


def scaled(arrays: Arrays, factor: float) -> Arrays:
    return (*(array * factor for array in arrays[:4]), arrays[4])


@pytest.mark.parametrize("lookback", [20, 10, 2, 60])
def test_streaming_equals_batch_bit_for_bit_on_real_bars(arrays, lookback):
    matrix = FeatureMatrix(lookback)
    batch = rows_of(arrays, lookback)
    windows = observation_windows(batch, lookback)
    for index, bar in enumerate(zip(*(array.tolist() for array in arrays), strict=True)):
        row = matrix.push(*bar)
        assert row == tuple(batch[index].tolist())
        observation = matrix.observation()
        if index % 97 == 0 and observation is not None:
            window = windows[index + 1 - ready_after_bars(lookback)]
            assert observation.data == window.tobytes()
    assert len(windows) == len(batch) - ready_after_bars(lookback) + 1


def test_real_bars_show_every_feature(arrays):
    rows = rows_of(arrays)
    assert ((rows != 0).mean(axis=0) > 0.05).all()
    assert (np.abs(rows) <= [1, 1, 5, 1, 1, 0.965, 0.982]).all()


@pytest.mark.parametrize("exponent", [-20, 20])
def test_prices_times_a_power_of_two_give_the_identical_matrix(arrays, exponent):
    assert rows_of(scaled(arrays, 2.0**exponent)).tobytes() == rows_of(arrays).tobytes()


@pytest.mark.parametrize("factor", [1e-5, 1e5, 1 / 3])
def test_prices_times_any_factor_give_the_same_matrix_within_a_millionth(arrays, factor):
    difference = rows_of(scaled(arrays, factor)) - rows_of(arrays)
    assert np.abs(difference).max() <= 1e-6


def test_every_prefix_gives_the_same_rows_so_nothing_looks_ahead(arrays):
    whole = rows_of(arrays)
    for length in (0, 1, 5, 20, 21, 22, 23, 80, 1_000):
        prefix = rows_of(tuple(array[:length] for array in arrays))
        assert prefix.tobytes() == whole[:length].tobytes()


def test_too_short_history_has_no_observation(arrays):
    rows = rows_of(tuple(array[:79] for array in arrays))
    assert observation_windows(rows).shape == (0, 60, 7)


def test_mitigations_and_zones_are_consistent(arrays):
    rows = rows_of(arrays)
    active = (rows[:, Column.FVG_BULLISH_ACTIVE] + rows[:, Column.FVG_BEARISH_ACTIVE]) > 0
    assert (rows[~active, Column.FVG_NEAREST_LEVEL] == 0).all()
    assert (rows[~active, Column.FVG_AGE] == 0).all()
    # A zone can only be mitigated on a bar before which one was active.
    assert active[np.flatnonzero(rows[:, Column.FVG_MITIGATION]) - 1].all()


def test_bad_bar_is_named_by_its_number():
    good = [np.full(30, value) for value in (100.0, 101.0, 99.0, 100.0, 1.0)]
    good[2][17] = np.nan
    with pytest.raises(InvalidBarError) as caught:
        rows_of(good)
    assert (caught.value.field, caught.value.bar) == ("low", 17)


def test_arrays_of_unequal_length_or_dimension_are_refused():
    five = [np.ones(4)] * 5
    with pytest.raises(BarArraysError, match=r"\(3,\)"):
        rows_of((*five[:4], np.ones(3)))
    with pytest.raises(BarArraysError):
        rows_of([np.ones((2, 2))] * 5)


def test_lookback_outside_its_bounds_is_refused():
    with pytest.raises(SettingsError, match="lookback_bars"):
        rows_of([np.ones(4)] * 5, 1)


def test_extreme_but_finite_prices_do_not_warn_and_still_agree_with_the_stream():
    closes = np.tile([1e-300, 1e300, 1.0, 1.7e308, 1.7e308], 30)
    opens = np.roll(closes, 1)
    arrays = (opens, np.maximum(opens, closes), np.minimum(opens, closes), closes, closes)
    matrix = FeatureMatrix()
    rows = [matrix.push(*bar) for bar in zip(*(a.tolist() for a in arrays), strict=True)]
    assert np.array(rows, np.float32).tobytes() == rows_of(arrays).tobytes()
