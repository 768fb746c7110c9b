"""Batches that lie, messages that are too large, topics that are not there: each refused by name.

Each is tried over the unary RPC, which must end with the error, and over a stream, which must refuse the
one batch and go on; and each time what was sent before and after arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

import lz4.block
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
from bellwire.bus.v1.message_pb2 import (
    CODEC_LZ4_BLOCK,
    CODEC_NONE,
    Batch,
    BatchHeader,
    Codec,
    Message,
    MessageBlock,
)
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.testing.server import running_coordinator
from bellwire.wire.errors import (
    BatchChecksumError,
    BatchCorruptError,
    BatchCountError,
    BatchSizeError,
    BellwireError,
    CallerError,
    InvalidBatchError,
    InvalidTopicNameError,
    PayloadTooLargeError,
    StatusCode,
    UnknownCodecError,
    UnknownTopicError,
    WrongPartitionError,
    from_item_error,
)
from bellwire.wire.message import new_message
from bellwire.wire.partitioner import partition_for_key

pytestmark = pytest.mark.integration

PARTITIONS = 4
MIB = 1 << 20
COMPRESSIBLE = b"bid 1.0843 ask 1.0844 " * 100


def lying(**header: int) -> Batch:
    """A batch of three messages whose header says something else."""
    made = batch(COMPRESSIBLE, b"b", b"c")
    for name, value in header.items():
        setattr(made.header, name, value)
    return made


def raw(block: bytes, codec: Codec.ValueType, size_bytes: int, count: int = 1) -> Batch:
    """A batch of any bytes under an honest crc."""
    return Batch(
        header=BatchHeader(
            topic=TOPIC,
            codec=codec,
            message_count=count,
            uncompressed_bytes=size_bytes,
            crc32=crc32(block),
        ),
        block=block,
    )


def of_message(**fields: Any) -> Batch:
    """A batch of one message, with the honest one before it."""
    made = batch(b"")
    messages = MessageBlock(messages=[new_message(data=b""), Message(**fields)])
    data = messages.SerializeToString()
    made.CopyFrom(raw(data, CODEC_NONE, len(data), 2))
    return made


def strayed() -> Batch:
    """A batch in another partition than its key's."""
    right = partition_for_key("EURUSD", PARTITIONS)
    return batch(b"x", key="EURUSD", partition=(right + 1) % PARTITIONS)


def bomb() -> Batch:
    """A megabyte of zeros in four kilobytes, its header claiming far less."""
    return raw(lz4.block.compress(bytes(MIB), store_size=False), CODEC_LZ4_BLOCK, 2_000)


def mixed() -> Batch:
    """A block and plain messages in one."""
    made = batch(b"x")
    made.messages.append(new_message(data=b"y"))
    return made


