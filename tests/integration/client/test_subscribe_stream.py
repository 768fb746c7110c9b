"""The client's subscribe stream against a coordinator that behaves, and one that does not."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_RELEASE,
    START_POLICY_LATEST,
    START_POLICY_POSITIONS,
    Delivery,
    SubscribeDraining,
    SubscribeHeartbeat,
    SubscribeResponse,
)
from bellwire.client import (
    LATEST,
    CallerError,
    ClientSettings,
    ClosedError,
    InternalError,
    UnreachableError,
    new_message,
)
from bellwire.client.settings import SubscribeSettings
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import BatchChecksumError

pytestmark = pytest.mark.integration

QUICK = ClientSettings(reconnect_first_seconds=0.001, reconnect_max_seconds=0.01)


def delivery(first: int, count: int, *, tag: int = 0, **fields) -> SubscribeResponse:
    messages = [new_message(data=str(first + n).encode()) for n in range(count)]
    return SubscribeResponse(
        delivery=Delivery(
            batch=encode_batch("bars", 0, messages),
            first_delivery_tag=tag or first + 1,
            first_offset=first,
            **fields,
        )
    )


async def settled(line) -> list[tuple[int, int, int]]:
    """Return all dispositions until the client ends the stream."""
    found = []
    while (request := await line.read()) is not grpc.aio.EOF:
        found += [(s.first_tag, s.last_tag, s.disposition) for s in request.settle.settlements]
    return found


async def test_accepted_messages_are_settled_in_few_frames_and_none_is_missed(script) -> None:
    frames: list[list[tuple[int, int]]] = []
    done = asyncio.Event()

    async def subscribe(line) -> None:
        start = await line.start_subscribe()
        for first in range(0, 5_000, 100):
            await line.write(delivery(first, 100))
        assert start.window.messages == 10_000
        while (request := await line.read()) is not grpc.aio.EOF:
            if request.HasField("settle"):
                frames.append([(s.first_tag, s.last_tag) for s in request.settle.settlements])
        done.set()

    script.subscribe = subscribe
    async with script.client(QUICK) as client, client.subscribe("bars") as subscription:
        count = 0
        async for received in subscription:
            assert received.data == str(count).encode()
            count += 1
            if count == 5_000:
                await subscription.accept(received)
                break
    await done.wait()
    ranges = [item for frame in frames for item in frame]
    assert sorted(tag for low, high in ranges for tag in range(low, high + 1)) == list(
        range(1, 5_001)
    )
    assert len(frames) <= 100


async def test_a_finished_message_is_settled_while_the_next_one_is_being_handled(script) -> None:
    settle = asyncio.Event()

    async def subscribe(line) -> None:
        await line.start_subscribe()
        await line.write(delivery(0, 100))
        while (request := await line.read()) is not grpc.aio.EOF:
            if request.HasField("settle"):
                (settlement,) = request.settle.settlements
                assert (settlement.first_tag, settlement.last_tag) == (1, 1)
                settle.set()
                await line.hold()
                return

    script.subscribe = subscribe
    async with script.client(QUICK) as client, client.subscribe("bars") as subscription:
        events = aiter(subscription)
        await anext(events)
        await anext(events)
        await settle.wait()  # The second message is still in hand.


async def test_manual_dispositions_travel_as_they_were_given(script) -> None:
    found: list[tuple[int, int, int]] = []
    done = asyncio.Event()

    async def subscribe(line) -> None:
        await line.start_subscribe()
        await line.write(delivery(0, 6))
        found.extend(await settled(line))
        done.set()

    script.subscribe = subscribe
    async with (
        script.client(QUICK) as client,
        client.subscribe("bars", settle="manual") as subscription,
    ):
        batch = await anext(aiter(subscription.batches()))
        messages = list(batch)
        await subscription.accept(messages[3])
        await subscription.accept(messages[1])
        await subscription.release(messages[0])
        await subscription.accept(messages[2])
        await batch.accept()  # What is left: the fifth and the sixth.
    await done.wait()
    assert (1, 1, DISPOSITION_RELEASE) in found
    accepted = sorted(
        tag
        for low, high, disposition in found
        if disposition == DISPOSITION_ACCEPT
        for tag in range(low, high + 1)
    )
    assert accepted == [2, 3, 4, 5, 6]


async def test_an_ephemeral_subscription_resumes_behind_what_it_received(script) -> None:
    starts = []

    async def subscribe(line) -> None:
        starts.append(await line.start_subscribe(next_offset=5 if line.number == 1 else 15))
        if line.number == 1:
            await line.write(delivery(5, 10, tag=1))
            return
        # A coordinator that repeats some: they are recognised by their offsets.
        await line.write(delivery(12, 6, tag=1))
        await line.hold()

    script.subscribe = subscribe
    async with (
        script.client(QUICK) as client,
        client.subscribe("bars", start=LATEST) as subscription,
    ):
        events = aiter(subscription)
        found = [int((await anext(events)).data) for _ in range(13)]
        assert subscription.duplicates_skipped == 3
    assert found == list(range(5, 18))
    assert starts[0].start_position.policy == START_POLICY_LATEST
    assert starts[1].start_position.policy == START_POLICY_POSITIONS
    assert list(starts[1].start_position.positions) == [
        Position(topic="bars", partition=0, offset=15)
    ]


async def test_a_named_subscription_leaves_its_cursor_to_the_coordinator(script) -> None:
    starts = []

    async def subscribe(line) -> None:
        starts.append(await line.start_subscribe(next_offset=0 if line.number == 1 else 4))
        await line.write(delivery(0, 4, tag=1, attempt=line.number - 1))
        if line.number == 1:
            while not (await line.read()).HasField("settle"):
                pass
            return
        await line.hold()

    script.subscribe = subscribe
    async with (
        script.client(QUICK) as client,
        client.subscribe("bars", subscription="risk", settle="manual") as subscription,
    ):
        events = aiter(subscription)
        first = await anext(events)
        await subscription.accept(first)
        # The stream ends with the acceptance unconfirmed; everything is delivered again.
        found = []
        while len(found) < 3:
            received = await anext(events)
            if received.attempt:
                found.append(received.offset)
        assert found == [1, 2, 3]
    assert [start.subscription for start in starts] == ["risk", "risk"]
    assert not starts[1].start_position.positions


async def test_a_coordinator_that_exceeds_the_window_is_cut_off(script) -> None:
    async def subscribe(line) -> None:
        await line.start_subscribe()
        await line.write(delivery(0, 11))
        await line.hold()

    script.subscribe = subscribe
    async with (
        script.client(QUICK) as client,
        client.subscribe("bars", window_messages=10) as subscription,
    ):
        with pytest.raises(InternalError, match="11 messages into a window of 10"):
            await anext(aiter(subscription))
    assert script.streams["subscribe"] == 5


async def test_a_damaged_batch_is_told_and_the_next_one_still_comes(script) -> None:
    async def subscribe(line) -> None:
        await line.start_subscribe()
        damaged = delivery(0, 3)
        damaged.delivery.batch.header.crc32 ^= 1
        await line.write(damaged)
        await line.write(delivery(3, 1))
        await line.hold()

    script.subscribe = subscribe
    async with script.client(QUICK) as client, client.subscribe("bars") as subscription:
        events = aiter(subscription)
        with pytest.raises(BatchChecksumError, match="damaged on the way"):
            await anext(events)
        assert (await anext(events)).data == b"3"


async def test_a_draining_coordinator_is_left_once_everything_in_hand_is_settled(script) -> None:
    settled_before_leaving: list[tuple[int, int, int]] = []

    async def subscribe(line) -> None:
        await line.start_subscribe()
        if line.number == 2:
            await line.write(delivery(2, 1, tag=1))
            await line.hold()
            return
        await line.write(delivery(0, 2))
        await line.write(SubscribeResponse(draining=SubscribeDraining(reconnect_after_millis=1)))
        settled_before_leaving.extend(await settled(line))

    script.subscribe = subscribe
    async with (
        script.client(QUICK) as client,
        client.subscribe("bars", subscription="risk") as subscription,
    ):
        events = aiter(subscription)
        assert [(await anext(events)).data for _ in range(3)] == [b"0", b"1", b"2"]
    tags = [tag for low, high, _ in settled_before_leaving for tag in range(low, high + 1)]
    assert tags == [1, 2]


async def test_a_silent_coordinator_is_left(script) -> None:
    async def subscribe(line) -> None:
        await line.start_subscribe()
        if line.number == 1:
            await line.hold()
            return
        await line.write(delivery(0, 1))
        while (request := await line.read()) is not grpc.aio.EOF:
            if request.HasField("heartbeat"):
                await line.write(SubscribeResponse(heartbeat=SubscribeHeartbeat()))

    script.subscribe = subscribe
    settings = ClientSettings(
        heartbeat_seconds=0.05, reconnect_first_seconds=0.001, reconnect_max_seconds=0.01
    )
    async with script.client(settings) as client, client.subscribe("bars") as subscription:
        assert (await anext(aiter(subscription))).data == b"0"
        assert subscription.streams_opened == 2


async def test_a_coordinator_that_never_answers_the_start_is_named(script) -> None:
    async def subscribe(line) -> None:
        await line.hold()

    script.subscribe = subscribe
    async with script.client(ClientSettings(timeout_seconds=0.1)) as client:
        subscription = client.subscribe("bars", subscription="risk")
        with pytest.raises(UnreachableError, match=r"subscription 'risk' at unix:.* 0\.1 s"):
            await subscription.__aenter__()


async def test_a_refused_subscription_raises_at_the_door(script) -> None:
    async def subscribe(line) -> None:
        await line.read()
        await line.context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such pattern")

    script.subscribe = subscribe
    async with script.client(QUICK) as client:
        with pytest.raises(CallerError, match="no such pattern"):
            await client.subscribe("bars").__aenter__()
    assert script.streams["subscribe"] == 1


async def test_a_subscription_must_be_opened_before_it_is_read(script) -> None:
    async with script.client(QUICK) as client:
        with pytest.raises(ClosedError, match="use `async with`"):
            await anext(aiter(client.subscribe("bars")))


async def test_closing_sends_what_is_settled_without_waiting_for_the_linger_time(script) -> None:
    found: list[tuple[int, int, int]] = []
    done = asyncio.Event()

    async def subscribe(line) -> None:
        await line.start_subscribe()
        await line.write(delivery(0, 3))
        found.extend(await settled(line))
        done.set()

    script.subscribe = subscribe
    settings = ClientSettings(subscribe=SubscribeSettings(settle_linger_seconds=1.0))
    async with script.client(settings) as client, client.subscribe("bars") as subscription:
        events = aiter(subscription)
        for _ in range(3):
            await anext(events)
    await done.wait()
    assert found == [(1, 2, DISPOSITION_ACCEPT)]


async def test_what_is_given_back_after_a_hanging_coordinator_was_left_comes_again(script) -> None:
    left = asyncio.Event()

    async def subscribe(line) -> None:
        await line.start_subscribe()
        await line.write(delivery(0, 1))
        await left.wait()  # It does not read that the client ends the stream.

    script.subscribe = subscribe
    async with script.client(QUICK) as client:
        subscription = client.subscribe("bars", settle="manual")
        async with asyncio.timeout(5), subscription:
            batch = await subscription.next_batch()
        arrived = subscription._side.inbox.arrived
        arrived.clear()
        await batch.release()
        async with asyncio.timeout(5):
            await arrived.wait()
        again = subscription.batch_nowait()
        assert (again.messages[0].data, again.attempt) == (b"0", 1)
        left.set()
