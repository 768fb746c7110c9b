"""A stance asked for over a real coordinator is what the agent says without one."""

import asyncio

import pytest

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.feed import BarFeed, to_message
from bellwire.agents.strategic.strategic_agent import StrategicAgent
from bellwire.client import connect
from bellwire.runtime.harness import AgentHarness
from bellwire.runtime.runner import AgentRunner
from bellwire.testing.server import running_coordinator

BARS = 100
DEADLINE_SECONDS = 45
ASKED = {"symbol": "EURUSD"}
# Its own bars are its clock: it waits for the bus and for nobody who trades.
FREE = {"clock_topic": "bars.1h", "clock_stage": "bars", "ahead_bars_max": 10}


async def asked(client):
    return (await client.call("stance", ASKED)).json()


async def over_the_bus():
    async with running_coordinator() as server, connect(server.unix) as client:
        agents = StrategicAgent(), BarFeed({"bars_max": BARS, **FREE})
        runners = [AgentRunner(agent, client) for agent in agents]
        tasks = []
        for runner in runners:  # The feed last, so that it finds a subscriber.
            tasks.append(asyncio.create_task(runner.run()))
            await runner.ready.wait()
        answer = await asked(client)
        while answer.get("bars") != BARS:  # Each turn waits for an answer; the deadline ends them.
            answer = await asked(client)
        for runner in runners:
            runner.stop()
        await asyncio.gather(*tasks)
    return answer


async def without_a_bus():
    harness = AgentHarness(StrategicAgent())
    await harness.start()
    bars = read_ohlcv(EURUSD_1H.path, symbol="EURUSD").bars[:BARS]
    for number, bar in enumerate(bars):
        await harness.feed("bars.1h", to_message(bar, number))
    answer = await harness.call("stance", ASKED)
    await harness.stop()
    return answer


@pytest.mark.integration
async def test_the_bus_gives_the_stance_that_the_agent_gives_alone():
    async with asyncio.timeout(DEADLINE_SECONDS):
        answer = await over_the_bus()
    assert answer == await without_a_bus()
    assert answer["has_stance"]
