import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import BUNDLED_SERIES
from bellwire.agents.features import InvalidBarError
from bellwire.agents.strategic import (
    CLOSES,
    FEATURES,
    StrategicColumn,
    StrategicFeatures,
    strategic_rows,
)


def closes_of(series, count=900):
    found = read_ohlcv(series.path, symbol=series.symbol, interval=series.interval)
    return np.array([float(bar.close) for bar in found.bars[:count]])


@pytest.fixture(scope="module", params=BUNDLED_SERIES, ids=lambda series: series.symbol)
def real(request):
    return closes_of(request.param)


@pytest.fixture(scope="module")
def walk():
    steps = np.random.default_rng(5).normal(0.0, 0.01, 300)
    return 100.0 * np.exp(np.cumsum(steps))


def streamed(closes):
    stream = StrategicFeatures()
    return [row for close in closes if (row := stream.push(float(close))) is not None]


def column(rows, name):
    return rows[:, StrategicColumn[name]]


def test_bar_by_bar_gives_the_bits_of_the_whole_series(real):
    rows = strategic_rows(real)
    assert rows.shape == (len(real) - CLOSES + 1, FEATURES)
    assert np.array(streamed(real)).tobytes() == rows.tobytes()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-5, 0.3), st.integers(CLOSES, CLOSES + 20))
def test_bar_by_bar_gives_the_bits_of_any_series_and_all_within_one(seed, size, count):
    steps = np.random.default_rng(seed).standard_t(3, count) * size
    closes = np.exp(np.clip(np.cumsum(steps), -30.0, 30.0))
    rows = strategic_rows(closes)
    assert np.array(streamed(closes)).tobytes() == rows.tobytes()
    assert (np.abs(rows) <= 1.0).all()


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_prices_times_a_power_of_two_give_the_same_bits(real, factor):
    assert strategic_rows(real * factor).tobytes() == strategic_rows(real).tobytes()


def test_prices_times_any_constant_give_the_same_numbers(walk):
    # Neighbours may tie, and rounding then choose: those two columns are left out.
    kept = [n for n in StrategicColumn if not n.name.startswith("NEIGHBOURS")]
    for factor in (1e-5, 1e5):
        np.testing.assert_allclose(
            strategic_rows(walk * factor)[:, kept], strategic_rows(walk)[:, kept], atol=1e-5
        )


def test_only_the_past_is_seen(walk):
    other = walk.copy()
    other[200:] *= 3.0
    until = 200 - CLOSES + 1
    assert (strategic_rows(walk)[:until] == strategic_rows(other)[:until]).all()


def test_a_market_that_stands_still_gives_zeros():
    assert not strategic_rows(np.full(CLOSES + 3, 7.0)).any()


def test_a_steady_rise_is_strong_and_above_its_lines():
    rows = strategic_rows(1.01 ** np.arange(CLOSES + 5))
    for name in ("STRENGTH_FAST", "STRENGTH_SLOW", "NEIGHBOURS_DIRECTION"):
        assert (column(rows, name) == 1.0).all()
    for name in ("LINE_FAST_DISTANCE", "LINE_SLOW_DISTANCE", "LINES_GAP", "DRIFT"):
        assert (column(rows, name) > 0.1).all()
    # A slope of one typical move a bar is squeezed to a half; the mean lags, so a little less.
    assert (np.abs(column(rows, "LINE_FAST_SLOPE") - 0.5) < 0.05).all()


def test_strength_is_gains_less_losses_over_their_sum(walk):
    moves = walk[1:] / walk[:-1] - 1.0
    for name, bars in (("STRENGTH_FAST", 5), ("STRENGTH_SLOW", 20)):
        last = moves[-bars:]
        expected = last.sum() / np.abs(last).sum()
        assert column(strategic_rows(walk), name)[-1] == pytest.approx(expected, abs=1e-6)


