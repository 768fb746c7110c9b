import json

import pytest

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.features import InvalidBarError
from bellwire.agents.feed import to_message
from bellwire.agents.tactical import series as module
from bellwire.agents.tactical.agent import RulesAgent
from bellwire.agents.tactical.followed import TooManySymbolsError
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1 import signal_pb2
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark
from bellwire.wire.message import new_message

BARS = 400
TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


@pytest.fixture(scope="module")
def bars():
    series = read_ohlcv(EURUSD_1H.path, symbol="EURUSD")
    return [to_message(bar, number) for number, bar in enumerate(series.bars[:BARS])]


def message(bar):
    return new_message(
        data=bar.SerializeToString(),
        type=Bar.DESCRIPTOR.full_name,
        key=bar.symbol,
        time_unix_nano=bar.close_time_unix_nano,
        traceparent=TRACE,
    )


def in_minutes(bar):
    """Return a bar of 15 minutes with the same prices that closes with it."""
    other = Bar()
    other.CopyFrom(bar)
    other.interval = "15m"
    other.open_time_unix_nano = bar.close_time_unix_nano - 900 * 10**9
    return other


def payload_of(item, cls):
    assert isinstance(item.payload, cls)
    return item.payload


async def explain(harness):
    return await harness.call("explain_last_signal", {"symbol": "EURUSD"})


async def play(bars, **settings):
    harness = AgentHarness(RulesAgent(settings))
    published = []
    for bar in bars:
        published += await harness.feed("bars.1h", message(bar))
    return harness, published


async def test_real_bars_give_complete_signals_of_event_time_only(bars):
    _, published = await play(bars)
    assert len(published) > 5
    closes = {bar.close_time_unix_nano: bar for bar in bars}
    for item in published:
        signal, bar = item.payload, closes[item.payload.decision_time_unix_nano]
        assert item.topic == "signals.tactical"
        assert signal.signal_id == f"rules-fvg-1h.EURUSD.{bar.close_time_unix_nano}"
        assert (signal.strategy_id, signal.symbol) == ("rules-fvg-1h", "EURUSD")
        assert signal.decision_px == bar.close
        assert signal.valid_until_unix_nano - bar.close_time_unix_nano == 3_600 * 10**9
        assert signal.action in (signal_pb2.SIGNAL_ACTION_ENTER, signal_pb2.SIGNAL_ACTION_EXIT)
        assert 0.0 <= signal.confidence <= 1.0
        assert signal.rationale
        assert item.message.correlation_id == signal.signal_id
        assert item.message.traceparent == TRACE
        assert item.message.time_unix_nano == bar.close_time_unix_nano


async def test_the_same_bars_give_the_same_signals(bars):
    (_, first), (_, second) = await play(bars), await play(bars)
    assert [item.payload for item in first] == [item.payload for item in second]


async def test_a_bar_delivered_again_gives_the_signal_it_gave_and_moves_nothing(bars):
    harness, published = await play(bars)
    time = published[-1].payload.decision_time_unix_nano
    bar = next(bar for bar in bars if bar.close_time_unix_nano == time)
    (again,) = await harness.feed("bars.1h", message(bar), attempt=1)
    assert again.payload == published[-1].payload
    holding = next(
        bar
        for bar in bars
        if bar.close_time_unix_nano not in {i.payload.decision_time_unix_nano for i in published}
    )
    assert await harness.feed("bars.1h", message(holding), attempt=1) == []
    explained = await harness.call("explain_last_signal", {"symbol": "EURUSD"})
    assert explained["bars"] == BARS


async def test_watermarks_are_forwarded_as_its_own_stage():
    harness = AgentHarness(RulesAgent())
    (item,) = await harness.feed_watermark("bars.1h", "bars", "EURUSD", 7, end=True)
    watermark = payload_of(item, Watermark)
    assert (item.topic, watermark.stage) == ("signals.tactical", "signals")
    assert watermark.end_of_stream


