"""Lines that break at any moment: nothing acknowledged is lost, nothing is handed over twice."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator

import pytest

from bellwire.agent.v1.agent_pb2 import Agent
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.client import (
    CallCancelled,
    Client,
    ClientSettings,
    DeadlineExceededError,
    IncomingCall,
    Message,
    Subscription,
    UnreachableError,
    connect,
    new_message,
)
from bellwire.client.agent_stream import AgentStream
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator
from bellwire.testing import InMemoryBus

pytestmark = pytest.mark.integration

QUICK = ClientSettings(reconnect_first_seconds=0.001, reconnect_max_seconds=0.01)
COUNT = 600


def numbered(count: int) -> list[Message]:
    return [new_message(data=str(n).encode()) for n in range(count)]


async def cut_now_and_then(bus: InMemoryBus, seed: int) -> None:
    """Cut every line after a random number of turns of the loop, until cancelled."""
    chance = random.Random(seed)
    while True:
        for _ in range(chance.randrange(5, 400)):
            await asyncio.sleep(0)
        bus.disconnect()


@pytest.fixture(params=range(8))
async def unreliable(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A client of a bus whose lines break all the time; the parameter is the seed."""
    bus = InMemoryBus()
    async with bus.client(QUICK) as client:
        cutting = asyncio.create_task(cut_now_and_then(bus, request.param))
        try:
            yield client
        finally:
            cutting.cancel()
            await asyncio.gather(cutting, return_exceptions=True)


async def test_publish_over_a_breaking_line_appends_each_message_once_in_order(
    unreliable: Client,
) -> None:
    publisher = unreliable.publisher()
    for start in range(0, COUNT, 50):
        messages = [new_message(data=str(start + n).encode()) for n in range(50)]
        await publisher.publish_many("bars", messages)
    seen: list[int] = []
    async with unreliable.subscribe("bars", subscription="check") as subscription:
        async for received in subscription:
            seen.append(int(received.data))
            if len(seen) == COUNT:
                break
    assert seen == list(range(COUNT))
    stats = await unreliable.admin.topic_stats("bars")
    assert stats.published_messages == COUNT


async def test_singly_published_messages_survive_a_breaking_line(unreliable: Client) -> None:
    publisher = unreliable.publisher()
    futures = []
    for message in numbered(COUNT):
        futures.append(await publisher.enqueue("bars", message))
        await asyncio.sleep(0)
    await publisher.flush()
    assert [future.result().offset for future in futures] == list(range(COUNT))


@pytest.mark.parametrize("name", ["risk", ""], ids=["named", "ephemeral"])
async def test_a_subscriber_on_a_breaking_line_gets_each_message_once_in_order(
    unreliable: Client, name: str
) -> None:
    seen: list[int] = []
    async with unreliable.subscribe(
        "bars", subscription=name, window_messages=64, overflow_policy=OVERFLOW_POLICY_BLOCK
    ) as subscription:
        publishing = asyncio.create_task(
            unreliable.publisher().publish_many("bars", numbered(COUNT))
        )
        async for received in subscription:
            seen.append(int(received.data))
            await asyncio.sleep(0)  # Handle it while the line may break.
            if len(seen) == COUNT:
                break
        await publishing
        assert subscription.streams_opened > 1, "the line never broke: the test shows nothing"
    assert seen == list(range(COUNT))


@pytest.mark.parametrize("name", ["risk", ""], ids=["named", "ephemeral"])
async def test_batches_on_a_breaking_line_are_neither_lost_nor_repeated(
    unreliable: Client, name: str
) -> None:
    seen: list[int] = []
    async with unreliable.subscribe(
        "bars", subscription=name, window_messages=100, overflow_policy=OVERFLOW_POLICY_BLOCK
    ) as subscription:
        publishing = asyncio.create_task(
            unreliable.publisher().publish_many("bars", numbered(COUNT))
        )
        async for batch in subscription.batches():
            seen.extend(int(message.data) for message in batch.messages)
            await asyncio.sleep(0)
            if len(seen) >= COUNT:
                break
        await publishing
    assert seen == list(range(COUNT))


async def reopened(stream: Subscription | AgentStream) -> None:
    """Let the client notice that its line broke, and open the next stream."""
    while stream.streams_opened < 2:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)


async def test_a_released_message_is_not_forgotten_when_the_line_breaks() -> None:
    bus = InMemoryBus()
    async with bus.client(QUICK) as client, client.subscribe("bars", settle="manual") as ephemeral:
        await client.publisher().publish_many("bars", numbered(3))
        events = aiter(ephemeral)
        first, second, third = [await anext(events) for _ in range(3)]
        await ephemeral.release(first, delay_seconds=60.0)
        await ephemeral.accept(second)
        await ephemeral.accept(third)
        bus.disconnect()
        again = await anext(events)
        assert again.data == b"0"
        await ephemeral.accept(again)
        await client.publisher().publish("bars", b"next")
        assert (await anext(events)).data == b"next"


async def test_an_acceptance_after_the_line_broke_still_counts() -> None:
    bus = InMemoryBus()
    async with (
        bus.client(QUICK) as client,
        client.subscribe("bars", subscription="risk", settle="manual") as subscription,
    ):
        await client.publisher().publish_many("bars", numbered(2))
        events = aiter(subscription)
        first = await anext(events)
        bus.disconnect()
        await reopened(subscription)
        await subscription.accept(first)  # Its stream is gone; the coordinator delivers it again.
        second = await anext(events)
        assert (second.data, second.attempt) == (b"1", 1)
        assert subscription.duplicates_skipped == 1


