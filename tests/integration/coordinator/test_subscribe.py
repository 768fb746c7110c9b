"""Subscribing to a real server: deliveries, windows, settlements, members that come and go."""

from __future__ import annotations

import asyncio
import random
import time

import grpc
import pytest
from tests.integration.coordinator.frames import (
    ACCEPT,
    BOTH_CODECS,
    TOPIC,
    WIDE,
    Duplex,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    dial,
    payloads,
    within,
)

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.bus.v1.message_pb2 import CODEC_LZ4_BLOCK, CODEC_NONE, Position, Window
from bellwire.testing.server import RunningCoordinator, running_coordinator
from bellwire.wire.batch import encode_batch, open_batch
from bellwire.wire.errors import (
    CallerError,
    InvalidTopicNameError,
    InvalidWindowError,
    PayloadTooLargeError,
    SlowSubscriberError,
    SubscriptionMismatchError,
    UnknownCodecError,
    UnknownDeliveryTagError,
    UnknownFrameError,
)
from bellwire.wire.message import new_message

pytestmark = pytest.mark.integration

MIB = 1 << 20
SMALLEST = 512 << 10  # The byte window that just takes the largest message.


async def test_the_publishers_bytes_come_out_untouched(bus: Stubs):
    stream = await SubscribeStream(bus).open()
    sent = batch(b"bid 1.0843 ask 1.0844 " * 100, b"b")
    publisher = await PublishStream(bus).open()
    await publisher.publish(sent)
    delivery = await stream.delivery()
    assert delivery.batch == sent
    assert (delivery.first_delivery_tag, delivery.first_offset, delivery.attempt) == (1, 0, 0)
    assert delivery.admitted_time_unix_nano
    assert not delivery.replayed


async def test_who_names_no_codec_gets_plain_messages(bus: Stubs):
    stream = await SubscribeStream(bus).open(accepted_codecs=[])
    publisher = await PublishStream(bus).open()
    await publisher.publish(batch(b"bid 1.0843 ask 1.0844 " * 100))
    delivery = await stream.delivery()
    assert not delivery.batch.block
    assert len(delivery.batch.messages) == 1


async def test_ready_batches_travel_in_one_frame_where_that_is_asked_for(bus: Stubs):
    stream = await SubscribeStream(bus).open(max_frame_deliveries=64)
    publisher = await PublishStream(bus).open()
    await stream.send(pause=pb.Pause())
    await publisher.publish(*[batch(str(n).encode()) for n in range(10)])
    await publisher.acknowledged(1)
    await stream.send(resume=pb.Resume())
    deliveries = (await stream.read_arm("deliveries")).deliveries
    assert payloads(deliveries) == [str(n).encode() for n in range(10)]
    assert [delivery.first_delivery_tag for delivery in deliveries] == list(range(1, 11))


async def test_a_frame_of_plain_deliveries_stays_below_what_grpc_carries(bus: Stubs):
    stream = await SubscribeStream(bus).open(max_frame_deliveries=64, accepted_codecs=[])
    publisher = await PublishStream(bus).open()
    await stream.send(pause=pb.Pause())
    zeros = bytes(500 << 10)  # Compresses to a few KiB; delivered plain it is half a MiB.
    await publisher.publish(*[batch(zeros) for _ in range(12)])
    await publisher.acknowledged(1)
    await stream.send(resume=pb.Resume())
    read = 0
    while read < 12:
        frame = await stream.read()
        arm = frame.WhichOneof("frame")
        read += len(frame.deliveries.deliveries) if arm == "deliveries" else arm == "delivery"
        assert frame.ByteSize() < 2 * MIB


async def test_one_stream_reads_many_topics_by_pattern(bus: Stubs):
    stream = await SubscribeStream(bus).open(topics=["signals.*", "orders.>"])
    for topic in ("signals.tactical", "bars.1h", "orders.paper", "orders.paper.eu"):
        await bus.publish(topic.encode(), topic=topic)
    assert await stream.data(3) == [b"signals.tactical", b"orders.paper", b"orders.paper.eu"]


