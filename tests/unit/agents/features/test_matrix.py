"""The 60 x 7 matrix, bar by bar."""

import math

import numpy as np
import pytest

from bellwire.agents.features import (
    COLUMNS,
    ROWS,
    Column,
    FeatureMatrix,
    FeatureRow,
    InvalidBarError,
    ready_after_bars,
)
from bellwire.wire.errors import CallerError

FLAT = (100.0, 101.0, 99.0, 100.5)
GOLDEN_BARS = [
    *[FLAT] * 21,
    (100.5, 104.0, 100.4, 103.8),
    (103.9, 105.0, 102.0, 104.5),
    (104.5, 104.8, 103.0, 103.2),
    (103.2, 103.3, 100.9, 101.0),
]


def matrix_of(bars: list[tuple[float, float, float, float]]) -> FeatureMatrix:
    matrix = FeatureMatrix()
    for open_, high, low, close in bars:
        matrix.push(open_, high, low, close, 10.0)
    return matrix


def test_golden_vector_of_the_specification():
    matrix = FeatureMatrix()
    rows = [matrix.push(*bar, 10.0) for bar in GOLDEN_BARS]
    assert all(row == FeatureRow(*[0.0] * COLUMNS) for row in rows[:21])
    assert rows[21][:5] == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert rows[22][:2] == (1.0, 0.0)
    assert rows[22].fvg_nearest_level == pytest.approx(100 * (102 / 104.5 - 1), abs=1e-6)
    assert rows[22].fvg_nearest_level == pytest.approx(-2.392, abs=5e-4)
    assert (rows[22].fvg_age, rows[22].fvg_mitigation) == (0.0, 0.0)
    assert rows[23].fvg_nearest_level == pytest.approx(-1.163, abs=5e-4)
    assert rows[23].fvg_age == pytest.approx(0.02, abs=1e-8)
    assert rows[24][:5] == (0.0, 0.0, 0.0, 0.0, 1.0)
    assert rows[24].price_momentum_5 == pytest.approx(math.tanh(0.4975 / 5), abs=1e-5)
    assert rows[24].price_momentum_5 == pytest.approx(0.0992, abs=5e-5)


def test_momentum_is_zero_for_five_bars_and_clipped_after():
    matrix = FeatureMatrix()
    closes = [100.0, 1.0, 1.0, 1.0, 1.0, 1000.0, 0.01]
    values = [matrix.push(c, c, c, c, 1.0).price_momentum_5 for c in closes]
    assert values[:5] == [0.0] * 5
    assert values[5] == pytest.approx(math.tanh(2.0))
    assert values[6] == pytest.approx(-math.tanh(2.0))


def test_volume_ratio_is_tanh_of_log_of_the_ratio_to_the_mean():
    matrix = FeatureMatrix()
    matrix.push(*FLAT, 100.0)
    ema = 2 / 21 * 300.0 + 19 / 21 * 100.0
    value = matrix.push(*FLAT, 300.0).volume_ratio
    assert value == pytest.approx(math.tanh(math.log(300.0 / ema)), abs=1e-7)
    assert matrix.push(*FLAT, 50.0).volume_ratio == 0.0


def test_zero_volume_gives_zero_and_the_first_trade_after_it_stays_in_range():
    matrix = FeatureMatrix()
    assert [matrix.push(*FLAT, 0.0).volume_ratio for _ in range(30)] == [0.0] * 30
    ratio = matrix.push(*FLAT, 1e9).volume_ratio
    assert ratio == pytest.approx((10.5**2 - 1) / (10.5**2 + 1))


def test_ready_after_eighty_bars_and_not_one_before():
    matrix = matrix_of([FLAT] * 79)
    assert (matrix.ready, matrix.observation()) == (False, None)
    matrix.push(*FLAT, 1.0)
    assert matrix.ready
    assert matrix.observation() is not None


@pytest.mark.parametrize(("lookback", "bars"), [(20, 80), (2, 65), (50, 110)])
def test_warm_up_covers_the_longest_history_of_any_column(lookback, bars):
    assert ready_after_bars(lookback) == bars


def test_observation_holds_the_last_sixty_rows_newest_last():
    matrix = FeatureMatrix()
    rows = [
        matrix.push(price, price + 1, price - 1, price, 1.0 + price % 7)
        for price in (100.0 + (i * 37 % 11) for i in range(150))
    ]
    observation = matrix.observation()
    assert observation is not None
    assert observation.bar_count == 150
    assert observation.array().shape == (ROWS, COLUMNS)
    assert observation.array().dtype == np.float32
    assert observation.array().tolist() == [list(row) for row in rows[-ROWS:]]
    assert len(observation.data) == 1680
    assert np.frombuffer(observation.data, "<f4")[-1] == rows[-1].volume_ratio


def test_observation_never_changes_and_cannot_be_written():
    matrix = matrix_of([FLAT] * 100)
    observation = matrix.observation()
    assert observation is not None
    before = observation.array().copy()
    for bar in GOLDEN_BARS:
        matrix.push(*bar, 99.0)
    assert np.array_equal(observation.array(), before)
    with pytest.raises(ValueError, match="read-only"):
        observation.array()[0, 0] = 1.0
    with pytest.raises(ValueError, match="WRITEABLE"):
        observation.array().setflags(write=True)


def test_columns_stand_in_the_order_of_their_enum():
    assert [name.upper() for name in FeatureRow._fields] == [
        "FVG_BULLISH_ACTIVE",
        "FVG_BEARISH_ACTIVE",
        "FVG_NEAREST_LEVEL",
        "FVG_AGE",
        "FVG_MITIGATION",
        "PRICE_MOMENTUM_5",
        "VOLUME_RATIO",
    ]
    assert [column.name for column in Column] == [name.upper() for name in FeatureRow._fields]


@pytest.mark.parametrize(
    ("bar", "field"),
    [
        ((math.nan, 101.0, 99.0, 100.0, 1.0), "open"),
        ((100.0, math.inf, 99.0, 100.0, 1.0), "high"),
        ((100.0, 101.0, 0.0, 100.0, 1.0), "low"),
        ((100.0, 101.0, 99.0, -5.0, 1.0), "close"),
        ((100.0, 101.0, 99.0, 100.0, -1.0), "volume"),
        ((100.0, 101.0, 99.0, 100.0, math.nan), "volume"),
        ((100.0, 99.0, 101.0, 100.0, 1.0), "high"),
        ((98.0, 101.0, 99.0, 100.0, 1.0), "open"),
        ((100.0, 101.0, 99.0, 102.0, 1.0), "close"),
    ],
)
def test_impossible_bar_is_named_and_changes_nothing(bar, field):
    matrix = matrix_of(GOLDEN_BARS * 4)
    before = matrix.observation()
    with pytest.raises(InvalidBarError) as caught:
        matrix.push(*bar)
    assert isinstance(caught.value, CallerError)
    assert (caught.value.field, caught.value.bar) == (field, 100)
    assert matrix.observation() == before
    assert matrix.push(*FLAT, 10.0) == matrix_of(GOLDEN_BARS * 4).push(*FLAT, 10.0)
