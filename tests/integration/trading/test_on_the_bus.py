"""The same four agents over a real coordinator: what they publish is what they publish without it."""

import asyncio
from collections import defaultdict

import pytest
from tests.integration.trading.chain import Chain, canonical
from tests.integration.trading.test_chain import demo_agents

from bellwire.client import connect
from bellwire.runtime.runner import AgentRunner
from bellwire.testing.server import running_coordinator
from bellwire.trading.v1.market_data_pb2 import Watermark

BARS = 300
DEADLINE_SECONDS = 45
LAST_STAGES = {"executions.accepted", "decisions"}
TOPICS = ("bars.1h", "signals.tactical", "risk.decisions", "orders.paper", "executions.paper")


async def listen(subscription):
    """Return (type, key, event time, payload) by topic, until both ends of the run have come."""
    heard, ended = defaultdict(list), set()
    async for message in subscription:
        heard[message.topic].append(
            (message.type, message.key, message.time_unix_nano, message.data)
        )
        if message.type == Watermark.DESCRIPTOR.full_name:
            watermark = Watermark.FromString(message.data)
            if watermark.end_of_stream:
                ended.add(watermark.stage)
        if ended >= LAST_STAGES:
            break
    return dict(heard)


async def over_the_bus():
    agents = demo_agents(bars_max=BARS)
    feed, others = agents[0], agents[1:]
    async with running_coordinator() as server, connect(server.unix) as client:
        runners = [AgentRunner(agent, client) for agent in others]
        tasks = [asyncio.create_task(runner.run()) for runner in runners]
        await asyncio.gather(*(runner.ready.wait() for runner in runners))
        async with client.subscribe(*TOPICS) as subscription:
            runners.append(AgentRunner(feed, client))
            tasks.append(asyncio.create_task(runners[-1].run()))
            heard = await listen(subscription)
        for runner in runners:
            runner.stop()
        await asyncio.gather(*tasks)
    return heard, runners


@pytest.mark.integration
async def test_over_a_real_coordinator_the_same_bars_give_the_same_bytes():
    async with asyncio.timeout(DEADLINE_SECONDS):
        heard, runners = await over_the_bus()
    assert heard == canonical(await Chain(demo_agents(bars_max=BARS), seed=7).run())
    assert sum(runner.counters.errors + runner.counters.poison for runner in runners) == 0
    assert len(heard["orders.paper"]) > BARS  # its promises, and orders among them
