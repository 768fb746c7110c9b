"""Batches: up to 1,000 messages of one topic partition as one block, the unit of the hot path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final
from zlib import crc32

from google.protobuf.message import DecodeError

from bellwire.bus.v1.message_pb2 import (
    CODEC_LZ4_BLOCK,
    CODEC_NONE,
    CODEC_UNSPECIFIED,
    Batch,
    BatchHeader,
    Message,
    MessageBlock,
)
from bellwire.wire.codec import identity, lz4
from bellwire.wire.errors import (
    BatchChecksumError,
    BatchCorruptError,
    BatchCountError,
    CallerError,
    InvalidBatchError,
    PayloadTooLargeError,
    UnknownCodecError,
)
from bellwire.wire.payload_run import PayloadRun, PayloadRuns, block_of_one

COMPRESS_ABOVE_BYTES: Final = 512  # Below, LZ4 saves less than its header and call cost.
BLOCK_BYTES_MAX: Final = 4 << 20  # Never opened beyond this, whatever a limit is set to.


_TIME: Final = attrgetter("time_unix_nano")
_EXPIRE_TIME: Final = attrgetter("expire_time_unix_nano")
_NOT_BEFORE_TIME: Final = attrgetter("not_before_time_unix_nano")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one batch may hold.

    Attributes:
        messages_max: Messages in one batch.
        bytes_max: Uncompressed bytes of one batch.
        message_bytes_max: Serialized bytes of one message.
    """

    messages_max: int = 1_000
    bytes_max: int = 1 << 20
    message_bytes_max: int = 512 << 10


DEFAULT_LIMITS: Final = BatchLimits()


def encode_batch(
    topic: str,
    partition: int,
    messages: Sequence[Message],
    *,
    producer_id: int = 0,
    producer_epoch: int = 0,
    base_sequence: int = 0,
    compress_above_bytes: int = COMPRESS_ABOVE_BYTES,
) -> Batch:
    """Encode messages of one partition; compressed when larger than `compress_above_bytes`.

    Raises:
        InvalidBatchError: There are no messages.
    """
    if not messages:
        raise InvalidBatchError("batch holds no messages, 1 is the least")
    if isinstance(messages, PayloadRun | PayloadRuns):
        data = messages.block()
        runs = messages.runs if isinstance(messages, PayloadRuns) else (messages,)
        envelopes = [run.envelope for run in runs]
        times = list(map(_TIME, envelopes))
        expiries = list(map(_EXPIRE_TIME, envelopes))
        not_before = max(map(_NOT_BEFORE_TIME, envelopes))
    elif (
        len(messages) == 1
    ):  # When little is going on, most batches are of one: no passes for that.
        message = messages[0]
        data = block_of_one(message.SerializeToString())
        times = [message.time_unix_nano]
        expiries = [message.expire_time_unix_nano]
        not_before = message.not_before_time_unix_nano
    else:
        data = MessageBlock(messages=messages).SerializeToString()
        times = list(map(_TIME, messages))
        expiries = list(map(_EXPIRE_TIME, messages))
        not_before = max(map(_NOT_BEFORE_TIME, messages))
    codec, block = CODEC_NONE, data
    if len(data) > compress_above_bytes:
        packed = lz4.pack(data)
        if len(packed) < len(data):
            codec, block = CODEC_LZ4_BLOCK, packed
    batch = Batch()  # Filled in place: a header made apart would be copied.
    batch.block = block
    header = batch.header
    header.topic = topic
    header.partition = partition
    header.codec = codec
    header.message_count = len(messages)
    header.uncompressed_bytes = len(data)
    header.crc32 = crc32(block)
    if producer_id:
        header.producer_id = producer_id
        header.producer_epoch = producer_epoch
        header.base_sequence = base_sequence
    header.first_time_unix_nano = min(times)
    header.last_time_unix_nano = max(times)
    if any(expiries):
        header.min_expire_time_unix_nano = min(filter(None, expiries))
        header.max_expire_time_unix_nano = max(expiries) if all(expiries) else 0
    if not_before:
        header.max_not_before_time_unix_nano = not_before
    return batch


def block_bytes(batch: Batch) -> int:
    """Return the length of a verified batch's block; 0 = it carries plain messages.

    protobuf tells no length without a copy of the whole. A block that LZ4 could not shrink is the large one, and
    its header has said how long it is.
    """
    header = batch.header
    return header.uncompressed_bytes if header.codec == CODEC_NONE else len(batch.block)


def check_header(batch: Batch, limits: BatchLimits = DEFAULT_LIMITS) -> None:
    """Refuse a batch its header already condemns, before anything is opened.

    Raises:
        InvalidBatchError, PayloadTooLargeError, UnknownCodecError, BatchChecksumError
    """
    _check_header(batch.header, batch.block, limits)