async def test_an_ephemeral_subscriber_begins_now_and_a_named_one_at_the_oldest(bus: Stubs):
    await bus.publish(b"before")
    now = await SubscribeStream(bus).open()
    oldest = await SubscribeStream(bus).open("risk")
    assert [p.offset for p in now.started.positions] == [1]
    assert [p.offset for p in oldest.started.positions] == [0]
    await bus.publish(b"after")
    assert await now.data(1) == [b"after"]
    assert await oldest.data(2) == [b"before", b"after"]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (pb.StartPosition(policy=pb.START_POLICY_EARLIEST), [b"0", b"1", b"2"]),
        (
            pb.StartPosition(
                policy=pb.START_POLICY_POSITIONS, positions=[Position(topic=TOPIC, offset=1)]
            ),
            [b"1", b"2"],
        ),
    ],
    ids=["EARLIEST", "POSITIONS"],
)
async def test_a_cursor_begins_where_it_is_told_even_within_a_batch(bus: Stubs, start, expected):
    await bus.publish(b"0", b"1", b"2")
    stream = await SubscribeStream(bus).open(start_position=start)
    assert await stream.data(len(expected)) == expected


async def test_every_ephemeral_subscriber_gets_every_message(bus: Stubs):
    streams = [await SubscribeStream(bus).open() for _ in range(3)]
    await bus.publish(b"x")
    for stream in streams:
        assert await stream.data(1) == [b"x"]


async def test_members_of_one_subscription_share_the_partitions(bus: Stubs):
    await bus.create_topic(partition_count=4)
    members = [await SubscribeStream(bus).open("risk") for _ in range(2)]
    publisher = await PublishStream(bus).open()
    await publisher.publish(*[batch(str(p).encode(), partition=p) for p in range(4)])
    read = [sorted(await member.data(2)) for member in members]
    assert sorted(read[0] + read[1]) == [b"0", b"1", b"2", b"3"]


async def test_with_ordering_none_a_busy_member_does_not_hold_the_next_block(bus: Stubs):
    narrow = Window(messages=1, bytes=SMALLEST)
    members = [
        await SubscribeStream(bus).open("work", ordering=pb.ORDERING_NONE, window=narrow)
        for _ in range(2)
    ]
    await bus.publish(b"first")
    await bus.publish(b"second")
    read = [payloads([await member.delivery()]) for member in members]
    assert sorted(read) == [[b"first"], [b"second"]]


async def test_an_expired_message_is_counted_and_not_delivered(bus: Stubs):
    publisher = await PublishStream(bus).open()
    made = [
        new_message(data=data, expire_time_unix_nano=expiry)
        for data, expiry in ((b"0", 0), (b"1", 1), (b"2", time.time_ns() + 60 * 10**9))
    ]
    await publisher.publish(encode_batch(TOPIC, 0, made))
    await publisher.acknowledged(1)
    stream = await SubscribeStream(bus).open("risk")
    assert await stream.data(2) == [b"0", b"2"]
    assert payloads((await bus.pull()).deliveries) == [b"0", b"2"]
    assert dict((await bus.stats()).dropped_messages) == {"expired": 2}


# ---------------------------------------------------------------- windows


async def test_the_window_holds_at_exactly_the_granted_count_and_opens_by_settling(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk", window=Window(messages=3, bytes=WIDE.bytes))
    for index in range(5):
        await bus.publish(str(index).encode())
    held = [await stream.delivery() for _ in range(3)]
    assert payloads(held) == [b"0", b"1", b"2"]
    counted = (await bus.stats()).subscriptions[0]
    assert (counted.in_flight_messages, counted.backlog_messages) == (3, 2)
    await stream.settle(held[0])
    assert payloads([await stream.delivery()]) == [b"3"]


async def test_a_wider_window_lets_more_through_at_once(bus: Stubs):
    stream = await SubscribeStream(bus).open(window=Window(messages=1, bytes=SMALLEST))
    await bus.publish(b"0")
    await bus.publish(b"1")
    await stream.delivery()
    await stream.send(window=Window(messages=2, bytes=SMALLEST))
    assert payloads([await stream.delivery()]) == [b"1"]


async def test_a_window_lowered_below_what_is_in_flight_takes_nothing_back(bus: Stubs):
    stream = await SubscribeStream(bus).open(window=Window(messages=3, bytes=WIDE.bytes))
    for index in range(4):
        await bus.publish(str(index).encode())
    held = [await stream.delivery() for _ in range(3)]
    await stream.send(window=Window(messages=1, bytes=SMALLEST))
    for delivery in held:
        await stream.settle(delivery)
    assert payloads([await stream.delivery()]) == [b"3"]


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (Window(), "window of 0 messages"),
        (Window(messages=1_000_001, bytes=WIDE.bytes), "window of 1000001 messages"),
        (Window(messages=2**32 - 1, bytes=WIDE.bytes), "window of 4294967295 messages"),
        (Window(messages=1, bytes=0), "window of 0 bytes"),
        (Window(messages=1, bytes=SMALLEST - 1), f"window of {SMALLEST - 1} bytes.*{SMALLEST}"),
        (Window(messages=1, bytes=2**64 - 1), "window of 18446744073709551615 bytes"),
    ],
    ids=["zero", "one too many", "negative as unsigned", "no bytes", "too small", "huge"],
)
@pytest.mark.parametrize("when", ["at start", "in mid-stream"])
async def test_a_window_nothing_could_pass_is_refused(bus: Stubs, window: Window, words: str, when):
    await bus.publish(b"kept")
    if when == "at start":
        stream = Duplex(bus.subscriber.Subscribe(), pb.SubscribeRequest)
        await stream.send(
            start=pb.SubscribeStart(subscription="risk", topics=[TOPIC], window=window)
        )
    else:
        stream = await SubscribeStream(bus).open("risk")
        await stream.send(window=window)
    error = await stream.ended_with()
    assert isinstance(error, InvalidWindowError)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(error.message)
    again = await SubscribeStream(bus).open("risk")
    assert await again.data(1) == [b"kept"]


