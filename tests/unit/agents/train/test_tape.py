"""bellwire.agents.train.tape: what training sees is what a live agent sees."""

import numpy as np
import pytest

from bellwire.agents.features import FeatureMatrix
from bellwire.agents.strategic import StrategicFeatures
from bellwire.agents.train.data import generate
from bellwire.agents.train.errors import TooFewBarsError
from bellwire.agents.train.synthetic import SyntheticSettings
from bellwire.agents.train.system import STRATEGIC
from bellwire.agents.train.tape import BARS_MIN, record


@pytest.fixture(scope="module")
def tape():
    return record(generate(SyntheticSettings(bars=300)))


def test_an_observation_is_what_the_stream_gives_at_that_bar(tape):
    bars, matrix = tape.bars, FeatureMatrix()
    columns = zip(bars.open, bars.high, bars.low, bars.close, bars.volume, strict=True)
    for bar, values in enumerate(columns):
        matrix.push(*map(float, values))
        seen = matrix.observation()
        assert (seen is not None) == (bar >= tape.decisions.start)
        if seen is not None and bar in tape.decisions:
            recorded = tape.observations(np.array([bar]))
            assert np.array_equal(recorded[0], seen.array().ravel())


def test_a_strategic_observation_is_what_its_stream_gives_at_that_bar(tape):
    recorded, features = record(tape.bars, STRATEGIC), StrategicFeatures()
    for bar, close in enumerate(tape.bars.close.tolist()):
        seen = features.push(close)
        assert (seen is not None) == (bar >= recorded.decisions.start)
        if seen is not None:
            assert np.array_equal(recorded.observations(np.array([bar])), seen[None])
    assert recorded.observation_size == 13


def test_the_return_of_a_bar_is_that_of_the_next(tape):
    close = tape.bars.close
    assert tape.log_returns[7] == pytest.approx(np.log(close[8]) - np.log(close[7]))
    assert tape.decisions[-1] == len(close) - 2, "the last bar has no next return"


def test_a_series_too_short_to_decide_once_is_refused(tape):
    bars = tape.bars
    columns = (bars.open_times, bars.open, bars.high, bars.low, bars.close, bars.volume)

    def first(count):
        return type(bars)(bars.symbol, bars.interval, *(c[:count] for c in columns), "x", "x")

    assert len(record(first(BARS_MIN)).decisions) == 1
    with pytest.raises(TooFewBarsError, match=f"{BARS_MIN - 1} bars, .* at least {BARS_MIN}"):
        record(first(BARS_MIN - 1))
