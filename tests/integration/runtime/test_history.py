"""bellwire.runtime.history on a real coordinator: types, shares, bounds, and retention that is faster."""

import logging
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Self, cast

import pytest

from bellwire.admin.v1.topic_pb2 import LOG_KIND_MEMORY, Topic
from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import StartPosition
from bellwire.client import Client, connect
from bellwire.client.protocol import BusClient, BusReplay
from bellwire.client.received import Batch
from bellwire.runtime.history import BusHistory
from bellwire.testing import running_coordinator
from bellwire.trading.v1.market_data_pb2 import Watermark
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.message import new_message

pytestmark = pytest.mark.integration

TOPIC = "signals.tactical"
SIGNAL = Signal.DESCRIPTOR.full_name
LARGE = Random(1).randbytes(20_000)  # A thousand of them are more than a connection holds.


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running_coordinator() as running, connect(running.unix) as connected:
        yield connected


async def create(client: Client, partitions: int = 1, retention_messages: int = 0) -> None:
    topic = Topic(name=TOPIC, partition_count=partitions, log=LOG_KIND_MEMORY)
    topic.retention_messages = retention_messages
    await client.admin.create_topic(topic)


async def publish(
    client: Client, first: int, count: int, kind: str = SIGNAL, data: bytes = b"x"
) -> None:
    """Publish messages of a type, numbered by their times; every hundred of them share a key."""
    messages = [
        new_message(data=data, type=kind, key=f"k{number // 100}", time_unix_nano=number)
        for number in range(first, first + count)
    ]
    await client.publisher("test").publish_many(TOPIC, messages)


def numbers(messages: Sequence[Message]) -> list[int]:
    return [message.time_unix_nano for message in messages]


class Busy:
    """A client on a topic that is written to each time the first batch of a replay was read."""

    def __init__(self, client: Client, writes: list[int]) -> None:
        self.client = client
        self.writes = writes
        self.admin = client.admin

    def replay(self, topic: str, *, start: StartPosition, speed: float) -> "_Overtaken":
        return _Overtaken(self, self.client.replay(topic, start=start, speed=speed))


class _Overtaken:
    """A replay that is written behind."""

    def __init__(self, busy: Busy, replay: BusReplay) -> None:
        self._busy = busy
        self._replay = replay

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._replay.close()

    async def batches(self) -> AsyncIterator[Batch]:
        is_first = True
        async for batch in self._replay.batches():
            yield batch
            if is_first and self._busy.writes:
                await publish(self._busy.client, 100_000, self._busy.writes.pop(0), data=LARGE)
            is_first = False


async def test_watermarks_do_not_count_among_the_signals_that_are_wanted(client: Client) -> None:
    await create(client, partitions=2)
    await publish(client, 0, 5)
    await publish(client, 5, 2_000, Watermark.DESCRIPTOR.full_name)
    history = BusHistory(client)
    assert numbers(await history.newest(TOPIC, 10, SIGNAL)) == [0, 1, 2, 3, 4]
    assert numbers(await history.newest(TOPIC, 3, SIGNAL)) == [2, 3, 4]
    assert len(await history.newest(TOPIC, 10)) == 10
    found = [await history.before(TOPIC, each, 10**6, 10, SIGNAL) for each in range(2)]
    assert sorted(numbers(found[0]) + numbers(found[1])) == [0, 1, 2, 3, 4]


async def test_each_batch_that_arrives_is_a_sign_of_life(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(client)
    await publish(client, 0, 250)
    heard: list[None] = []
    monkeypatch.setattr("bellwire.runtime.history.heard", lambda: heard.append(None))
    await BusHistory(client).newest(TOPIC, 250)
    assert len(heard) >= 4, "one that tells the offsets, and three batches at least"


async def test_below_an_offset_only_what_was_before_it_is_found(client: Client) -> None:
    await create(client)
    await publish(client, 0, 300)
    history = BusHistory(client)
    assert numbers(await history.before(TOPIC, 0, 150, 3, SIGNAL)) == [147, 148, 149]
    assert numbers(await history.before(TOPIC, 0, 150, 3)) == [147, 148, 149]
    assert list(await history.before(TOPIC, 7, 150, 3)) == []


async def test_a_look_that_was_cut_off_by_its_bound_says_so_once(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await create(client)
    await publish(client, 0, 1)
    await publish(client, 1, 100, "other")
    history = BusHistory(client, looked_at_max=50)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert list(await history.newest(TOPIC, 3, SIGNAL)) == []
    assert [record.message.count("runtime.look_messages_max") for record in caplog.records] == [1]


async def test_a_look_that_retention_overtakes_finds_what_is_left(client: Client) -> None:
    await create(client, retention_messages=1_000)
    await publish(client, 0, 1_000, data=LARGE)
    busy = Busy(client, [600])
    found = numbers(await BusHistory(cast("BusClient", busy)).before(TOPIC, 0, 1_000, 1_000))
    assert not busy.writes
    assert found == list(range(856, 1_000)), "what is kept but for the margin, without a hole"


async def test_a_look_of_which_retention_leaves_nothing_ends(client: Client) -> None:
    await create(client, retention_messages=1_000)
    await publish(client, 0, 1_000, data=LARGE)
    busy = Busy(client, [1_000])
    assert list(await BusHistory(cast("BusClient", busy)).before(TOPIC, 0, 1_000, 1_000)) == []
