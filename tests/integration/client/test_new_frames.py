"""The frames of leases, pauses and named producers, against a coordinator that does what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
import pytest
from tests.integration.client.conftest import WINDOW, position

from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_PERSISTED,
    PublishAck,
    PublishStarted,
    PublishStreamResponse,
)
from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_RENEW,
    Delivery,
    SettleFailure,
    SubscribeResponse,
)
from bellwire.client import ClientSettings, LeaseExpiredError, ProducerFencedError, new_message
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import StoreFullError, StoreReadOnlyError, to_item_error

pytestmark = pytest.mark.integration

QUICK = ClientSettings(reconnect_first_seconds=0.001, reconnect_max_seconds=0.01)
DEADLINE_SECONDS = 20.0


def delivery(first: int, count: int, *, attempt: int = 0, tag: int = 0) -> SubscribeResponse:
    messages = [new_message(data=str(first + n).encode()) for n in range(count)]
    return SubscribeResponse(
        delivery=Delivery(
            batch=encode_batch("bars", 0, messages),
            first_delivery_tag=tag or first + 1,
            first_offset=first,
            attempt=attempt,
        )
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what there is no event for; each test has a deadline."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def next_arm(line) -> str:
    """Return the name of the next frame that is no heartbeat; "end" at the end."""
    while (request := await line.read()) is not grpc.aio.EOF:
        arm = request.WhichOneof("frame")
        if arm != "heartbeat":
            return str(arm)
    return "end"


# ---------------------------------------------------------------- subscriptions


async def test_attempts_and_lease_are_asked_for_and_each_stream_names_the_one_before(
    script,
) -> None:
    starts = []

    async def subscribe(line) -> None:
        starts.append(await line.start_subscribe())
        if line.number == 2:
            await line.hold()

    script.subscribe = subscribe
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        script.client(QUICK) as client,
        client.subscribe(
            "bars", subscription="risk", max_attempts=4, lease_seconds=1.5
        ) as subscription,
    ):
        await until(lambda: subscription.streams_opened > 1)
    assert [(s.max_attempts, s.lease_millis) for s in starts] == [(4, 1_500)] * 2
    assert [s.previous_lease_id for s in starts] == ["", "1"]


async def test_a_pause_is_told_on_each_new_stream_before_anything_else(script) -> None:
    arms: list[str] = []
    told = asyncio.Event()

    async def subscribe(line) -> None:
        await line.start_subscribe()
        arms.append(await next_arm(line))
        if line.number == 1:
            return
        told.set()
        arms.append(await next_arm(line))
        await line.hold()

    script.subscribe = subscribe
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        script.client(QUICK) as client,
        client.subscribe("bars") as subscription,
    ):
        assert not subscription.paused
        await subscription.pause()
        await told.wait()
        assert subscription.paused
        await subscription.resume()
        await until(lambda: len(arms) == 3)
    assert arms == ["pause", "pause", "resume"]


async def test_a_renewal_settles_nothing_and_a_refused_one_is_told(script) -> None:
    settlements = []

    async def subscribe(line) -> None:
        await line.start_subscribe()
        await line.write(delivery(0, 3))
        while (request := await line.read()) is not grpc.aio.EOF:
            for settlement in request.settle.settlements:
                settlements.append(
                    (settlement.first_tag, settlement.last_tag, settlement.disposition)
                )
                if settlement.disposition == DISPOSITION_RENEW:
                    error = to_item_error(LeaseExpiredError("tag 2 was held for too long"))
                    failure = SettleFailure(settlement=settlement, error=error)
                    await line.write(SubscribeResponse(settle_failure=failure))

    script.subscribe = subscribe
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        script.client(QUICK) as client,
        client.subscribe("bars", settle="manual", lease_seconds=60) as subscription,
    ):
        iterator = aiter(subscription)
        first, second, third = [await anext(iterator) for _ in range(3)]
        await subscription.accept(first)
        await subscription.renew(second)
        await until(lambda: len(subscription.settle_failures) > 0)
        (failure,) = subscription.settle_failures
        assert isinstance(failure.error, LeaseExpiredError)
        assert (failure.topic, failure.first_offset, failure.last_offset) == ("bars", 1, 1)
        assert (second.settled, third.settled) == (False, False)
        await subscription.accept(second)
        await subscription.accept(third)
    assert (2, 2, DISPOSITION_RENEW) in settlements
    accepted = [s for s in settlements if s[2] == DISPOSITION_ACCEPT]
    assert sum(last - first + 1 for first, last, _ in accepted) == 3


async def test_what_waited_longer_than_its_lease_is_not_handed_over(script) -> None:
    again = asyncio.Event()

    async def subscribe(line) -> None:
        await line.start_subscribe()
        await line.write(delivery(0, 2))
        await again.wait()
        await line.write(delivery(0, 2, attempt=1, tag=3))
        await line.hold()

    script.subscribe = subscribe
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        script.client(QUICK) as client,
        client.subscribe("bars", subscription="risk", lease_seconds=1.0) as subscription,
    ):
        iterator = aiter(subscription)
        first = await anext(iterator)
        assert (first.data, first.attempt) == (b"0", 0)
        await asyncio.sleep(1.05)  # Its handling hangs: the lease of the whole delivery ends.
        again.set()
        second = await anext(iterator)
        assert (second.data, second.attempt) == (b"0", 1)
        assert subscription.expired_messages == 1


async def test_a_release_after_the_stream_was_lost_brings_the_message_again(script) -> None:
    async def subscribe(line) -> None:
        await line.start_subscribe(next_offset=2 if line.number > 1 else 0)
        if line.number == 1:
            await line.write(delivery(0, 2))
            return
        await line.hold()

    script.subscribe = subscribe
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        script.client(QUICK) as client,
        client.subscribe("bars", settle="manual") as subscription,
    ):
        iterator = aiter(subscription)
        first, second = await anext(iterator), await anext(iterator)
        await until(lambda: subscription.streams_opened > 1)
        await subscription.accept(second)
        await subscription.release(first, delay_seconds=0.01)
        again = await anext(iterator)
        assert (again.data, again.attempt, again.settled) == (b"0", 1, False)
        await subscription.accept(again)


# ---------------------------------------------------------------- producers


async def test_a_named_producer_keeps_id_and_epoch_over_lost_connections(script) -> None:
    starts = []

    async def publish(line) -> None:
        starts.append((await line.read()).start)
        started = PublishStarted(producer_id=9, producer_epoch=4, window=WINDOW)
        await line.write(PublishStreamResponse(started=started))
        frame = await line.batches()
        if line.number == 1:
            return
        assert {b.header.producer_epoch for b in frame.batches} == {4}
        await line.acknowledge(frame)
        await line.hold()

    script.publish = publish
    async with asyncio.timeout(DEADLINE_SECONDS), script.client(QUICK) as client:
        publisher = client.publisher(producer_name="execution/paper-0")
        await publisher.ready()
        assert (await publisher.publish("orders", b"1")).offset == 0
    assert [(s.producer_name, s.producer_id, s.producer_epoch) for s in starts] == [
        ("execution/paper-0", 0, 0),
        ("execution/paper-0", 9, 4),
    ]


async def test_a_batch_refused_because_of_a_newer_instance_ends_the_producer_for_good(
    script,
) -> None:
    async def publish(line) -> None:
        await line.start_publish()
        frame = await line.batches()
        await line.refuse(frame, 0, ProducerFencedError("epoch 5 has taken over"))
        await line.hold()

    script.publish = publish
    async with asyncio.timeout(DEADLINE_SECONDS), script.client(QUICK) as client:
        publisher = client.publisher(producer_name="execution/paper-0")
        for _ in range(2):
            with pytest.raises(ProducerFencedError, match="epoch 5"):
                await publisher.publish("orders", b"1")
        with pytest.raises(ProducerFencedError):
            await publisher.ready()
    assert script.streams["publish"] == 1


async def test_the_level_reached_and_not_the_level_asked_for_is_told(script) -> None:
    async def publish(line) -> None:
        await line.start_publish()
        frame = await line.batches()
        ack = PublishAck(
            first_frame_sequence=1,
            last_frame_sequence=1,
            ack_level=ACK_LEVEL_PERSISTED,
            positions=[position(batch, 0) for batch in frame.batches],
        )
        await line.write(PublishStreamResponse(ack=ack))
        await line.hold()

    script.publish = publish
    async with asyncio.timeout(DEADLINE_SECONDS), script.client(QUICK) as client:
        result = await client.publisher().publish("orders", b"1")
    assert result.ack_level == ACK_LEVEL_PERSISTED


async def test_a_full_disk_is_waited_for_and_a_store_in_doubt_until_the_next_stream(script) -> None:
    sequences: list[int] = []

    async def publish(line) -> None:
        await line.start_publish()
        while (frame := await line.batches()) is not None:
            sequences.append(frame.batches[0].header.base_sequence)
            match len(sequences):
                case 1:
                    error = StoreFullError("disk full", retry_delay_seconds=0.01)
                    await line.refuse(frame, 0, error)
                case 2:
                    await line.refuse(frame, 0, StoreReadOnlyError("in doubt"))
                    return  # The restart that alone ends the doubt.
                case _:
                    await line.acknowledge(frame)

    script.publish = publish
    async with asyncio.timeout(DEADLINE_SECONDS), script.client(QUICK) as client:
        began = asyncio.get_running_loop().time()
        assert (await client.publisher().publish("orders", b"1")).offset == 0
        assert asyncio.get_running_loop().time() - began < 0.9, "the new stream waited too"
    assert sequences == [0, 0, 0]
