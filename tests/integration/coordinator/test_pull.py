"""Pull and Acknowledge: deliveries under a lease, for those who cannot hold a stream."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.integration.coordinator.frames import (
    ACCEPT,
    TOPIC,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    eventually,
    payloads,
    refusal,
    within,
)

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.bus.v1.message_pb2 import CODEC_LZ4_BLOCK, CODEC_NONE
from bellwire.wire.errors import (
    CallerError,
    LeaseExpiredError,
    UnknownCodecError,
    UnknownDeliveryTagError,
    UnknownSubscriptionError,
)

pytestmark = pytest.mark.integration

SHORTEST = 1_000  # Milliseconds; the shortest lease there is.


async def acknowledge(
    bus: Stubs, lease_id: str, first: int, last: int, disposition: Any = ACCEPT
) -> list[pb.SettleFailure]:
    """Settle a range of tags of a lease; return what was refused."""
    item = pb.Settlement(first_tag=first, last_tag=last, disposition=disposition)
    request = pb.AcknowledgeRequest(lease_id=lease_id, settlements=[item])
    return list((await within(bus.subscriber.Acknowledge(request))).failures)


async def test_what_is_pulled_and_acknowledged_is_done(bus: Stubs):
    await bus.publish(b"0", b"1")
    pulled = await bus.pull()
    assert payloads(pulled.deliveries) == [b"0", b"1"]
    assert pulled.deliveries[0].first_delivery_tag == 1
    assert await acknowledge(bus, pulled.lease_id, 1, 2) == []
    counted = (await bus.stats()).subscriptions[0]
    assert (counted.backlog_messages, counted.in_flight_messages, counted.members) == (0, 0, 0)


async def test_messages_come_plain_unless_codecs_are_named(bus: Stubs):
    stream = await PublishStream(bus).open()
    sent = batch(b"bid 1.0843 ask 1.0844 " * 100)
    await stream.publish(sent)
    plain = await bus.pull("one")
    assert plain.deliveries[0].batch.messages
    encoded = await bus.pull("two", accepted_codecs=[CODEC_NONE, CODEC_LZ4_BLOCK])
    assert encoded.deliveries[0].batch == sent


async def test_a_pull_of_an_empty_topic_waits_for_the_first_message(bus: Stubs):
    await bus.create_topic()
    pulling = asyncio.create_task(bus.pull())
    await eventually(bus.stats, lambda stats: stats.subscriptions)
    await bus.publish(b"x")
    assert payloads((await pulling).deliveries) == [b"x"]


async def test_a_pull_that_finds_nothing_in_time_returns_no_lease(bus: Stubs):
    await bus.create_topic()
    pulled = await bus.pull(wait_millis=1)
    assert (pulled.lease_id, list(pulled.deliveries)) == ("", [])
    assert (await bus.stats()).subscriptions[0].members == 0


async def test_no_more_than_asked_for_is_taken_and_the_next_pull_goes_on(bus: Stubs):
    await bus.publish(*[str(n).encode() for n in range(5)])
    first = await bus.pull(max_messages=2)
    second = await bus.pull(max_messages=2)
    assert payloads(first.deliveries) == [b"0", b"1"]
    assert payloads(second.deliveries) == [b"2", b"3"]
    assert first.lease_id != second.lease_id


async def test_one_pull_takes_several_batches_with_consecutive_tags(bus: Stubs):
    for n in range(3):
        await bus.publish(str(n).encode(), b"x")
    pulled = await bus.pull()
    assert [delivery.first_delivery_tag for delivery in pulled.deliveries] == [1, 3, 5]


async def test_a_pull_answers_with_what_grpc_can_carry_and_leaves_the_rest(bus: Stubs):
    stream = await PublishStream(bus).open()
    zeros = bytes(500 << 10)
    await stream.publish(*[batch(zeros) for _ in range(12)])
    await stream.acknowledged(1)
    read = 0
    while read < 12:
        pulled = await bus.pull()
        assert pulled.ByteSize() < 4 << 20
        read += len(payloads(pulled.deliveries))


async def test_a_lease_that_ends_gives_its_messages_back(bus: Stubs):
    await bus.publish(b"0", b"1", b"2")
    loop = asyncio.get_running_loop()
    first = await bus.pull(lease_millis=SHORTEST)
    leased = loop.time()
    assert await acknowledge(bus, first.lease_id, 2, 2) == []
    again = await bus.pull()
    assert loop.time() - leased >= SHORTEST / 1_000 - 0.05
    assert payloads(again.deliveries) == [b"0", b"2"]
    assert [delivery.attempt for delivery in again.deliveries] == [1, 1]
    request = pb.AcknowledgeRequest(lease_id=first.lease_id)
    error = await refusal(bus.subscriber.Acknowledge(request))
    assert isinstance(error, LeaseExpiredError)
    assert first.lease_id in error.message
    assert await acknowledge(bus, again.lease_id, 1, 2) == []


async def test_a_renewed_lease_lasts_its_length_once_more(bus: Stubs):
    await bus.publish(b"x", b"y")
    loop = asyncio.get_running_loop()
    first = await bus.pull(lease_millis=SHORTEST)
    # Any wait that ends after half the lease; this one is a pull that finds nothing.
    assert not (await bus.pull(wait_millis=SHORTEST // 2)).lease_id
    renewed = loop.time()
    assert await acknowledge(bus, first.lease_id, 1, 2, pb.DISPOSITION_RENEW) == []
    again = await bus.pull()
    assert loop.time() - renewed >= SHORTEST / 1_000 - 0.05
    assert payloads(again.deliveries) == [b"x", b"y"]


async def test_released_messages_can_be_pulled_again_at_once(bus: Stubs):
    await bus.publish(b"x")
    first = await bus.pull()
    assert await acknowledge(bus, first.lease_id, 1, 1, pb.DISPOSITION_RELEASE) == []
    again = await bus.pull()
    assert (payloads(again.deliveries), again.deliveries[0].attempt) == ([b"x"], 1)


async def test_a_tag_never_delivered_is_refused_and_the_others_are_settled(bus: Stubs):
    await bus.publish(b"0", b"1")
    pulled = await bus.pull()
    items = [pb.Settlement(first_tag=t, last_tag=t, disposition=ACCEPT) for t in (1, 9, 2)]
    request = pb.AcknowledgeRequest(lease_id=pulled.lease_id, settlements=items)
    (failure,) = (await within(bus.subscriber.Acknowledge(request))).failures
    assert failure.settlement.first_tag == 9
    assert failure.error.reason == UnknownDeliveryTagError.reason
    assert (await bus.stats()).subscriptions[0].in_flight_messages == 0


async def test_a_lease_nobody_has_is_refused_by_its_id(bus: Stubs):
    error = await refusal(bus.subscriber.Acknowledge(pb.AcknowledgeRequest(lease_id="ghost")))
    assert isinstance(error, LeaseExpiredError)
    assert error.metadata == {"lease_id": "ghost"}


async def test_a_pull_and_a_stream_share_a_subscription(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    await bus.publish(b"x")
    delivery = await stream.delivery()
    assert not (await bus.pull("risk", wait_millis=1)).lease_id
    await stream.settle(delivery)
    await stream.finish()
    await bus.publish(b"y")
    assert payloads((await bus.pull("risk")).deliveries) == [b"y"]


async def test_a_pull_whose_caller_left_takes_nothing(bus: Stubs):
    await bus.create_topic()
    call = bus.subscriber.Pull(
        pb.PullRequest(subscription="inspect", topics=[TOPIC], wait_millis=60_000)
    )
    await eventually(bus.stats, lambda stats: stats.subscriptions)
    call.cancel()
    await eventually(bus.stats, lambda stats: not stats.subscriptions[0].members)
    await bus.publish(b"x")
    pulled = await bus.pull()
    assert (payloads(pulled.deliveries), pulled.deliveries[0].attempt) == ([b"x"], 0)


@pytest.mark.parametrize(
    ("fields", "cls", "words"),
    [
        ({"subscription": ""}, CallerError, "pull names no subscription"),
        ({"topics": []}, UnknownSubscriptionError, "'s' does not exist; name its topics"),
        ({"max_messages": 1_001}, CallerError, "max_messages is 1001, limit is 1000"),
        ({"wait_millis": 60_001}, CallerError, "wait_millis is 60001, limit is 60000"),
        ({"lease_millis": 999}, CallerError, "lease_millis is 999, 1000 to 600000"),
        ({"lease_millis": 600_001}, CallerError, "lease_millis is 600001"),
        ({"accepted_codecs": [9]}, UnknownCodecError, "accepted codec 9 is not known"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
async def test_a_pull_that_cannot_be_is_refused_in_words(bus: Stubs, fields, cls, words):
    await bus.publish(b"kept")
    request = pb.PullRequest(**{"subscription": "s", "topics": [TOPIC], **fields})
    error = await refusal(bus.subscriber.Pull(request))
    assert isinstance(error, cls)
    assert words in error.message
    assert payloads((await bus.pull()).deliveries) == [b"kept"]


# ---------------------------------------------------------------- beside a stream of the same subscription


async def test_a_pull_that_waits_does_not_stall_a_stream_of_the_same_subscription(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    pulling = asyncio.ensure_future(bus.pull("risk", wait_millis=5_000))
    await eventually(bus.stats, lambda stats: stats.subscriptions[0].members == 2)
    for data in (b"0", b"1", b"2"):
        await bus.publish(data)
        assert await stream.data(1) == [data]  # Its one partition stays with the stream.
    assert not pulling.done()
    pulling.cancel()
    await eventually(bus.stats, lambda stats: stats.subscriptions[0].members == 1)
    await bus.publish(b"3")
    assert await stream.data(1) == [b"3"]


async def test_a_partition_that_a_pull_took_comes_back_to_the_stream_once_it_is_acknowledged(
    bus: Stubs,
):
    await bus.create_topic(partition_count=2)
    stream = await SubscribeStream(bus).open("risk")
    publisher = await PublishStream(bus).open()
    pulling = asyncio.ensure_future(bus.pull("risk", wait_millis=5_000))
    await eventually(bus.stats, lambda stats: stats.subscriptions[0].members == 2)
    await publisher.publish(*[batch(b"first", partition=partition) for partition in (0, 1)])
    assert await stream.data(1) == [b"first"]
    pulled = await within(pulling)
    assert payloads(pulled.deliveries) == [b"first"]
    (delivery,) = pulled.deliveries
    taken = delivery.batch.header.partition
    # Order: what follows in that partition waits for what the lease holds; the other one does not.
    await publisher.publish(*[batch(b"%d" % p, partition=p) for p in (0, 1)])
    assert await stream.data(1) == [b"%d" % (1 - taken)]
    assert await acknowledge(bus, pulled.lease_id, 1, 1) == []
    assert await stream.data(1) == [b"%d" % taken]


async def test_streams_and_pulls_of_one_subscription_share_its_messages_and_lose_none(bus: Stubs):
    stream = await SubscribeStream(bus).open("work", ordering=pb.ORDERING_NONE)
    sent = {str(n).encode() for n in range(60)}
    publisher = await PublishStream(bus).open()
    pulled: list[bytes] = []

    async def pull_on() -> None:
        while True:
            answer = await bus.pull("work", wait_millis=100, max_messages=3)
            for delivery in answer.deliveries:
                pulled.extend(payloads([delivery]))
                first = delivery.first_delivery_tag
                assert await acknowledge(bus, answer.lease_id, first, first) == []

    pulling = asyncio.create_task(pull_on())
    streamed: list[bytes] = []

    async def stream_on() -> None:
        while True:
            streamed.extend(await stream.data(1))

    streaming = asyncio.create_task(stream_on())
    for data in sorted(sent):
        await publisher.publish(batch(data))
    await publisher.acknowledged(len(sent))
    await eventually(bus.stats, lambda _: len(pulled) + len(streamed) >= len(sent))
    for task in (pulling, streaming):
        task.cancel()
    await asyncio.gather(pulling, streaming, return_exceptions=True)
    assert sorted(pulled + streamed) == sorted(sent)
