"""Streams that have ended, of a bus in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bellwire.client import Client
from bellwire.client._ended_streams import LEFT_MAX, EndedStreams
from bellwire.client._stream_subscription import StreamSubscription
from bellwire.testing import InMemoryBus


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with InMemoryBus().client() as made:
        yield made


async def closed_stream(client: Client, *data: bytes) -> StreamSubscription:
    """A stream that was closed when it had received these and handed over none."""
    stream = client.subscribe("t", settle="manual")
    assert isinstance(stream, StreamSubscription)
    async with asyncio.timeout(5), stream:
        await client.publisher("test").publish_payloads("t", data or [b"unseen"])
        await stream._side.inbox.arrived.wait()
        if not data:
            stream.batch_nowait()
    return stream


async def test_what_is_left_is_taken_in_the_order_of_the_ends(client: Client) -> None:
    ended = EndedStreams()
    streams = [await closed_stream(client, b"1"), await closed_stream(client, b"2")]
    for stream in streams:
        ended.add(stream, hands_over=True)
    taken = [ended.take(), ended.take()]
    assert [each and (each[0], each[1].messages[0].data) for each in taken] == [
        (streams[0], b"1"),
        (streams[1], b"2"),
    ]
    assert (ended.take(), len(ended), ended.figures().streams_opened) == (None, 0, 2)


async def test_nothing_is_kept_of_what_has_nothing_left_or_is_delivered_to_others(
    client: Client,
) -> None:
    ended = EndedStreams()
    ended.add(await closed_stream(client), hands_over=True)
    ended.add(await closed_stream(client, b"1"), hands_over=False)
    assert (len(ended), ended.figures().streams_opened) == (0, 2)


async def test_what_is_given_back_brings_its_stream_again_and_counts_it_once(
    client: Client,
) -> None:
    ended = EndedStreams()
    ended.add(await closed_stream(client, b"1"), hands_over=True)
    for attempt in range(3):
        found = ended.take()
        assert found is not None
        assert found[1].attempt == attempt
        assert ended.take() is None
        arrived = found[0]._side.inbox.arrived
        arrived.clear()
        await found[1].release()
        await asyncio.wait_for(arrived.wait(), 5)
        assert len(ended) == 1
        assert ended.figures().streams_opened == 1


async def test_no_more_end_than_there_is_room_for_until_something_is_taken(
    client: Client,
) -> None:
    ended = EndedStreams()
    for _ in range(LEFT_MAX):
        await ended.wait_for_room()
        ended.add(await closed_stream(client, b"1"), hands_over=True)
    waiting = asyncio.ensure_future(ended.wait_for_room())
    assert ended.take() is not None
    await asyncio.sleep(0)
    assert not waiting.done()
    assert ended.take() is not None  # The first one has nothing more.
    await asyncio.wait_for(waiting, 5)
    assert len(ended) == LEFT_MAX - 1