def _check_header(header: BatchHeader, block: bytes, limits: BatchLimits) -> None:
    if not 1 <= header.message_count <= limits.messages_max:
        raise PayloadTooLargeError(
            f"batch holds {header.message_count} messages, 1 to {limits.messages_max} are allowed",
            metadata={"messages": str(header.message_count), "limit": str(limits.messages_max)},
        )
    size_bytes_max = min(limits.bytes_max, BLOCK_BYTES_MAX)
    if not 1 <= header.uncompressed_bytes <= size_bytes_max:
        raise PayloadTooLargeError(
            f"batch holds {header.uncompressed_bytes} bytes uncompressed, "
            f"1 to {size_bytes_max} are allowed: send fewer messages in one batch",
            metadata={"bytes": str(header.uncompressed_bytes), "limit": str(size_bytes_max)},
        )
    if header.codec not in (CODEC_NONE, CODEC_LZ4_BLOCK):
        raise UnknownCodecError(
            f"codec {header.codec} is not known: use CODEC_NONE (1) or CODEC_LZ4_BLOCK (2)",
            metadata={"codec": str(header.codec)},
        )
    found = crc32(block)
    if found != header.crc32:
        raise BatchChecksumError(
            f"crc32 of the block is {found:#010x}, its header says {header.crc32:#010x}: "
            "it was damaged on the way, send it again",
            metadata={"found": f"{found:#010x}", "expected": f"{header.crc32:#010x}"},
        )


def open_block(batch: Batch) -> Sequence[Message]:
    """Open a block whose header was checked.

    Raises:
        InvalidBatchError: Size or count is not what the header says, or the bytes are damaged.
    """
    header = batch.header
    return parse_block(_unpack(header, batch.block), header.message_count)


def _unpack(header: BatchHeader, block: bytes) -> bytes:
    unpack = lz4.unpack if header.codec == CODEC_LZ4_BLOCK else identity.unpack
    return unpack(block, header.uncompressed_bytes)


def parse_block(data: bytes, message_count: int) -> Sequence[Message]:
    """Return the messages of a serialized MessageBlock.

    Raises:
        InvalidBatchError: The bytes are none, or it does not hold `message_count` of them.
    """
    try:
        messages = MessageBlock.FromString(data).messages
    except DecodeError:
        raise BatchCorruptError(
            f"block of {len(data)} bytes is no serialized MessageBlock: encode the messages again"
        ) from None
    _check_count(messages, message_count)
    return messages


def _check_count(messages: Sequence[Message], expected: int) -> None:
    if len(messages) != expected:
        raise BatchCountError(
            f"batch holds {len(messages)} messages, its header says {expected}",
            metadata={"found": str(len(messages)), "expected": str(expected)},
        )


def open_batch(batch: Batch, limits: BatchLimits = DEFAULT_LIMITS) -> Sequence[Message]:
    """Return the messages of a batch in any of its three forms, fully verified.

    Raises:
        InvalidBatchError, PayloadTooLargeError: See `check_header` and `open_block`.
    """
    if batch.messages:
        if batch.block:
            raise InvalidBatchError(
                "batch carries both a block and plain messages: send one of them"
            )
        _check_count(batch.messages, batch.header.message_count or len(batch.messages))
        return batch.messages
    return parse_block(unpack_block(batch, limits), batch.header.message_count)


def unpack_block(batch: Batch, limits: BatchLimits = DEFAULT_LIMITS) -> bytes:
    """Return the serialized MessageBlock of a batch without plain messages; what it holds is not verified.

    Raises:
        InvalidBatchError, PayloadTooLargeError: See `check_header`; or its size is not what the header says.
    """
    header, block = batch.header, batch.block  # Once: each look at a block copies it.
    if header.codec == CODEC_UNSPECIFIED:
        raise UnknownCodecError(
            "batch carries no plain messages and names no codec: use CODEC_NONE (1) or CODEC_LZ4_BLOCK (2)",
            metadata={"codec": "0"},
        )
    _check_header(header, block, limits)
    return _unpack(header, block)


def check_message_sizes(messages: Sequence[Message], limits: BatchLimits = DEFAULT_LIMITS) -> None:
    """Refuse plain messages above the limits.

    Raises:
        CallerError: No messages.
        PayloadTooLargeError: A message or the whole is too large, or there are too many.
    """
    if not messages:
        raise CallerError("no messages were given, 1 is the least")
    if len(messages) > limits.messages_max:
        raise PayloadTooLargeError(
            f"{len(messages)} messages were given at once, limit is {limits.messages_max}",
            metadata={"messages": str(len(messages)), "limit": str(limits.messages_max)},
        )
    total = 0
    for index, message in enumerate(messages):
        size = message.ByteSize()
        total += size
        if size > limits.message_bytes_max:
            raise PayloadTooLargeError(
                f"message {index} holds {size} bytes, limit is {limits.message_bytes_max}",
                metadata={
                    "index": str(index),
                    "bytes": str(size),
                    "limit": str(limits.message_bytes_max),
                },
            )
    if total > limits.bytes_max:
        raise PayloadTooLargeError(
            f"messages hold {total} bytes together, limit is {limits.bytes_max}: send fewer at once",
            metadata={"bytes": str(total), "limit": str(limits.bytes_max)},
        )
