"""A trading agent that is killed while it holds a position goes on as one that never was."""

import asyncio
import os
import signal
from collections.abc import Sequence

import pytest

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.feed import to_message
from bellwire.agents.tactical.agent import RulesAgent
from bellwire.agents.tactical.series import position_of
from bellwire.agents.tactical.tactical_agent import TacticalAgent
from bellwire.client import Client, connect
from bellwire.runtime import Agent, AgentSpec, ChildContext, Supervisor, SupervisorSettings
from bellwire.runtime.harness import AgentHarness
from bellwire.testing import running_coordinator
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.message import new_message

pytestmark = pytest.mark.acceptance

BARS, SIGNALS = "bars.1h", "signals.tactical"
SUPERVISION = SupervisorSettings(
    restarts_max=2, restart_delay_first_seconds=0.01, restart_delay_max_seconds=0.02
)


async def expected_of(agent: Agent, bars: Sequence[Bar]) -> list[Signal]:
    """Return what the agent signals that nobody kills."""
    harness = AgentHarness(agent)
    await harness.start()
    for bar in bars:
        message = new_message(data=bar.SerializeToString(), type=Bar.DESCRIPTOR.full_name)
        await harness.feed(BARS, message)
    await harness.stop()
    return [item.payload for item in harness.published if isinstance(item.payload, Signal)]


async def publish(client: Client, bars: Sequence[Bar]) -> None:
    await client.publisher("test").publish_many(
        BARS,
        [
            new_message(
                data=bar.SerializeToString(),
                type=Bar.DESCRIPTOR.full_name,
                key=bar.symbol,
                time_unix_nano=bar.close_time_unix_nano,
            )
            for bar in bars
        ],
    )


async def signalled(client: Client, until: Signal) -> dict[str, Signal]:
    """Return the signals by id, the first of each, up to one of them."""
    found: dict[str, Signal] = {}
    name = f"until-{until.signal_id}"
    async with asyncio.timeout(30), client.subscribe(SIGNALS, subscription=name) as subscription:
        async for received in subscription:
            each = Signal.FromString(received.data)
            assert found.setdefault(each.signal_id, each) == each, "one id, one content"
            if each.signal_id == until.signal_id:
                return found
    raise AssertionError("the subscription ended")


async def settled(client: Client, subscription: str) -> None:
    """Wait until the coordinator knows that everything was handled, so that nothing comes again."""
    async with asyncio.timeout(30):
        while True:
            stats = await client.admin.topic_stats(BARS)
            found = [each for each in stats.subscriptions if each.subscription == subscription]
            if found and not found[0].backlog_messages + found[0].in_flight_messages:
                return
            await asyncio.sleep(0.02)  # no event tells of it


@pytest.mark.parametrize(
    ("agent", "count"), [(RulesAgent, 400), (TacticalAgent, 200)], ids=["rules", "tactical"]
)
async def test_an_agent_killed_in_a_position_moves_it_as_one_that_was_not(
    agent: type[Agent], count: int
) -> None:
    series = read_ohlcv(EURUSD_1H.path, symbol="EURUSD").bars[:count]
    bars = [to_message(bar, number) for number, bar in enumerate(series)]
    expected = await expected_of(agent(), bars)
    held = next(each for each in expected[len(expected) // 2 :] if position_of(each))
    number = [bar.close_time_unix_nano for bar in bars].index(held.decision_time_unix_nano) + 1
    target = f"{agent.__module__}:{agent.__qualname__}"
    async with (
        running_coordinator() as running,
        connect(running.unix) as client,
        Supervisor(SUPERVISION) as supervisor,
    ):
        for topic in (BARS, SIGNALS):
            await client.admin.create_topic(Topic(name=topic, partition_count=1))
        (process,) = await supervisor.start_agents(
            [AgentSpec(target, name=agent.name)], ChildContext(running.unix)
        )
        await publish(client, bars[:number])
        await signalled(client, held)
        await settled(client, agent.name)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await publish(client, bars[number:])
        found = await signalled(client, expected[-1])
        assert process.restarts == 1
    assert list(found.values()) == expected