LIES: dict[str, tuple[Callable[[], Batch], type[BellwireError], str]] = {
    "count too high": (
        lambda: lying(message_count=4), BatchCountError, "holds 3 messages, its header says 4"),
    "count too low": (
        lambda: lying(message_count=2), BatchCountError, "holds 3 messages, its header says 2"),
    "count of zero": (
        lambda: lying(message_count=0), PayloadTooLargeError, "holds 0 messages, 1 to 1000"),
    "count above the limit": (
        lambda: lying(message_count=1_001), PayloadTooLargeError, "1001 messages, 1 to 1000"),
    "size too high": (
        lambda: lying(uncompressed_bytes=5_000), BatchSizeError, "its header says 5000"),
    "size too low": (
        lambda: lying(uncompressed_bytes=2_000), BatchCorruptError, "to the 2000 bytes its header"),
    "size of zero": (
        lambda: lying(uncompressed_bytes=0), PayloadTooLargeError, "holds 0 bytes uncompressed"),
    "size above the limit": (
        lambda: lying(uncompressed_bytes=MIB + 1), PayloadTooLargeError, "1048577 bytes"),
    "size no LZ4 reaches": (
        lambda: raw(b"\x1f" * 100, CODEC_LZ4_BLOCK, 25_501), BatchSizeError, "at most 255 times"),
    "wrong crc": (
        lambda: lying(crc32=7), BatchChecksumError, "its header says 0x00000007"),
    "expiry its messages do not have": (
        lambda: lying(min_expire_time_unix_nano=1, max_expire_time_unix_nano=1),
        InvalidBatchError, "their header says 1 and 1"),
    "unknown codec": (
        lambda: lying(codec=9), UnknownCodecError, "codec 9 is not known"),
    "no codec": (
        lambda: lying(codec=0), UnknownCodecError, "names no codec"),
    "corrupt LZ4": (
        lambda: raw(b"\xff" * 64, CODEC_LZ4_BLOCK, 999), BatchCorruptError, "does not open to"),
    "bomb": (
        bomb, BatchCorruptError, "does not open to the 2000 bytes"),
    "garbage": (
        lambda: raw(b"\xff" * 64, CODEC_NONE, 64), BatchCorruptError, "no serialized MessageBlock"),
    "cut block": (
        lambda: raw(batch(b"x").block[:-3], CODEC_NONE, len(batch(b"x").block) - 3),
        BatchCorruptError, "no serialized MessageBlock"),
    "block and messages": (
        mixed, InvalidBatchError, "carries plain messages"),
    "wrong partition": (
        strayed, WrongPartitionError, f"of {PARTITIONS}, its batch says"),
    "no such partition": (
        lambda: lying(partition=PARTITIONS), CallerError, "has partitions 0..3, not 4"),
    "negative partition": (
        lambda: lying(partition=-1), CallerError, "has partitions 0..3, not -1"),
    "message above the limit": (
        lambda: batch(bytes(512 << 10)), PayloadTooLargeError, "message 0 holds"),
    "message without id": (
        lambda: of_message(data=b"x"), CallerError, "message 1 has no id"),
    "endless key": (
        lambda: of_message(id="x", key="k" * 257), PayloadTooLargeError, "key of 257 bytes, limit"),
    "bad topic name": (
        lambda: batch(b"x", topic="no good"), InvalidTopicNameError, "'no good' is not allowed"),
    "no topic name": (
        lambda: batch(b"x", topic=""), InvalidTopicNameError, "'' is not allowed"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
async def test_a_bad_batch_is_refused_and_nothing_else_is_lost(bus: Stubs, name: str):
    make, cls, words = LIES[name]
    await bus.create_topic(partition_count=PARTITIONS)
    subscriber = await SubscribeStream(bus).open("risk")
    stream = await PublishStream(bus).open()
    await stream.publish(batch(b"before"))

    error = await refusal(bus.publisher.Publish(pb.PublishRequest(batch=make())))
    assert type(error) is cls
    assert words in error.message

    await stream.publish(batch(b"beside"), make(), batch(b"beside"))
    failure = await stream.read_arm("failure") if await _acknowledges(stream) else None
    assert failure is not None
    assert (failure.frame_sequence, failure.batch_index) == (2, 1)
    refused = from_item_error(failure.error)
    assert type(refused) is cls
    assert words in refused.message
    assert failure.message_index == int(refused.metadata.get("message_index", "-1"))

    await stream.publish(batch(b"after"))
    await stream.acknowledged(3)
    read = await subscriber.data(4)
    assert read == [b"before", b"beside", b"beside", b"after"]
    await stream.finish()


async def _acknowledges(stream: PublishStream) -> bool:
    return bool(await stream.acknowledged(1))


async def test_refusals_are_counted_by_reason(bus: Stubs):
    await bus.create_topic()
    await refusal(bus.publisher.Publish(pb.PublishRequest(batch=lying(crc32=7))))
    stream = await PublishStream(bus).open()
    await stream.publish(lying(message_count=2))
    await stream.read_arm("failure")
    counted = dict((await bus.stats()).refused_batches)
    assert counted == {"BATCH_CHECKSUM_MISMATCH": 1, "BATCH_COUNT_MISMATCH": 1}


@pytest.mark.parametrize("repeat", [1, 200])
async def test_bombs_cost_no_more_memory_than_their_limit(bus: Stubs, repeat: int):
    await bus.create_topic()
    worst = raw(lz4.block.compress(bytes(64 << 20), store_size=False), CODEC_LZ4_BLOCK, MIB)
    for _ in range(repeat):
        error = await refusal(bus.publisher.Publish(pb.PublishRequest(batch=worst)))
        assert isinstance(error, BatchCorruptError)
    assert await bus.publish(b"others go on") == [0]


async def test_an_unknown_topic_is_refused_where_auto_create_is_off():
    async with running_coordinator(auto_create_topics=False) as server, dial(server.tcp) as bus:
        await bus.create_topic("known")
        error = await refusal(bus.publisher.Publish(pb.PublishRequest(batch=batch(b"x"))))
        assert isinstance(error, UnknownTopicError)
        assert error.code is StatusCode.NOT_FOUND
        assert "topic 'bars.1h' does not exist and auto-create is off" in error.message
        assert error.metadata == {"topic": TOPIC}
        plain = pb.PublishRequest(topic=TOPIC, messages=[Message(data=b"x")])
        assert isinstance(await refusal(bus.publisher.Publish(plain)), UnknownTopicError)
        asked = bus.publisher.GetTopicMetadata(pb.GetTopicMetadataRequest(topic=TOPIC))
        assert isinstance(await refusal(asked), UnknownTopicError)

        stream = await PublishStream(bus).open()
        await stream.publish(batch(b"x"), batch(b"kept", topic="known"))
        failure = await stream.read_arm("failure")
        assert failure.error.reason == UnknownTopicError.reason
        await stream.acknowledged(1)
        pulled = await bus.pull(topics=["known"])
        assert payloads(pulled.deliveries) == [b"kept"]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([Message(data=bytes(512 << 10))], "limit is 524288"),
        ([Message(data=bytes(400 << 10))] * 3, "together, limit is 1048576: send fewer at once"),
        ([Message()] * 1_001, "1001 messages were given at once, limit is 1000"),
    ],
    ids=["one", "together", "many"],
)
async def test_plain_messages_above_a_limit_are_refused_with_both_numbers(
    bus: Stubs, messages: list[Message], words: str
):
    request = pb.PublishRequest(topic=TOPIC, messages=messages)
    error = await refusal(bus.publisher.Publish(request))
    assert isinstance(error, PayloadTooLargeError)
    assert words in error.message
    assert await bus.publish(b"others go on") == [0]