def test_neighbours_are_the_five_most_alike_bars_of_the_last_sixty(walk):
    moves = (walk[1:] / walk[:-1] - 1.0).tolist()

    def strength(end, bars):
        last = moves[end - bars + 1 : end + 1]
        return math.fsum(last) / math.fsum(map(abs, last))

    newest = len(moves) - 1
    here = (strength(newest, 5), strength(newest, 20))
    found = sorted(
        (math.dist(here, (strength(bar, 5), strength(bar, 20))), bar)
        for bar in range(newest - 60, newest)
    )[:5]
    direction = sum(math.copysign(1.0, moves[bar + 1]) for _, bar in found) / 5
    away = sum(distance for distance, _ in found) / 5
    row = strategic_rows(walk)[-1]
    assert row[StrategicColumn.NEIGHBOURS_DIRECTION] == pytest.approx(direction, abs=1e-6)
    assert row[StrategicColumn.NEIGHBOURS_DISTANCE] == pytest.approx(away / (1 + away), abs=1e-6)


def test_the_line_is_the_kernel_weighted_mean_of_the_last_closes(walk):
    def line(end, bandwidth):
        weights = [1 / (1 + ago**2 / (2 * bandwidth**2)) for ago in range(25)]
        return sum(w * walk[end - ago] for ago, w in enumerate(weights)) / sum(weights)

    newest = len(walk) - 1
    moves = walk[1:] / walk[:-1] - 1.0
    unit = math.sqrt((moves[-60:] ** 2).mean()) * walk[-1]
    row = strategic_rows(walk)[-1]
    for name, value in (
        ("LINE_FAST_DISTANCE", walk[-1] - line(newest, 8)),
        ("LINE_FAST_SLOPE", line(newest, 8) - line(newest - 1, 8)),
        ("LINE_SLOW_DISTANCE", walk[-1] - line(newest, 16)),
        ("LINE_SLOW_SLOPE", line(newest, 16) - line(newest - 1, 16)),
        ("LINES_GAP", line(newest, 8) - line(newest, 16)),
        ("LINE_FAST_TURN", line(newest, 8) - 2 * line(newest - 1, 8) + line(newest - 2, 8)),
    ):
        expected = value / unit / (1 + abs(value / unit))
        assert row[StrategicColumn[name]] == pytest.approx(expected, abs=1e-6), name


def test_the_discrepancy_is_its_double_sum_and_grows_when_the_market_changes():
    generator = np.random.default_rng(1)
    calm = generator.normal(0.0, 0.01, 60)
    wild = np.concatenate([calm[:30], 5.0 * calm[30:]])
    values = []
    for moves in (calm, wild):
        padded = np.concatenate([np.full(20, 0.01), moves])
        closes = np.cumprod(np.concatenate([[100.0], 1.0 + padded]))
        row = strategic_rows(closes)[-1]
        units = moves / math.sqrt((moves**2).mean())
        before, recent = units[:30], units[30:]

        def mean(one, other, same):
            pairs = [
                1 / (1 + (a - b) ** 2 / 2)
                for i, a in enumerate(one)
                for j, b in enumerate(other)
                if not (same and i == j)
            ]
            return math.fsum(pairs) / len(pairs)

        squared = mean(before, before, True) + mean(recent, recent, True)
        squared -= 2 * mean(before, recent, False)
        assert row[StrategicColumn.DISCREPANCY] == pytest.approx(squared / 2, abs=1e-6)
        values.append(row)
    assert values[1][StrategicColumn.DISCREPANCY] > values[0][StrategicColumn.DISCREPANCY]
    assert values[1][StrategicColumn.SIZE_RATIO] > 0.5


@pytest.mark.parametrize("close", [0.0, -1.0, float("nan"), float("inf"), 1e19])
def test_a_close_that_is_no_price_is_refused_and_changes_nothing(close, walk):
    stream = StrategicFeatures()
    for each in walk[: CLOSES - 1]:
        stream.push(float(each))
    with pytest.raises(InvalidBarError, match="1e-18"):
        stream.push(close)
    row = stream.push(float(walk[CLOSES - 1]))
    assert row is not None
    assert (row == strategic_rows(walk[:CLOSES])[0]).all()
    with pytest.raises(InvalidBarError, match="bar 2"):
        strategic_rows([1.0, 1.0, close, 1.0])


def test_too_few_closes_give_no_rows():
    assert strategic_rows(np.ones(CLOSES - 1)).shape == (0, FEATURES)
