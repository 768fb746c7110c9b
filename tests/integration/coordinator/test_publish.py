"""Publishing to a real server: unary and by stream, acknowledged by ranges, duplicates recognised."""

from __future__ import annotations

import grpc
import pytest
from tests.integration.coordinator.frames import (
    TOPIC,
    Duplex,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    dial,
    payloads,
    refusal,
    within,
)

from bellwire.bus.v1 import publisher_pb2 as pb
from bellwire.bus.v1.message_pb2 import Message
from bellwire.testing.server import RunningCoordinator, running_coordinator
from bellwire.wire.errors import (
    AckLevelUnsupportedError,
    CallerError,
    InvalidBatchError,
    SequenceGapError,
    UnknownFrameError,
)
from bellwire.wire.partitioner import partition_for_key

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("lane", ["tcp", "unix"])
async def test_a_message_published_is_a_message_delivered(server: RunningCoordinator, lane: str):
    async with dial(getattr(server, lane)) as bus:
        subscriber = await SubscribeStream(bus).open()
        assert await bus.publish(b"one", b"two") == [0, 1]
        assert await subscriber.data(2) == [b"one", b"two"]
        await subscriber.finish()


async def test_the_coordinator_fills_id_and_time_of_plain_messages(bus: Stubs):
    await bus.publish(b"x")
    (message,) = (await bus.pull()).deliveries[0].batch.messages
    assert len(message.id) == 36
    assert message.time_unix_nano > 1_600_000_000 * 10**9


async def test_plain_messages_go_to_the_partition_of_their_key(bus: Stubs):
    await bus.create_topic(partition_count=4)
    keys = [f"K{index}" for index in range(12)]
    request = pb.PublishRequest(topic=TOPIC, messages=[Message(key=key) for key in keys])
    response = await within(bus.publisher.Publish(request))
    found = {place.partition for place in response.positions}
    assert found == {partition_for_key(key, 4) for key in keys}


async def test_a_unary_batch_gets_its_positions(bus: Stubs):
    request = pb.PublishRequest(batch=batch(b"a", b"b", b"c"))
    response = await within(bus.publisher.Publish(request))
    (place,) = response.positions
    assert (place.topic, place.partition, place.first_offset, place.last_offset) == (TOPIC, 0, 0, 2)
    assert response.ack_level == pb.ACK_LEVEL_RECEIVED


async def test_validate_only_checks_and_appends_nothing(bus: Stubs):
    good = pb.PublishRequest(batch=batch(b"a"), validate_only=True)
    response = await within(bus.publisher.Publish(good))
    assert not response.positions
    bad = pb.PublishRequest(batch=batch(b"a"), validate_only=True)
    bad.batch.header.crc32 ^= 1
    assert isinstance(await refusal(bus.publisher.Publish(bad)), InvalidBatchError)
    assert (await bus.stats()).published_messages == 0


async def test_an_atomic_publish_over_two_partitions_is_refused_whole(bus: Stubs):
    await bus.create_topic(partition_count=2)
    keys = [next(f"K{n}" for n in range(99) if partition_for_key(f"K{n}", 2) == p) for p in (0, 1)]
    request = pb.PublishRequest(
        topic=TOPIC, messages=[Message(key=key) for key in keys], atomic=True
    )
    error = await refusal(bus.publisher.Publish(request))
    assert "fell into 2 partitions" in error.message
    assert (await bus.stats()).published_messages == 0


async def test_batch_and_messages_together_are_refused(bus: Stubs):
    request = pb.PublishRequest(batch=batch(b"a"), messages=[Message(data=b"b")])
    error = await refusal(bus.publisher.Publish(request))
    assert isinstance(error, InvalidBatchError)
    assert "both a batch and plain messages" in error.message


async def test_a_publish_of_nothing_is_refused(bus: Stubs):
    error = await refusal(bus.publisher.Publish(pb.PublishRequest(topic=TOPIC)))
    assert "no messages were given, 1 is the least" in error.message


async def test_topic_metadata_tells_partitions_and_limits(bus: Stubs):
    await bus.create_topic(partition_count=3)
    found = await within(bus.publisher.GetTopicMetadata(pb.GetTopicMetadataRequest(topic=TOPIC)))
    assert (found.partition_count, found.max_message_bytes) == (3, 512 << 10)
    assert (found.max_batch_messages, found.max_batch_bytes) == (1_000, 1 << 20)
    assert list(found.ack_levels) == [pb.ACK_LEVEL_NONE, pb.ACK_LEVEL_RECEIVED]


# ---------------------------------------------------------------- the stream


async def test_frames_are_acknowledged_in_order_with_the_positions_of_their_batches(bus: Stubs):
    stream = await PublishStream(bus).open(client_id="feed")
    assert stream.started.producer_id
    assert stream.started.window.messages
    for index in range(5):
        await stream.publish(batch(b"a", b"b"), batch(str(index).encode()))
    positions = await stream.acknowledged(5)
    assert [(p.first_offset, p.last_offset) for p in positions] == [
        (first, last)
        for base in range(0, 15, 3)
        for first, last in ((base, base + 1), (base + 2,) * 2)
    ]
    await stream.finish()


async def test_a_batch_sent_again_gets_its_first_position_and_is_appended_once(bus: Stubs):
    first = await PublishStream(bus).open()
    producer = first.started.producer_id
    again = batch(b"x", b"y", producer_id=producer, base_sequence=0)
    await first.publish(again)
    await first.acknowledged(1)
    first.cancel()
    second = await PublishStream(bus).open(producer_id=producer)
    assert second.started.producer_id == producer
    await second.publish(again)
    (place,) = await second.acknowledged(1)
    assert (place.first_offset, place.duplicate) == (0, True)
    assert (await bus.stats()).published_messages == 2
    await second.finish()


