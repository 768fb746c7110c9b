"""bellwire.agents.tactical.series: positions are what signals say, and logged signals are gone by in time."""

import pytest

from bellwire.agents.features import FeatureMatrix
from bellwire.agents.tactical import series as module
from bellwire.agents.tactical.rules import RulesPolicy
from bellwire.agents.tactical.series import Series, position_of
from bellwire.agents.tactical.synergy_watch import SynergyWatch
from bellwire.trading.v1 import signal_pb2
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Signal

ENTER, EXIT = signal_pb2.SIGNAL_ACTION_ENTER, signal_pb2.SIGNAL_ACTION_EXIT
TARGET = signal_pb2.SIGNAL_ACTION_TARGET
BUY, SELL = signal_pb2.SIDE_BUY, signal_pb2.SIDE_SELL


def signal(time=1, action=TARGET, side=BUY, strength=0.5):
    return Signal(
        signal_id=str(time),
        decision_time_unix_nano=time,
        action=action,
        side=side,
        strength=strength,
    )


@pytest.fixture
def series():
    return Series(FeatureMatrix(), RulesPolicy())


@pytest.mark.parametrize(
    ("action", "side", "strength", "position"),
    [
        (TARGET, BUY, 0.75, 0.75),
        (TARGET, SELL, 1.0, -1.0),
        (EXIT, SELL, 1.0, 0.0),
        (EXIT, BUY, 0.3, 0.0),
        (ENTER, BUY, 0.2, 1.0),
        (ENTER, SELL, 0.2, -1.0),
    ],
)
def test_a_target_is_its_strength_an_entry_all_and_an_exit_nothing(
    action, side, strength, position
):
    assert position_of(signal(1, action, side, strength)) == position


def test_logged_signals_of_bars_that_are_not_kept_only_move_the_position(series):
    series.logged.extend([signal(1), signal(2, side=SELL), signal(4)])
    assert series.take_logged(3) is None
    assert (series.position_before, series.position) == (0.5, -0.5)
    assert series.take_logged(4) == signal(4), "the bar itself comes again"
    assert series.position == -0.5, "until the bar is settled"
    assert series.take_logged(5) is None


def test_a_bar_that_is_settled_tells_the_rules_what_was_held(series):
    series.settle(signal(1))
    assert series.rules.intended_position == 1
    series.settle(signal(2, EXIT))
    assert series.rules.intended_position == 0
    assert series.last_signal == signal(2, EXIT)


def test_signals_kept_are_bounded(series, monkeypatch):
    monkeypatch.setattr(module, "SIGNALS_KEPT_MAX", 2)
    for time in (1, 2, 3):
        series.settle(signal(time))
    assert list(series.signals) == [2, 3]


def test_a_bar_beyond_the_prices_of_events_is_seen_all_the_same():
    watched, plain = (
        Series(FeatureMatrix(), RulesPolicy(), watch) for watch in (SynergyWatch(), None)
    )
    for number in range(90):
        price = repr(1e-20 * (1 + number % 7))
        bar = Bar(open=price, high=price, low=price, close=price, volume="1")
        watched.push(bar)
        plain.push(bar)
    assert watched.observation is not None
    assert plain.observation is not None
    assert watched.observation.array().tolist() == plain.observation.array().tolist()
    assert watched.event is None