async def test_a_frame_above_what_grpc_takes_is_refused_with_both_sizes(bus: Stubs):
    request = pb.PublishRequest(topic=TOPIC, messages=[Message(data=bytes(5 * MIB))])
    error = await refusal(bus.publisher.Publish(request))
    assert error.code is StatusCode.RESOURCE_EXHAUSTED
    assert "4194304" in error.message
    stream = await PublishStream(bus).open()
    await stream.publish(*[batch(bytes(500 << 10), compress_above_bytes=1 << 30)] * 9)
    assert (await stream.ended_with()).code is StatusCode.RESOURCE_EXHAUSTED
    assert await bus.publish(b"others go on") == [0]


async def test_a_request_that_is_no_message_is_refused_by_its_type(bus: Stubs, caplog):
    call = bus.channel.unary_unary("/bellwire.bus.v1.PublisherService/Publish")
    error = await refusal(call(b"\xff\xff\xff"))
    assert type(error) is CallerError
    assert error.message == "the request is no serialized bellwire.bus.v1.PublishRequest"
    assert await bus.publish(b"others go on") == [0]
    assert caplog.records == [], "nobody may fill our log with stack traces"


@pytest.mark.parametrize("first", [True, False], ids=["as first frame", "in mid-stream"])
async def test_a_frame_that_is_no_message_ends_its_stream_by_its_type(
    bus: Stubs, caplog, first: bool
):
    call = bus.channel.stream_stream(
        "/bellwire.bus.v1.PublisherService/PublishStream",
        response_deserializer=pb.PublishStreamResponse.FromString,
    )()
    stream = Duplex(call, bytes)
    if not first:
        await within(
            call.write(pb.PublishStreamRequest(start=pb.PublishStart()).SerializeToString())
        )
        await stream.read_arm("started")
    await within(call.write(b"\xff\xff\xff"))
    error = await stream.ended_with()
    assert type(error) is CallerError
    assert error.message == "the request is no serialized bellwire.bus.v1.PublishStreamRequest"
    assert await bus.publish(b"others go on") == [0]
    assert caplog.records == []


@pytest.mark.parametrize("limit", [MIB, 3 * MIB])
async def test_a_batch_as_large_as_the_limit_is_delivered_in_every_form(limit: int):
    settings = CoordinatorSettings(batch_bytes_max=limit, message_bytes_max=MIB // 2)
    async with running_coordinator(settings) as server, dial(server.tcp) as bus:
        count = limit // (MIB // 2)
        sent = batch(*[bytes(MIB // 2 - 100)] * count)
        stream = await PublishStream(bus).open()
        await stream.publish(sent)
        await stream.acknowledged(1)
        for name, codecs in (("plain", []), ("identity", [CODEC_NONE]), ("part", [CODEC_NONE])):
            reader = await SubscribeStream(bus).open(
                name, accepted_codecs=codecs, max_batch_messages=1 if name == "part" else 0
            )
            assert len(await reader.data(count)) == count