async def test_a_gap_in_the_sequence_is_refused_and_the_stream_goes_on(bus: Stubs):
    stream = await PublishStream(bus).open()
    producer = stream.started.producer_id
    await stream.publish(batch(b"0", producer_id=producer, base_sequence=0))
    await stream.acknowledged(1)
    await stream.publish(batch(b"5", producer_id=producer, base_sequence=5))
    failure = await stream.read_arm("failure")
    assert failure.error.reason == SequenceGapError.reason
    assert dict(failure.error.metadata) == {"found": "5", "expected": "1"}
    await stream.publish(batch(b"1", producer_id=producer, base_sequence=1))
    assert len(await stream.acknowledged(3)) == 1
    await stream.finish()


async def test_one_refused_batch_of_a_frame_does_not_take_the_others_with_it(bus: Stubs):
    stream = await PublishStream(bus).open()
    bad = batch(b"bad")
    bad.header.crc32 ^= 1
    await stream.publish(batch(b"first"), bad, batch(b"last"))
    failure = await stream.read_arm("failure")
    assert (failure.frame_sequence, failure.batch_index, failure.message_index) == (1, 1, -1)
    assert [p.first_offset for p in await stream.acknowledged(1)] == [0, 1]
    assert payloads((await bus.pull()).deliveries) == [b"first", b"last"]
    assert dict((await bus.stats()).refused_batches) == {"BATCH_CHECKSUM_MISMATCH": 1}
    await stream.finish()


@pytest.mark.parametrize("level", [pb.ACK_LEVEL_PERSISTED, pb.ACK_LEVEL_REPLICATED, 42])
async def test_a_level_the_log_cannot_give_is_refused(bus: Stubs, level: pb.AckLevel.ValueType):
    error = await refusal(
        bus.publisher.Publish(pb.PublishRequest(batch=batch(b"x"), ack_level=level))
    )
    assert isinstance(error, AckLevelUnsupportedError)
    stream = await PublishStream(bus).open()
    await stream.publish(batch(b"x"), ack_level=level)
    assert (await stream.read_arm("failure")).error.reason == AckLevelUnsupportedError.reason
    await stream.publish(batch(b"x"), ack_level=pb.ACK_LEVEL_NONE)
    ack = await stream.read_arm("ack")
    while ack.last_frame_sequence < 2:
        ack = await stream.read_arm("ack")
    assert ack.ack_level == pb.ACK_LEVEL_NONE
    await stream.finish()


@pytest.mark.parametrize("sequence", [0, 2, 2**64 - 1])
async def test_frames_that_do_not_count_by_one_end_the_stream(bus: Stubs, sequence: int):
    stream = await PublishStream(bus).open()
    stream.frame = sequence - 1
    await stream.publish(batch(b"x"))
    error = await stream.ended_with()
    assert f"frame {sequence} does not follow frame 0" in error.message
    assert await bus.publish(b"others go on") == [0]


@pytest.mark.parametrize("count", [0, 65])
async def test_a_frame_of_no_or_too_many_batches_ends_the_stream(bus: Stubs, count: int):
    stream = await PublishStream(bus).open()
    await stream.publish(*[batch(b"x")] * count)
    error = await stream.ended_with()
    assert f"frame holds {count} batches, 1 to 64 are allowed" in error.message
    assert await bus.publish(b"others go on") == [0]


async def test_a_stream_must_begin_with_start_and_only_once(bus: Stubs):
    early = Duplex(bus.publisher.PublishStream(), pb.PublishStreamRequest)
    await early.send(heartbeat=pb.PublishHeartbeat())
    error = await early.ended_with()
    assert isinstance(error, CallerError)
    assert "is `heartbeat`: it must be `start`" in error.message
    twice = await PublishStream(bus).open()
    await twice.send(start=pb.PublishStart())
    assert "`start` came twice" in (await twice.ended_with()).message


async def test_a_stream_that_says_nothing_and_closes_is_no_error(bus: Stubs):
    await Duplex(bus.publisher.PublishStream(), pb.PublishStreamRequest).finish()


async def test_a_heartbeat_is_answered(bus: Stubs):
    stream = await PublishStream(bus).open()
    await stream.send(heartbeat=pb.PublishHeartbeat(time_unix_nano=1))
    assert (await stream.read_arm("heartbeat")).time_unix_nano > 1
    await stream.finish()


async def test_an_idle_stream_gets_heartbeats():
    async with running_coordinator(heartbeat_seconds=0.02) as server, dial(server.tcp) as bus:
        stream = await PublishStream(bus).open()
        for _ in range(3):
            await stream.read_arm("heartbeat")
        await stream.finish()


@pytest.mark.parametrize("started", [False, True], ids=["as first frame", "in mid-stream"])
async def test_an_unknown_arm_ends_only_its_stream(bus: Stubs, started: bool):
    raw = bus.channel.stream_stream(
        "/bellwire.bus.v1.PublisherService/PublishStream",
        request_serializer=lambda data: data,
        response_deserializer=pb.PublishStreamResponse.FromString,
    )()
    stream = Duplex(raw, bytes)
    if started:
        await within(
            raw.write(pb.PublishStreamRequest(start=pb.PublishStart()).SerializeToString())
        )
        await stream.read_arm("started")
    await within(raw.write(b"\xa2\x06\x01x"))  # Field 100, length-delimited.
    error = await stream.ended_with()
    assert isinstance(error, UnknownFrameError)
    assert error.code == grpc.StatusCode.UNIMPLEMENTED.value[0]
    assert await bus.publish(b"others go on") == [0]