async def test_the_largest_message_passes_the_smallest_window(bus: Stubs):
    stream = await SubscribeStream(bus).open(window=Window(messages=1, bytes=SMALLEST))
    publisher = await PublishStream(bus).open()
    largest = batch(b"")
    overhead = SMALLEST - open_batch(largest)[0].ByteSize() - 4
    sent = batch(bytes(overhead))
    assert open_batch(sent)[0].ByteSize() == SMALLEST
    await publisher.publish(sent)
    assert len(payloads([await stream.delivery()])[0]) == overhead


async def test_pause_stops_deliveries_and_resume_goes_on(bus: Stubs):
    stream = await SubscribeStream(bus).open()
    await stream.send(pause=pb.Pause())
    # A refused settlement is answered in order, so the pause has been read when it comes back.
    await stream.settle_tags(99, 99)
    await stream.read_arm("settle_failure")
    await bus.publish(b"x")
    await stream.settle_tags(99, 99)
    await stream.read_arm("settle_failure")
    await stream.send(resume=pb.Resume())
    assert payloads([await stream.delivery()]) == [b"x"]


async def test_a_full_window_under_steady_publishing_still_gets_heartbeats():
    async with running_coordinator(heartbeat_seconds=0.05) as server, dial(server.tcp) as bus:
        stream = await SubscribeStream(bus).open(window=Window(messages=1, bytes=SMALLEST))
        await bus.publish(b"fills the window")
        await stream.delivery()

        async def publish_on() -> None:
            while True:
                await bus.publish(b"x")

        publishing = asyncio.create_task(publish_on())
        try:
            for _ in range(3):
                beat = await stream.read_arm("heartbeat")
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        assert [p.offset for p in beat.positions] == [1]


# ---------------------------------------------------------------- settling


