"""bellwire.agents.tactical.recovery: which signals count, and which bars."""

import pytest

from bellwire.agents.features import FeatureMatrix
from bellwire.agents.tactical.recovery import decoded, read_signals, replay_bar
from bellwire.agents.tactical.rules import RulesPolicy
from bellwire.agents.tactical.series import Series
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.message import new_message


def message(payload):
    return new_message(data=payload.SerializeToString(), type=payload.DESCRIPTOR.full_name)


def signal(time, strategy="tactical-1h", symbol="EURUSD", agent="tactical-0"):
    return Signal(strategy_id=strategy, symbol=symbol, decision_time_unix_nano=time, agent_id=agent)


def begin(_symbol, _interval):
    return Series(FeatureMatrix(), RulesPolicy())


def test_signals_of_a_strategy_are_kept_apart_by_symbol_and_interval_in_the_order_of_time():
    log = [
        signal(2),
        signal(1),
        signal(3, "tactical-5m"),
        signal(4, symbol="IBM"),
        signal(5, "rules-fvg-1h"),
        signal(6, "tacticalish-1h"),
    ]
    found = read_signals(map(message, log), "tactical")
    assert found == {
        ("EURUSD", "tactical-1h"): [signal(1), signal(2)],
        ("EURUSD", "tactical-5m"): [signal(3, "tactical-5m")],
        ("IBM", "tactical-1h"): [signal(4, symbol="IBM")],
    }


def test_of_signals_for_one_bar_the_first_counts():
    log = [signal(1), signal(2), signal(1, agent="tactical-1")]
    assert read_signals(map(message, log), "tactical")["EURUSD", "tactical-1h"] == [
        signal(1),
        signal(2),
    ]


def test_what_is_of_another_type_or_damaged_is_passed_by():
    damaged = new_message(data=b"\xff", type=Bar.DESCRIPTOR.full_name)
    assert list(decoded([message(signal(1)), damaged, message(Bar(symbol="A"))], Bar)) == [
        Bar(symbol="A")
    ]


@pytest.mark.parametrize("change", [{"high": "0.5"}, {"close": "dear"}])
def test_bars_that_were_refused_then_are_passed_by_again(real_bars, change):
    bad = Bar()
    bad.CopyFrom(real_bars[1])
    bad.MergeFrom(Bar(**change))
    found = {}
    for bar in (bad, real_bars[0], bad, real_bars[2], real_bars[2]):
        replay_bar(bar, found, begin)
    assert found["EURUSD", "1h"].features.bar_count == 2


def test_a_series_with_refused_bars_alone_is_not_followed(real_bars):
    bad = Bar()
    bad.CopyFrom(real_bars[0])
    bad.high = "0.5"
    found = {}
    replay_bar(bad, found, begin)
    assert found == {}
