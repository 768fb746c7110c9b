"""Named producers: one id for life, a new epoch for each instance, and nothing from an older one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.coordinator.frames import (
    Duplex,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    refusal,
    within,
)
from tests.integration.coordinator.guarantees import Gate, served

from bellwire.bus.v1.message_pb2 import Batch, Window
from bellwire.bus.v1.publisher_pb2 import PublishRequest, PublishStart, PublishStreamRequest
from bellwire.wire.errors import (
    CallerError,
    ProducerFencedError,
    SequenceGapError,
    from_item_error,
)

pytestmark = pytest.mark.integration

NAME = "execution/paper-0"
STILL_ROUNDS = 50  # Round trips without an answer after which it counts as held.


@pytest.fixture(params=["", "durable"], ids=["memory", "durable"])
async def either(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Stubs]:
    """A coordinator that keeps everything in memory, or on the disk."""
    settings = {"data": tmp_path, "default_log": "sqlite"} if request.param else {}
    async with served(**settings) as bus:
        yield bus


async def instance(bus: Stubs, name: str = NAME) -> PublishStream:
    """A new instance of the producer."""
    return await PublishStream(bus).open(producer_name=name)


def identity(stream: PublishStream) -> dict[str, Any]:
    return {
        "producer_id": stream.started.producer_id,
        "producer_epoch": stream.started.producer_epoch,
    }


def order(stream: PublishStream, data: bytes, sequence: int, **fields: Any) -> Batch:
    """A batch under the id and epoch the stream was given."""
    return batch(data, base_sequence=sequence, **identity(stream), **fields)


async def fenced(stream: PublishStream, data: bytes, sequence: int) -> ProducerFencedError:
    """Publish what must be refused; return why."""
    await stream.publish(order(stream, data, sequence))
    error = from_item_error((await stream.read_arm("failure")).error)
    await stream.acknowledged(stream.frame)
    assert isinstance(error, ProducerFencedError), error
    return error


async def test_each_instance_of_a_name_gets_the_same_id_and_the_next_epoch(either: Stubs):
    streams = [await instance(either) for _ in range(3)]
    assert [stream.started.producer_epoch for stream in streams] == [0, 1, 2]
    assert len({stream.started.producer_id for stream in streams}) == 1
    other = await instance(either, "execution/paper-1")
    assert other.started.producer_id != streams[0].started.producer_id
    assert other.started.producer_epoch == 0
    unnamed = [await PublishStream(either).open() for _ in range(2)]
    ids = {stream.started.producer_id for stream in (*streams, other, *unnamed)}
    assert len(ids) == 4


async def test_an_older_instance_is_fenced_as_soon_as_the_newer_one_is_answered(either: Stubs):
    old = await instance(either)
    await old.publish(order(old, b"before", 0))
    await old.acknowledged(1)
    new = await instance(either)
    # The newer one has published nothing yet, and to another topic the older one never had.
    error = await fenced(old, b"too late", 1)
    assert error.metadata["epoch"] == "0"
    assert error.metadata["current_epoch"] == "1"
    assert "stop this one" in error.message
    await old.publish(order(old, b"elsewhere", 0, topic="orders"))
    failure = await old.read_arm("failure")
    assert isinstance(from_item_error(failure.error), ProducerFencedError)
    await new.publish(order(new, b"after", 0))
    await new.acknowledged(1)
    reader = await SubscribeStream(either).open("risk")
    assert await reader.data(2) == [b"before", b"after"]


async def test_the_older_stream_itself_goes_on_and_can_be_closed_in_order(either: Stubs):
    old = await instance(either)
    await instance(either)
    await fenced(old, b"too late", 0)
    await old.finish()


async def test_the_sequence_of_a_new_instance_begins_at_0(either: Stubs):
    old = await instance(either)
    await old.publish(order(old, b"0", 0), order(old, b"1", 1))
    await old.acknowledged(1)
    new = await instance(either)
    await new.publish(order(new, b"2", 2))
    failure = await new.read_arm("failure")
    assert isinstance(from_item_error(failure.error), SequenceGapError)
    await new.publish(order(new, b"2", 0))
    (place,) = await new.acknowledged(2)
    assert (place.first_offset, place.duplicate) == (2, False)


async def test_a_stream_that_reconnects_with_its_id_and_epoch_stays_what_it_is(either: Stubs):
    stream = await instance(either)
    await stream.publish(order(stream, b"0", 0))
    await stream.acknowledged(1)
    stream.cancel()
    again = await PublishStream(either).open(producer_name=NAME, **identity(stream))
    assert identity(again) == identity(stream)
    await again.publish(order(again, b"0", 0), order(again, b"1", 1))
    places = await again.acknowledged(1)
    assert [(place.first_offset, place.duplicate) for place in places] == [(0, True), (1, False)]


async def test_an_older_instance_cannot_reconnect(either: Stubs):
    old = await instance(either)
    await instance(either)
    stream = Duplex(either.publisher.PublishStream(), PublishStreamRequest)
    await stream.send(start=PublishStart(producer_name=NAME, **identity(old)))
    error = await stream.ended_with()
    assert isinstance(error, ProducerFencedError)
    assert error.metadata["current_epoch"] == "1"


async def test_a_unary_publish_of_an_older_instance_is_fenced_too(either: Stubs):
    old = await instance(either)
    await instance(either)
    request = PublishRequest(batch=order(old, b"x", 0))
    error = await refusal(either.publisher.Publish(request))
    assert isinstance(error, ProducerFencedError)


async def test_a_batch_that_waits_for_room_is_fenced_when_a_newer_instance_comes():
    async with served() as bus:
        await bus.create_topic(retention_messages=1)
        slow = await SubscribeStream(bus).open("slow", window=Window(messages=1, bytes=1 << 20))
        old = await instance(bus)
        await old.publish(order(old, b"0", 0))
        held = await slow.delivery()
        for sequence in (1, 2, 3):  # All but the last still fit.
            await old.publish(order(old, b"%d" % sequence, sequence))
        await old.acknowledged(3)
        new = await instance(bus)
        await slow.settle(held)
        assert await slow.data(1) == [b"1"]
        failure = await old.read_arm("failure")
        assert isinstance(from_item_error(failure.error), ProducerFencedError)
        await new.publish(order(new, b"new", 0))
        assert await slow.data(2) == [b"2", b"new"]


async def test_names_keep_their_id_and_count_on_over_a_restart(tmp_path):
    async with served(tmp_path, default_log="sqlite") as bus:
        old = await instance(bus)
        await old.publish(order(old, b"0", 0))
        await old.acknowledged(1)
    async with served(tmp_path, default_log="sqlite") as bus:
        resumed = await PublishStream(bus).open(producer_name=NAME, **identity(old))
        await resumed.publish(order(resumed, b"0", 0), order(resumed, b"1", 1))
        places = await resumed.acknowledged(1)
        assert [(p.first_offset, p.duplicate) for p in places] == [(0, True), (1, False)]
        new = await instance(bus)
        assert new.started.producer_id == old.started.producer_id
        assert new.started.producer_epoch == 1
        await fenced(resumed, b"too late", 2)
    async with served(tmp_path, default_log="sqlite") as bus:
        stream = Duplex(bus.publisher.PublishStream(), PublishStreamRequest)
        await stream.send(start=PublishStart(**identity(old)))
        assert isinstance(await stream.ended_with(), ProducerFencedError)
        reader = await SubscribeStream(bus).open("risk")
        assert await reader.data(2) == [b"0", b"1"]


async def test_names_on_memory_topics_are_kept_where_there_is_a_folder(tmp_path):
    async with served(tmp_path) as bus:
        old = await instance(bus)
    async with served(tmp_path) as bus:
        new = await instance(bus)
        assert (new.started.producer_id, new.started.producer_epoch) == (
            old.started.producer_id,
            1,
        )
        await new.publish(order(new, b"0", 0))
        await new.acknowledged(1)


async def test_an_epoch_is_told_only_when_it_is_on_the_disk(tmp_path, monkeypatch):
    gate = Gate(monkeypatch)
    async with served(tmp_path, default_log="sqlite") as bus:
        old = await instance(bus)
        gate.shut()
        opening = asyncio.create_task(instance(bus))
        for _ in range(STILL_ROUNDS):
            await bus.info()
        assert not opening.done()
        # The older one is fenced already: two that both may publish is what must never be.
        await old.publish(order(old, b"too late", 0))
        failure = await old.read_arm("failure")
        assert isinstance(from_item_error(failure.error), ProducerFencedError)
        gate.open()
        assert (await within(opening)).started.producer_epoch == 1


@pytest.mark.parametrize("name", ["x" * 257, "é" * 129])
async def test_a_name_that_is_too_long_is_refused(bus: Stubs, name: str):
    stream = Duplex(bus.publisher.PublishStream(), PublishStreamRequest)
    await stream.send(start=PublishStart(producer_name=name))
    error = await stream.ended_with()
    assert isinstance(error, CallerError)
    assert "limit is 256" in error.message