async def test_released_messages_come_again_with_the_next_attempt(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    await bus.publish(b"0", b"1", b"2")
    delivery = await stream.delivery()
    await stream.settle_tags(2, 2, pb.DISPOSITION_RELEASE)
    again = await stream.delivery()
    assert payloads([again]) == [b"1"]
    assert (again.attempt, again.first_offset, again.first_delivery_tag) == (1, 1, 4)
    assert delivery.attempt == 0


async def test_a_delayed_release_comes_when_it_is_due(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    await bus.publish(b"x")
    loop = asyncio.get_running_loop()
    await stream.settle(await stream.delivery(), pb.DISPOSITION_RELEASE, delay_millis=100)
    released = loop.time()
    again = await stream.delivery()
    assert again.attempt == 1
    assert loop.time() - released >= 0.09


@pytest.mark.parametrize(("first", "last"), [(7, 7), (0, 0), (2, 1), (1, 99), (2**64 - 1,) * 2])
async def test_a_tag_never_delivered_is_refused_by_item_and_the_stream_goes_on(
    bus: Stubs, first: int, last: int
):
    stream = await SubscribeStream(bus).open("risk")
    await bus.publish(b"kept", b"too")
    delivery = await stream.delivery()
    await stream.settle_tags(first, last)
    failure = await stream.read_arm("settle_failure")
    assert (failure.settlement.first_tag, failure.settlement.last_tag) == (first, last)
    assert failure.error.reason == UnknownDeliveryTagError.reason
    assert failure.error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert f"tags {first}..{last} are not all in flight" in failure.error.message
    await stream.settle(delivery)
    await bus.publish(b"next")
    assert payloads([await stream.delivery()]) == [b"next"]
    await stream.finish()


async def test_a_range_over_tags_settled_before_is_refused_and_the_stream_goes_on(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    for index in range(3):
        await bus.publish(str(index).encode())
    held = [await stream.delivery() for _ in range(3)]
    await stream.settle(held[1])
    await stream.settle_tags(1, 3)
    failure = await stream.read_arm("settle_failure")
    assert failure.error.metadata["tag"] == "2"
    for delivery in (held[0], held[2]):
        await stream.settle(delivery)
    await bus.publish(b"next")
    assert payloads([await stream.delivery()]) == [b"next"]


async def test_a_refused_settlement_is_told_before_the_stream_closes(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    await stream.settle_tags(5, 5)
    await within(stream.call.done_writing())
    assert (await stream.read_arm("settle_failure")).settlement.first_tag == 5


async def test_a_refused_settlement_is_told_though_a_slow_reader_has_closed_its_side(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    publisher = await PublishStream(bus).open()
    noise = random.Random(5).randbytes(500 << 10)
    for _ in range(40):  # More than fits between the two: the server hangs in its write.
        await publisher.publish(batch(noise))
    await publisher.acknowledged(40)
    await stream.settle_tags(99, 99)
    await within(stream.call.done_writing())
    arms = []
    while (frame := await stream.read()) is not grpc.aio.EOF:
        arms.append(frame.WhichOneof("frame"))
    assert "settle_failure" in arms


async def test_an_idle_stream_gets_a_heartbeat_each_interval_and_not_more():
    async with running_coordinator(heartbeat_seconds=0.05) as server, dial(server.tcp) as bus:
        stream = await SubscribeStream(bus).open()
        await stream.read_arm("heartbeat")
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(4):
            await stream.read_arm("heartbeat")
        assert loop.time() - began > 0.1


async def test_refused_settlements_are_told_though_deliveries_never_pause(bus: Stubs):
    stream = await SubscribeStream(bus).open()
    await stream.settle_tags(2**40, 2**40)
    publishing = asyncio.create_task(_publish_forever(bus))
    try:
        while (frame := await stream.read()).WhichOneof("frame") != "settle_failure":
            assert frame.WhichOneof("frame") == "delivery"
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


async def _publish_forever(bus: Stubs) -> None:
    stream = await PublishStream(bus).open()
    while True:
        await stream.publish(batch(b"x"))


async def test_too_many_settlements_in_one_frame_end_the_stream(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    items = [pb.Settlement(first_tag=1, last_tag=1, disposition=ACCEPT)] * 1_001
    await stream.send(settle=pb.Settle(settlements=items))
    error = await stream.ended_with()
    assert isinstance(error, PayloadTooLargeError)
    assert "1001 settlements came in one frame, limit is 1000" in error.message


# ---------------------------------------------------------------- members that go


@pytest.mark.parametrize("ordering", [pb.ORDERING_PARTITION, pb.ORDERING_NONE])
@pytest.mark.parametrize("how", ["finish", "cancel"])
async def test_what_a_member_had_not_settled_goes_to_another(server, bus: Stubs, ordering, how):
    async with dial(server.tcp) as other:
        first = await SubscribeStream(other).open("risk", ordering=ordering)
        await bus.publish(b"0", b"1", b"2")
        await first.delivery()
        await first.settle_tags(2, 2)
        await first.settle_tags(9, 9)  # Its refusal tells that the one before was applied.
        await first.read_arm("settle_failure")
        second = await SubscribeStream(bus).open("risk", ordering=ordering)
        await first.finish() if how == "finish" else first.cancel()
        again = [await second.delivery(), await second.delivery()]
        assert payloads(again) == [b"0", b"2"]
        assert [delivery.attempt for delivery in again] == [1, 1]


async def test_a_named_cursor_waits_for_its_next_member(bus: Stubs):
    first = await SubscribeStream(bus).open("risk")
    await bus.publish(b"0")
    await first.data(1)
    await first.finish()
    await bus.publish(b"1")
    second = await SubscribeStream(bus).open("risk")
    assert await second.data(1) == [b"1"]


async def test_a_named_subscription_cannot_change_its_topics(bus: Stubs):
    await SubscribeStream(bus).open("risk")
    stream = Duplex(bus.subscriber.Subscribe(), pb.SubscribeRequest)
    await stream.send(start=pb.SubscribeStart(subscription="risk", topics=["x"], window=WIDE))
    assert isinstance(await stream.ended_with(), SubscriptionMismatchError)


async def test_policy_disconnect_ends_the_stream_and_the_subscription_lives_on():
    async with running_coordinator(retention_messages=4) as server, dial(server.tcp) as bus:
        stream = await SubscribeStream(bus).open(
            "live",
            window=Window(messages=1, bytes=SMALLEST),
            overflow_policy=pb.OVERFLOW_POLICY_DISCONNECT,
        )
        for index in range(8):
            await bus.publish(str(index).encode())
        error = await stream.ended_with()
        assert isinstance(error, SlowSubscriberError)
        assert "its policy is DISCONNECT" in error.message
        again = await SubscribeStream(bus).open("live")
        read = await again.data(5)  # The one in flight comes again, then what is still kept.
        assert read[0] == b"0"
        assert read[-1] == b"7"
        await bus.publish(b"8")
        assert await again.data(1) == [b"8"]
        await again.finish()


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("start", "cls", "words"),
    [
        ({"topics": []}, CallerError, "0 topics were given"),
        ({"topics": ["no good"]}, InvalidTopicNameError, "'no good' is not allowed"),
        ({"topics": ["a.>.b"]}, InvalidTopicNameError, "pattern 'a.>.b' is not allowed"),
        ({"accepted_codecs": [CODEC_NONE, 7]}, UnknownCodecError, "accepted codec 7 is not known"),
        ({"max_batch_messages": 1_001}, PayloadTooLargeError, "is 1001, limit is 1000"),
        ({"lease_millis": 5}, CallerError, "lease_millis is 5"),
        ({"subscription": "s", "max_attempts": 1_001}, CallerError, "max_attempts is 1001"),
        ({"overflow_policy": 9}, CallerError, "overflow policy 9 is not known"),
        ({"subscription": "s", "ordering": 9}, CallerError, "ordering 9 is not known"),
        ({"subscription": "no good"}, InvalidTopicNameError, "'no good' is not allowed"),
        ({"start_position": {"policy": 9}}, CallerError, "start policy 9"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
async def test_a_start_that_cannot_be_is_refused_in_words(bus: Stubs, start, cls, words):
    await bus.publish(b"kept")
    stream = Duplex(bus.subscriber.Subscribe(), pb.SubscribeRequest)
    fields = {"topics": [TOPIC], "window": WIDE, **start}
    await stream.send(start=pb.SubscribeStart(**fields))
    error = await stream.ended_with()
    assert isinstance(error, cls)
    assert words in error.message
    assert await (await SubscribeStream(bus).open("other")).data(1) == [b"kept"]


async def test_a_stream_must_begin_with_start_and_only_once(bus: Stubs):
    early = Duplex(bus.subscriber.Subscribe(), pb.SubscribeRequest)
    await early.send(pause=pb.Pause())
    assert "is `pause`: it must be `start`" in (await early.ended_with()).message
    twice = await SubscribeStream(bus).open()
    await twice.send(start=pb.SubscribeStart())
    assert "`start` came twice" in (await twice.ended_with()).message


@pytest.mark.parametrize("started", [False, True], ids=["as first frame", "in mid-stream"])
async def test_an_unknown_arm_ends_its_stream_and_loses_nothing(bus: Stubs, started: bool):
    raw = bus.channel.stream_stream(
        "/bellwire.bus.v1.SubscriberService/Subscribe",
        request_serializer=lambda data: data,
        response_deserializer=pb.SubscribeResponse.FromString,
    )()
    stream = Duplex(raw, bytes)
    await bus.publish(b"kept")
    if started:
        start = pb.SubscribeStart(
            subscription="risk", topics=[TOPIC], window=WIDE, accepted_codecs=BOTH_CODECS
        )
        await within(raw.write(pb.SubscribeRequest(start=start).SerializeToString()))
        await stream.read_arm("started")
        await stream.read_arm("delivery")
    await within(raw.write(b"\xa2\x06\x01x"))  # Field 100, length-delimited.
    error = await stream.ended_with()
    assert isinstance(error, UnknownFrameError)
    assert "no arm this server knows" in error.message
    other = await SubscribeStream(bus).open("risk")
    delivery = await other.delivery()
    assert payloads([delivery]) == [b"kept"]
    assert delivery.attempt == int(started)


async def test_only_lz4_is_what_a_client_of_only_lz4_gets(server: RunningCoordinator, bus: Stubs):
    stream = await SubscribeStream(bus).open(accepted_codecs=[CODEC_LZ4_BLOCK])
    await bus.publish(b"tiny")
    delivery = await stream.delivery()
    assert delivery.batch.header.codec != CODEC_NONE
    assert payloads([delivery]) == [b"tiny"]
