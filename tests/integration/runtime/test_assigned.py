"""Agents that take up what was known of a partition, on a real coordinator and on the bus in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bellwire.admin.v1.topic_pb2 import LOG_KIND_MEMORY, LOG_KIND_SQLITE, Topic
from bellwire.client import Client, connect
from bellwire.runtime import (
    Agent,
    AgentRunner,
    AssignedPartition,
    MessageContext,
    RunSettings,
    subscribe,
)
from bellwire.testing import InMemoryBus, running_coordinator
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.wire.errors import PeerError

pytestmark = pytest.mark.integration

IN, OUT = "bars.1h", "echoes"
RUN = RunSettings(
    retry_delay_first_seconds=0.001, retry_delay_max_seconds=0.002, assign_timeout_seconds=0.5
)
Hook = Callable[[AssignedPartition], Awaitable[None]]
Connect = Callable[[], Client]


class Echo(Agent):
    """Echoes bars; notes when it was assigned a partition and what it read back."""

    name = "echo"
    publishes = (OUT,)

    def __init__(self, hook: Hook | None = None) -> None:
        super().__init__()
        self.hook = hook
        self.events: list[str] = []

    async def on_assigned(self, partition: AssignedPartition) -> None:
        self.events.append(f"{partition.topic}/{partition.partition}@{partition.offset}")
        if self.hook is not None:
            await self.hook(partition)
        before = [Bar.FromString(m.data).sequence for m in await partition.before(3)]
        newest = [Bar.FromString(m.data).sequence for m in await partition.newest(OUT, 2)]
        absent = await partition.newest("absent", 2)
        self.events.append(f"before {before}, newest {newest}, absent {list(absent)}")

    @subscribe(IN, Bar)
    async def on_bar(self, bar: Bar, context: MessageContext) -> Bar:
        self.events.append(f"bar {bar.sequence}")
        return bar


@pytest.fixture(params=["socket", "durable", "memory"])
async def server(request: pytest.FixtureRequest, tmp_path: object) -> AsyncIterator[Connect]:
    """Returns a new client of one bus each time it is called."""
    if request.param == "memory":
        yield InMemoryBus().client
        return
    data = str(tmp_path) if request.param == "durable" else ""
    async with running_coordinator(data=data) as running:
        yield lambda: connect(running.unix)


@pytest.fixture
async def client(server: Connect, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    is_durable = "durable" in request.node.callspec.id
    async with server() as connected:
        for topic in (IN, OUT):
            log = LOG_KIND_SQLITE if is_durable else LOG_KIND_MEMORY
            await connected.admin.create_topic(Topic(name=topic, partition_count=1, log=log))
        yield connected


@asynccontextmanager
async def run(
    server: Connect, agent: Agent, settings: RunSettings = RUN
) -> AsyncIterator[AgentRunner]:
    async with server() as connected:
        runner = AgentRunner(agent, connected, settings)
        task = asyncio.create_task(runner.run())
        yield runner
        runner.stop()
        await task


async def publish(client: Client, *sequences: int) -> None:
    for sequence in sequences:
        await client.publisher("test").publish(IN, Bar(sequence=sequence), key="EURUSD")


async def echoed(client: Client, count: int) -> None:
    """Wait for so many echoes in all."""
    async with (
        asyncio.timeout(10),
        client.subscribe(OUT, subscription=f"until-{count}") as subscription,
    ):
        found = 0
        async for _ in subscription:
            found += 1
            if found == count:
                return


async def test_a_partition_is_assigned_before_its_first_message_with_what_was_before(
    server: Connect, client: Client
) -> None:
    await publish(client, 0, 1, 2, 3, 4)
    async with run(server, first := Echo()):
        await echoed(client, 5)
    await publish(client, 5, 6)
    async with run(server, second := Echo()):
        await echoed(client, 7)
    assert first.events[:3] == ["bars.1h/0@0", "before [], newest [], absent []", "bar 0"]
    assert second.events == [
        "bars.1h/0@5",
        "before [2, 3, 4], newest [3, 4], absent []",
        "bar 5",
        "bar 6",
    ]


@pytest.mark.parametrize("kind", ["raises", "hangs"])
async def test_a_partition_that_cannot_be_prepared_waits_and_loses_nothing(
    server: Connect, client: Client, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    async def hook(_partition: AssignedPartition) -> None:
        nonlocal tries
        tries += 1
        if tries <= 5 and kind == "raises":  # more than a message may fail
            raise PeerError("the log is away")
        if tries == 1:
            await asyncio.Event().wait()

    await publish(client, 0, 1, 2)
    async with run(server, agent := Echo(hook)) as runner:
        await echoed(client, 3)
        assert runner.counters.poison == 0
        assert runner.counters.errors == tries - 1 > 0
    assert ("raise runtime.assign_timeout_seconds" in caplog.text) is (kind == "hangs")
    assert [event for event in agent.events if event.startswith("bar ")] == [
        "bar 0",
        "bar 1",
        "bar 2",
    ]


async def test_with_crash_on_error_it_ends_the_process(server: Connect, client: Client) -> None:
    async def hook(_partition: AssignedPartition) -> None:
        raise PeerError("the log is away")

    await publish(client, 0)
    settings = RunSettings(crash_on_error=True)
    with pytest.raises(PeerError, match="the log is away"):
        async with server() as connected, asyncio.timeout(10):
            await AgentRunner(Echo(hook), connected, settings).run()