async def test_the_tool_explains_the_newest_decision_in_json(bars):
    harness, published = await play(bars)
    explained = json.loads(
        json.dumps(await harness.call("explain_last_signal", {"symbol": "EURUSD"}))
    )
    assert explained["known"]
    assert explained["event_time_unix_nano"] == bars[-1].close_time_unix_nano
    assert explained["last_signal"]["signal_id"] == published[-1].payload.signal_id
    assert explained["votes"]


async def test_the_tool_says_which_symbols_it_knows(bars):
    harness, _ = await play(bars[:1])
    explained = await harness.call("explain_last_signal", {"symbol": "IBM"})
    assert explained == {"symbol": "IBM", "known": False, "symbols": ["EURUSD"]}
    fresh = await harness.call("explain_last_signal", {"symbol": "EURUSD"})
    assert fresh["last_signal"] is None
    assert fresh["reason"] == "WARMING_UP"


async def test_symbols_do_not_share_history(bars):
    other = []
    for bar in bars:
        copy = Bar()
        copy.CopyFrom(bar)
        copy.symbol = "OTHER"
        other += [bar, copy]
    _, both = await play(other)
    by_symbol = {
        name: [i.payload.decision_time_unix_nano for i in both if i.payload.symbol == name]
        for name in ("EURUSD", "OTHER")
    }
    assert by_symbol["EURUSD"] == by_symbol["OTHER"]
    assert len({item.payload.signal_id for item in both}) == len(both)


async def test_intervals_of_a_symbol_do_not_share_history(bars):
    both = [each for bar in bars for each in (bar, in_minutes(bar))]
    _, alone = await play(bars)
    harness, mixed = await play(both)
    hourly = [item.payload for item in mixed if item.payload.strategy_id == "rules-fvg-1h"]
    quarterly = [item.payload for item in mixed if item.payload.strategy_id == "rules-fvg-15m"]
    assert hourly == [item.payload for item in alone]
    assert len(quarterly) == len(hourly)
    explained = await harness.call("explain_last_signal", {"symbol": "EURUSD", "interval": "15m"})
    assert (explained["interval"], explained["bars"]) == ("15m", BARS)
    assert explained["last_signal"]["signal_id"] == quarterly[-1].signal_id


async def test_an_interval_that_nobody_follows_is_not_known(bars):
    harness, _ = await play(bars[:1])
    explained = await harness.call("explain_last_signal", {"symbol": "EURUSD", "interval": "5m"})
    assert explained == {"symbol": "EURUSD", "known": False, "symbols": ["EURUSD"]}


async def test_symbols_are_bounded(bars):
    harness = AgentHarness(RulesAgent({"symbols_max": 1}))
    await harness.feed("bars.1h", message(bars[0]))
    other = Bar()
    other.CopyFrom(bars[0])
    other.symbol = "OTHER"
    with pytest.raises(TooManySymbolsError, match="symbols_max"):
        await harness.feed("bars.1h", message(other))


async def test_a_bar_no_feature_can_be_computed_from_is_refused_and_changes_nothing(bars):
    harness = AgentHarness(RulesAgent())
    bad = Bar()
    bad.CopyFrom(bars[0])
    bad.high = "0.5"
    with pytest.raises(InvalidBarError):
        await harness.feed("bars.1h", message(bad))
    await harness.feed("bars.1h", message(bars[0]))
    explained = await explain(harness)
    assert explained["bars"] == 1


async def test_remembered_signals_are_bounded(bars, monkeypatch):
    monkeypatch.setattr(module, "SIGNALS_KEPT_MAX", 3)
    harness, _ = await play(bars)
    assert len(harness.agent._desk.newest("EURUSD")[1].signals) == 3


async def test_the_tool_tells_the_position_before_and_after_the_newest_signal(bars):
    harness, published = await play(bars)
    exits = [item for item in published if item.payload.action == signal_pb2.SIGNAL_ACTION_EXIT]
    close = exits[-1].payload.decision_time_unix_nano
    harness, _ = await play([bar for bar in bars if bar.close_time_unix_nano <= close])
    explained = await explain(harness)
    before = 1.0 if exits[-1].payload.side == signal_pb2.SIDE_SELL else -1.0
    assert (explained["position_before"], explained["position"]) == (before, 0.0)
