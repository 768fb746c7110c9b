"""An agent process that works does not grow; one that does is found."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bellwire.client import Client, connect
from bellwire.runtime import AgentSpec, ChildContext, Supervisor
from bellwire.runtime.process import SupervisedProcess
from bellwire.testing import Leak, LeakMeter, RunningCoordinator, running_coordinator
from bellwire.trading.v1.market_data_pb2 import Bar

pytestmark = [pytest.mark.integration, pytest.mark.slow]

IN, OUT = "bars.1h", "echoes"
SYMBOL = "EURUSD" * 10  # kept by the agent that leaks
BARS = 2_000  # a round
BATCH = 500
# One object of Python's, left over for each message, is 100 kB a round; the heap's own steps are
# 128 KiB (M_TRIM_THRESHOLD, mallopt(3)) and come in few rounds.
LEAK_BYTES_MAX = 32_768
MODULE = '''
from bellwire.runtime import Agent, MessageContext, subscribe, tool
from bellwire.trading.v1.market_data_pb2 import Bar


class Echo(Agent):
    """Echoes bars; keeps a copy of each when its settings say so."""

    name = "echo"
    publishes = ("echoes",)
    default_settings = {"leaks": False}
    kept = []

    @subscribe("bars.1h", Bar)
    async def on_bar(self, bar: Bar, context: MessageContext) -> Bar:
        if self.settings["leaks"]:
            self.kept.append(bar.symbol + str(bar.sequence))
        return bar

    @tool()
    async def last(self) -> int:
        """Return how many are kept."""
        return len(self.kept)
'''

Measure = Callable[..., Awaitable[Leak]]


@pytest.fixture
async def server() -> AsyncIterator[RunningCoordinator]:
    async with running_coordinator() as running:
        yield running


@pytest.fixture
async def client(server: RunningCoordinator) -> AsyncIterator[Client]:
    async with connect(server.unix) as connected:
        yield connected


@pytest.fixture
async def measure(
    server: RunningCoordinator, client: Client, tmp_path: Path
) -> AsyncIterator[Measure]:
    """Measure the agent while it echoes bars and answers calls."""
    (tmp_path / "echo_agent.py").write_text(MODULE)

    async def run(supervisor: Supervisor, *, leaks: bool) -> Leak:
        spec = AgentSpec(
            "echo_agent:Echo",
            settings={"leaks": leaks},
            environment={"PYTHONPATH": str(tmp_path)},
        )
        (process,) = await supervisor.start_agents([spec], ChildContext(server.unix))
        async with client.subscribe(OUT) as echoes:
            received = aiter(echoes)

            async def work(number: int) -> None:
                async with asyncio.timeout(30):
                    await play(client, number)
                    for _ in range(BARS):
                        await anext(received)
                    await client.call("last", {})

            return await LeakMeter(lambda: resident(process)).measure(work)

    async with Supervisor() as supervisor:
        yield lambda *, leaks: run(supervisor, leaks=leaks)


async def play(client: Client, number: int) -> None:
    """Publish the bars of a round."""
    publisher = client.publisher("feed")
    for first in range(number * BARS, (number + 1) * BARS, BATCH):
        bars = [Bar(sequence=first + n, symbol=SYMBOL).SerializeToString() for n in range(BATCH)]
        await publisher.publish_payloads(IN, bars, key=SYMBOL, type="bellwire.trading.v1.Bar")


def resident(process: SupervisedProcess) -> int:
    usage = process.usage()
    assert usage is not None, "the agent is gone"
    return usage.rss_bytes


async def test_agent_that_handles_bars_and_calls_does_not_grow(measure: Measure) -> None:
    leak = await measure(leaks=False)
    assert leak.bytes_per_round < LEAK_BYTES_MAX, leak


async def test_agent_that_keeps_a_string_of_each_bar_is_found(measure: Measure) -> None:
    leak = await measure(leaks=True)
    assert leak.bytes_per_round_low > LEAK_BYTES_MAX, leak
