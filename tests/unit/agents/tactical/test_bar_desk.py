"""bellwire.agents.tactical.bar_desk: what is known again after a restart, and what cannot be."""

import pytest
from tests.unit.agents.tactical.test_tactical_agent import (
    FIRST,
    LONG,
    SHORT,
    WAIT,
    Saying,
    explain,
    message,
    play,
    signal_of,
)

from bellwire.agents.tactical.agent import RulesAgent
from bellwire.agents.tactical.tactical_agent import TacticalAgent
from bellwire.runtime import AssignedPartition
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1 import signal_pb2
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark
from bellwire.wire.message import new_message

BARS, SIGNALS = "bars.1h", "signals.tactical"
BEFORE = FIRST + 60
"""Bars before the restart; the only signal is on the eightieth."""


@pytest.fixture
async def log(real_bars):
    harness, signals = await play(real_bars[:BEFORE], Saying(SHORT, WAIT))
    assert len(signals) == 1
    return harness.log


async def restarted(log, bars, endpoint=None, **settings):
    agent = TacticalAgent(settings, endpoint=endpoint or Saying(WAIT))
    harness = AgentHarness(agent, log=log)
    published = []
    for bar in bars:
        published += await harness.feed(BARS, message(bar))
    return harness, [signal_of(item) for item in published]


def other(bar, symbol):
    copy = Bar()
    copy.CopyFrom(bar)
    copy.symbol = symbol
    return copy


async def test_a_position_from_before_the_bars_that_are_read_back_is_known(log, real_bars):
    harness, _ = await restarted(log, real_bars[BEFORE : BEFORE + 1], recover_messages_max=50)
    told = await explain(harness)
    assert (told["bars"], told["position_before"], told["position"]) == (51, 0.0, -1.0)
    assert told["last_signal"] == signal_of_log(log).signal_id


def signal_of_log(log):
    return signal_pb2.Signal.FromString(log[SIGNALS][0].data)


async def test_a_position_is_known_where_the_bars_are_gone(log, real_bars):
    harness, _ = await restarted({SIGNALS: log[SIGNALS]}, real_bars[BEFORE : BEFORE + 1])
    told = await explain(harness)
    assert (told["bars"], told["position"], told["rationale"]) == (1, -1.0, "WARMING_UP")


async def test_a_position_is_known_however_many_watermarks_lie_behind_its_signal(log, real_bars):
    content = Watermark(stage="signals", symbol="IBM").SerializeToString()
    marks = [new_message(data=content, type=Watermark.DESCRIPTOR.full_name)] * 100
    after = {BARS: [*log[BARS], *marks], SIGNALS: [*log[SIGNALS], *marks]}
    newest = real_bars[BEFORE : BEFORE + 1]
    harness, _ = await restarted(after, newest, recover_messages_max=50)
    told = await explain(harness)
    assert (told["bars"], told["position"]) == (51, -1.0)


async def test_where_the_signals_are_gone_it_is_flat(log, real_bars):
    harness, _ = await restarted({BARS: log[BARS]}, real_bars[BEFORE : BEFORE + 1])
    told = await explain(harness)
    assert (told["bars"], told["position"]) == (BEFORE + 1, 0.0)


async def test_bars_that_are_read_back_publish_nothing_and_ask_nobody(log, real_bars):
    endpoint = Saying(WAIT)
    harness, signals = await restarted(log, real_bars[BEFORE : BEFORE + 2], endpoint)
    assert signals == []
    assert len(endpoint.requests) == 2
    assert endpoint.requests[0].inputs["position"].item() == -1.0
    assert len(harness.log[SIGNALS]) == 1


async def test_a_bar_that_comes_again_gives_the_signal_of_the_log_and_asks_nobody(log, real_bars):
    """Its settlement was lost; meanwhile another model would say something else."""
    endpoint = Saying(WAIT)
    before = {BARS: log[BARS][: FIRST - 1], SIGNALS: log[SIGNALS]}
    harness, signals = await restarted(before, real_bars[FIRST - 1 : FIRST], endpoint)
    assert signals == [signal_of_log(log)]
    assert endpoint.requests == []
    told = await explain(harness)
    assert (told["position_before"], told["position"]) == (0.0, -1.0)


async def test_signals_of_another_strategy_or_symbol_move_nothing(log, real_bars):
    foreign = []
    for changes in ({"strategy_id": "other-1h"}, {"symbol": "IBM"}, {"strategy_id": "tactical-5m"}):
        signal = signal_of_log(log)
        for name, value in changes.items():
            setattr(signal, name, value)
        foreign.append(
            new_message(data=signal.SerializeToString(), type=signal.DESCRIPTOR.full_name)
        )
    newest = real_bars[BEFORE : BEFORE + 1]
    harness, _ = await restarted({BARS: log[BARS], SIGNALS: foreign}, newest)
    assert (await explain(harness))["position"] == 0.0


