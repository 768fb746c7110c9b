"""Bars as observations and next returns."""

import math

import numpy as np
import pytest

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.features import FeatureMatrix
from bellwire.agents.quantize import CalibrationError, read_windows, windows_of


@pytest.fixture(scope="module")
def series():
    return read_ohlcv(EURUSD_1H.path, symbol="EURUSD")


def test_each_window_is_what_a_stream_sees_and_each_return_is_the_next_bars(series):
    windows = windows_of(series, source="EURUSD", sha256="")
    matrix = FeatureMatrix()
    for number, (bar, after) in enumerate(zip(series.bars[:200], series.bars[1:201], strict=True)):
        matrix.push(*bar.floats())
        observation = matrix.observation()
        if observation is None:
            continue
        index = number - 79
        assert (windows.observations[index] == observation.array()).all()
        expected = math.log(float(after.close) / float(bar.close))
        assert windows.log_returns[index] == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_the_last_bar_has_no_next_one_and_is_left_out(series):
    windows = windows_of(series, source="EURUSD", sha256="")
    assert len(windows) == len(windows.observations) == len(series.bars) - 80


def test_a_bundled_series_and_its_file_give_the_same_windows():
    named, file = read_windows("eurusd-1h"), read_windows(str(EURUSD_1H.path))
    assert (named.source, named.sha256) == (file.source, file.sha256)
    assert np.array_equal(named.observations, file.observations)


def test_no_such_file_names_what_there_is():
    with pytest.raises(
        CalibrationError, match="no such file; expected an OHLCV file, or one of eu"
    ):
        read_windows("nowhere.csv")
