import asyncio

import pytest

from bellwire.execution import RiskAgent
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1 import order_pb2, risk_pb2, signal_pb2
from bellwire.trading.v1.market_data_pb2 import Watermark
from bellwire.trading.v1.order_pb2 import ExecutionReport, OrderCancelRequest, OrderRequest
from bellwire.trading.v1.risk_pb2 import KillSwitch, RiskDecision
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.message import new_message
from bellwire.wire.settings import SettingsError

T = 1_483_308_000 * 10**9
HOUR = 3_600 * 10**9
SIGNALS, EXECUTIONS = "signals.tactical", "executions.paper"


def signal(name="s1", time=T, action=signal_pb2.SIGNAL_ACTION_ENTER, side=signal_pb2.SIDE_BUY):
    return Signal(
        signal_id=name,
        strategy_id="rules",
        symbol="EURUSD",
        action=action,
        side=side,
        decision_time_unix_nano=time,
        decision_px="1.05",
    )


def free(**settings):
    return AgentHarness(RiskAgent({"lockstep": False, **settings}))


def lockstep():
    return AgentHarness(RiskAgent())


async def feed(harness, payload, time=T):
    return await harness.feed(SIGNALS, payload, key="EURUSD", subject="EURUSD", time_unix_nano=time)


def kinds(published):
    return [(item.topic, type(item.payload)) for item in published]


async def test_a_signal_becomes_a_decision_and_then_an_order_of_its_transaction():
    published = await feed(free(), signal())
    assert kinds(published) == [("risk.decisions", RiskDecision), ("orders.paper", OrderRequest)]
    for item in published:
        assert (item.message.key, item.message.subject) == ("EURUSD", "EURUSD")
        assert item.message.correlation_id == "s1"
        assert item.message.causation_id
        assert item.message.time_unix_nano == T


async def test_cancels_go_before_the_order_that_replaces_them():
    harness = free()
    await feed(harness, signal())
    turn = signal("s2", action=signal_pb2.SIGNAL_ACTION_TARGET, side=signal_pb2.SIDE_SELL)
    assert kinds(await feed(harness, turn)) == [
        ("risk.decisions", RiskDecision),
        ("orders.paper", OrderCancelRequest),
        ("orders.paper", OrderRequest),
    ]


async def test_a_message_delivered_again_is_answered_with_the_same_messages():
    harness = free()
    message = new_message(
        data=signal().SerializeToString(),
        type=Signal.DESCRIPTOR.full_name,
        key="EURUSD",
        time_unix_nano=T,
    )
    first = await harness.feed(SIGNALS, message)
    again = await harness.feed(SIGNALS, message, attempt=1)
    assert [item.message for item in again] == [item.message for item in first]
    assert len(again) == 2
    assert harness.agent.gateway.counters.signals == 1


async def test_the_same_signal_in_another_message_gets_its_decision_and_no_order():
    harness = free()
    await feed(harness, signal())
    (item,) = await feed(harness, signal())
    assert item.payload.replayed


async def test_in_lockstep_a_signal_waits_for_the_fills_of_its_bar():
    harness = lockstep()
    waiting = asyncio.create_task(feed(harness, signal()))
    await harness.feed_watermark(EXECUTIONS, "executions.accepted", "EURUSD", T)
    await harness.feed_watermark(EXECUTIONS, "executions.matched", "EURUSD", T - 1)
    await asyncio.sleep(0)
    assert not waiting.done()
    await harness.feed_watermark(EXECUTIONS, "executions.matched", "EURUSD", T)
    assert len(await waiting) == 2