async def test_calls_in_hand_are_cancelled_and_the_agent_registers_again() -> None:
    bus = InMemoryBus()
    agent = Agent(agent_id="rules-0")
    agent.capabilities.add(name="explain", kind=1)
    async with bus.client(QUICK) as client, client.agent_stream(agent) as stream:
        calling = asyncio.ensure_future(client.call("explain"))
        events = aiter(stream)
        call = await anext(events)
        bus.disconnect()
        cancelled = await anext(events)
        assert isinstance(cancelled, CallCancelled)
        assert (cancelled.call, cancelled.reason) == (call, "connection lost")
        with pytest.raises(Exception, match="rules-0"):
            await calling
        await reopened(stream)
        again = asyncio.ensure_future(client.call("explain"))
        second = await anext(events)
        assert isinstance(second, IncomingCall)
        assert await second.reply(b"{}")
        assert (await again).result == b"{}"
        assert stream.streams_opened == 2


# ---------------------------------------------------------------- a coordinator that goes away


@pytest.fixture
def address(tmp_path) -> str:
    return f"unix://{tmp_path}/bus.sock"


def coordinator_at(address: str, **overrides) -> Coordinator:
    return Coordinator(CoordinatorSettings(listen=(address,), **overrides))


async def test_an_agent_says_once_that_the_coordinator_is_lost_and_once_that_it_is_back(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bellwire.client.agent_stream")
    first = coordinator_at(address)
    await first.start()
    async with (
        connect(address, QUICK) as client,
        client.agent_stream(Agent(agent_id="rules-0")) as stream,
    ):
        await first.close()
        second = coordinator_at(address)
        await second.start()
        await reopened(stream)
    await second.close()
    told = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "bellwire.client.agent_stream"
    ]
    assert [level for level, _ in told] == ["WARNING", "INFO"]
    assert told[0][1].startswith(f"agent rules-0 has lost the coordinator at {address}")
    assert told[1][1] == f"agent rules-0 is registered again at {address}"


class Failing(logging.Handler):
    """A place for logs that raises, as none should."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("no space left")


async def test_an_agent_comes_back_though_nobody_can_be_told(address: str) -> None:
    logger, failing = logging.getLogger("bellwire.client.agent_stream"), Failing()
    first = coordinator_at(address)
    await first.start()
    logger.addHandler(failing)
    try:
        async with (
            connect(address, QUICK) as client,
            client.agent_stream(Agent(agent_id="rules-0")) as stream,
        ):
            await first.close()
            second = coordinator_at(address)
            await second.start()
            await reopened(stream)
        await second.close()
    finally:
        logger.removeHandler(failing)


async def test_publishers_and_subscribers_find_a_restarted_coordinator(address: str) -> None:
    first = coordinator_at(address)
    await first.start()
    async with connect(address, QUICK) as client, client.subscribe("bars") as subscription:
        events = aiter(subscription)
        publisher = client.publisher()
        assert (await publisher.publish("bars", b"before")).offset == 0
        assert (await anext(events)).data == b"before"
        await first.close()
        waiting = asyncio.ensure_future(publisher.publish("bars", b"after", timeout=30))
        receiving = asyncio.ensure_future(anext(events))
        async with coordinator_at(address):
            # Its log is empty: offsets begin again, and are not taken for repeats.
            assert (await waiting).offset == 0
            late = asyncio.ensure_future(anext(events)) if receiving.done() else receiving
            while not late.done():
                await publisher.publish("bars", b"more", timeout=30)
            assert late.result().data in (b"after", b"more")


async def test_a_drained_coordinator_is_left_before_its_grace_is_over(address: str) -> None:
    loop = asyncio.get_running_loop()
    draining = coordinator_at(address, drain_grace_seconds=30.0)
    await draining.start()
    async with connect(address, QUICK) as client:
        agent = client.agent_stream(Agent(agent_id="rules-0"))
        async with client.subscribe("bars", subscription="risk") as subscription, agent:
            publisher = client.publisher()
            await publisher.publish("bars", b"1")
            events = aiter(subscription)
            assert (await anext(events)).data == b"1"
            reading = asyncio.ensure_future(anext(events))  # Accepts the first.
            began = loop.time()
            await draining.drain()
            assert loop.time() - began < 5.0, "streams were cut at the end of the grace period"
            async with coordinator_at(address):
                await publisher.publish("bars", b"2", timeout=30)
                assert (await reading).data == b"2"


async def test_an_absent_coordinator_is_named_in_the_error(address: str) -> None:
    settings = ClientSettings()
    quick = type(settings.transport)(connect_timeout_seconds=0.2)
    with pytest.raises(UnreachableError, match=r"no coordinator at unix:.*bellwire serve"):
        await connect(address, ClientSettings(transport=quick)).__aenter__()


async def test_a_publish_during_an_outage_says_what_it_waited_for(address: str) -> None:
    coordinator = coordinator_at(address)
    await coordinator.start()
    async with connect(address, QUICK) as client:
        publisher = client.publisher()
        await publisher.publish("bars", b"1")
        await coordinator.close()
        with pytest.raises(DeadlineExceededError) as caught:
            await publisher.publish("bars", b"2", timeout=0.2)
        assert "acknowledgement of 1 message on 'bars'" in caught.value.message
        assert caught.value.metadata["seconds"] == "0.2"
        with pytest.raises(DeadlineExceededError, match="topics of unix:"):
            await client.admin.list_topics(timeout=0.2)