async def test_more_symbols_than_may_be_are_told_and_the_first_are_followed(log, real_bars, caplog):
    both = [message(each) for bar in real_bars[:3] for each in (bar, other(bar, "IBM"))]
    harness, _ = await restarted({BARS: both}, real_bars[3:4], symbols_max=1)
    assert (await explain(harness))["bars"] == 4
    assert "IBM 1h: 1 symbols are followed, the limit" in caplog.text


async def test_with_no_look_back_it_begins_without_bars_and_flat(log, real_bars):
    newest = real_bars[BEFORE : BEFORE + 1]
    harness, _ = await restarted(log, newest, recover_messages_max=0)
    told = await explain(harness)
    assert (told["bars"], told["position"]) == (1, 0.0)


async def test_the_rules_too_know_their_position_again(real_bars):
    before = AgentHarness(RulesAgent())
    published = []
    for bar in real_bars:
        published += await before.feed(BARS, message(bar))
        if published:
            break
    after = AgentHarness(RulesAgent(), log=before.log)
    await after.feed(BARS, message(real_bars[real_bars.index(bar) + 1]))
    told = await explain(after)
    assert told["last_signal"]["signal_id"] == signal_of(published[0]).signal_id
    assert abs(told["position"]) == 1.0


async def test_signals_that_were_read_back_are_kept_for_series_that_did_not_begin_yet_alone(
    log, real_bars
):
    foreign = signal_of_log(log)
    foreign.symbol = "IBM"
    content = foreign.SerializeToString()
    signals = [*log[SIGNALS], new_message(data=content, type=foreign.DESCRIPTOR.full_name)]
    newest = real_bars[BEFORE]
    harness, _ = await restarted({BARS: log[BARS], SIGNALS: signals}, [newest])
    assert list(harness.agent._desk._logged) == [("IBM", "tactical-1h")]
    await harness.feed(BARS, message(other(newest, "IBM")))
    assert harness.agent._desk._logged == {}
    told = await harness.call("explain_last_signal", {"symbol": "IBM"})
    assert told["position"] == -1.0


async def test_what_another_replica_did_meanwhile_is_known_when_the_partition_comes_back(real_bars):
    endpoint = Saying(SHORT, WAIT)
    mine, _ = await play(real_bars[: FIRST - 2], endpoint)
    other_one = AgentHarness(TacticalAgent(endpoint=endpoint), log=mine.log)
    for bar in real_bars[FIRST - 2 : BEFORE]:
        await other_one.feed(BARS, message(bar))
    back = AssignedPartition(BARS, 0, BEFORE, other_one.history)
    await mine.agent.on_assigned(back)
    told = await explain(mine)
    assert (told["bars"], told["position"]) == (BEFORE, -1.0)


async def test_a_bar_before_a_signal_of_the_log_was_decided_on_and_is_not_decided_anew(
    log, real_bars
):
    """Settlements of both were lost; a new signal for the older bar would come behind the newer one's."""
    endpoint = Saying(LONG)
    harness, signals = await play(real_bars[: FIRST + 20], Saying(*[WAIT] * 10, SHORT, WAIT))
    (signal,) = signals
    before = {BARS: harness.log[BARS][: FIRST + 5], SIGNALS: harness.log[SIGNALS]}
    _, again = await restarted(before, real_bars[FIRST + 5 : FIRST + 10], endpoint)
    assert again == [signal]
    assert endpoint.requests == []


async def test_signals_of_another_replica_count_though_their_bars_were_not_read_back(real_bars):
    mine, _ = await play(real_bars[:FIRST], Saying(LONG, WAIT), recover_messages_max=20)
    assert (await explain(mine))["position"] == 0.5
    other_one = AgentHarness(TacticalAgent(endpoint=Saying(SHORT, WAIT)), log=mine.log)
    for bar in real_bars[FIRST : FIRST + 3]:
        await other_one.feed(BARS, message(bar))
    for bar in real_bars[:30]:
        await other_one.feed(BARS, message(other(bar, "IBM")))
    end = len(other_one.log[BARS])
    await mine.agent.on_assigned(AssignedPartition(BARS, 0, end, other_one.history))
    assert await mine.feed(BARS, message(real_bars[FIRST + 3])) == []
    told = await explain(mine)
    assert (told["position_before"], told["position"]) == (0.5, -1.0)


async def test_a_bar_whose_decision_fails_is_decided_on_when_it_comes_again(real_bars, monkeypatch):
    harness, _ = await play(real_bars[: FIRST - 1], Saying(SHORT))
    desk = harness.agent._desk
    decide = desk._decide

    async def fail_once(*arguments):
        desk._decide = decide
        raise RuntimeError("once")

    monkeypatch.setattr(desk, "_decide", fail_once)
    bar = message(real_bars[FIRST - 1])
    with pytest.raises(RuntimeError, match="once"):
        await harness.feed(BARS, bar)
    (item,) = await harness.feed(BARS, bar, attempt=1)
    assert signal_of(item).action == signal_pb2.SIGNAL_ACTION_TARGET