async def test_a_fill_that_comes_first_counts_before_the_signal_of_its_bar():
    harness = lockstep()
    await harness.feed_watermark(EXECUTIONS, "executions.matched", "EURUSD", T)
    (_, entry) = await feed(harness, signal())
    leaving = signal("s2", T + HOUR, signal_pb2.SIGNAL_ACTION_EXIT, signal_pb2.SIDE_SELL)
    waiting = asyncio.create_task(feed(harness, leaving, T + HOUR))
    await asyncio.sleep(0)
    order = entry.payload
    report = ExecutionReport(
        exec_id="e1",
        exec_type=order_pb2.EXEC_TYPE_TRADE,
        ord_status=order_pb2.ORD_STATUS_FILLED,
        cl_ord_id=order.cl_ord_id,
        strategy_id=order.strategy_id,
        symbol=order.symbol,
        side=order.side,
        last_qty=order.order_qty,
        last_px="1.05",
    )
    await harness.feed(EXECUTIONS, report, key="EURUSD", time_unix_nano=T + HOUR)
    await harness.feed_watermark(EXECUTIONS, "executions.matched", "EURUSD", T + HOUR)
    decision, exit_order = await waiting
    assert decision.payload.verdict == risk_pb2.RISK_VERDICT_ACCEPT
    assert exit_order.payload.order_qty == order.order_qty


async def test_watermarks_are_passed_on_once_the_fills_were_seen():
    harness = lockstep()
    waiting = asyncio.create_task(harness.feed_watermark(SIGNALS, "signals", "EURUSD", T))
    await asyncio.sleep(0)
    assert not waiting.done()
    await harness.feed_watermark(EXECUTIONS, "executions.matched", "EURUSD", T)
    published = await waiting
    assert [(item.topic, item.payload.stage) for item in published] == [
        ("risk.decisions", "decisions"),
        ("orders.paper", "orders"),
    ]
    assert {item.payload.time_unix_nano for item in published} == {T}


async def test_the_end_of_the_stream_is_passed_on():
    harness = lockstep()
    await harness.feed_watermark(EXECUTIONS, "executions.matched", "EURUSD", T, end=True)
    published = await harness.feed_watermark(SIGNALS, "signals", "EURUSD", T, end=True)
    assert all(item.payload.end_of_stream for item in published)


async def test_a_kill_switch_from_its_topic_stops_orders():
    harness = free()
    halt = KillSwitch(scope="global", state=risk_pb2.KILL_SWITCH_STATE_HALTED)
    await harness.feed("control.killswitch", halt)
    (item,) = await feed(harness, signal())
    assert item.payload.reason_code == "TRADING_HALTED"


async def test_event_time_and_not_the_wall_clock_makes_signals_stale():
    harness = free()
    (_, order) = await feed(harness, signal())  # years ago by the wall clock
    assert order.payload.arrival_time_unix_nano == T
    await harness.feed_watermark(EXECUTIONS, "executions.matched", "EURUSD", T + 2 * HOUR)
    (item,) = await feed(harness, signal("s2"))
    assert item.payload.reason_code == "STALE_SIGNAL"
    assert item.payload.time_unix_nano == T + 2 * HOUR


async def test_the_status_tool_shows_positions_and_counters():
    harness = free()
    await feed(harness, signal())
    status = await harness.call("risk_status")
    assert (status["signals"], status["orders"], status["open_orders"]) == (1, 1, 1)
    assert status["positions"] == [
        {"account": "", "strategy_id": "rules", "symbol": "EURUSD", "signed_qty": "0"}
    ]


def test_limits_arrive_as_json_and_bad_ones_are_refused_by_name():
    agent = RiskAgent({"limits": {"base_qty": "7.5", "quantity_step": "0.5"}})
    assert str(agent.gateway.limits.base_qty) == "7.5"
    with pytest.raises(SettingsError, match="base_qyt"):
        RiskAgent({"limits": {"base_qyt": "7"}})


async def test_topics_follow_the_settings():
    harness = free(
        signals_topic="signals.x", orders_topic="orders.y", executions_topic="executions.y"
    )
    assert set(harness.topics) == {"signals.x", "executions.y", "control.killswitch"}
    published = await harness.feed("signals.x", signal())
    assert [item.topic for item in published] == ["risk.decisions", "orders.y"]
    assert not any(isinstance(item.payload, Watermark) for item in published)
