"""Admission: opens each batch once, verifies all of it, and keeps the publisher's bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final

from google.protobuf.message import DecodeError

from bellwire.bus.v1.message_pb2 import Batch, BatchHeader, Message
from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_NONE,
    ACK_LEVEL_PERSISTED,
    ACK_LEVEL_RECEIVED,
    ACK_LEVEL_REPLICATED,
    ACK_LEVEL_UNSPECIFIED,
    AckLevel,
)
from bellwire.coordinator.core.topic import LogKind, Topic
from bellwire.wire.batch import (
    BatchLimits,
    check_message_sizes,
    encode_batch,
    parse_block,
    unpack_block,
)
from bellwire.wire.block_fields import BlockFields, fields_of, serialized_messages
from bellwire.wire.errors import (
    AckLevelUnsupportedError,
    CallerError,
    InvalidBatchError,
    PayloadTooLargeError,
    SourceMismatchError,
    WrongPartitionError,
)
from bellwire.wire.message import uuid7
from bellwire.wire.partitioner import partition_for_key
from bellwire.wire.trace_context import is_sampled

TEXT_BYTES_MAX: Final = 256  # Of each text field but tracestate.
TRACESTATE_BYTES_MAX: Final = 512  # W3C Trace Context §3.3.1.5 asks for at least this much.
ATTRIBUTES_MAX: Final = 64
DIRECT_ROUTES_MAX: Final = 64
ID_LENGTH: Final = 36  # A UUID as text.
# A field of 257 bytes takes 260, such an id 38: a message this small has no field above the bound.
SMALL_MESSAGE_BYTES: Final = TEXT_BYTES_MAX + 3 + 2 + ID_LENGTH
COPIED_BYTES_MAX: Final = (
    1 << 14
)  # To know a payload's length is to copy it: from here on looking at each text is less.
TOGETHER_FROM_MESSAGES: Final = 16  # Below about ten, setting up costs more than it saves.
UTF8_BYTES_MAX: Final = 4  # Of one character.
_ID_FIELD: Final = b"\x0a\x24"  # Message.id = 1, 36 bytes.
_ID: Final = attrgetter("id")
_TRACEPARENT: Final = attrgetter("traceparent")
_SIZE: Final = Message.ByteSize
MEMORY_ACK_LEVELS: Final = (ACK_LEVEL_NONE, ACK_LEVEL_RECEIVED)
DURABLE_ACK_LEVELS: Final = {
    LogKind.SQLITE: ACK_LEVEL_PERSISTED,
    LogKind.KAFKA: ACK_LEVEL_REPLICATED,  # Of several brokers; none of them need have synced it.
}
KEPT: Final = {
    LogKind.MEMORY: "in memory",
    LogKind.SQLITE: "on the coordinator's disk",
    LogKind.KAFKA: "in Kafka",
}
NUMBER_MAX: Final = (1 << 63) - 1_000  # What a store keeps, with room for a batch of sequences.
DELAY_NANOS_MAX: Final = 7 * 86_400 * 1_000_000_000
_SHORT_FIELDS: Final = (
    "id", "source", "type", "subject", "key", "correlation_id", "causation_id", "schema", "traceparent",
)  # fmt: skip


def ack_levels(topic: Topic) -> tuple[AckLevel.ValueType, ...]:
    """Return the levels the topic's log can give."""
    return (*MEMORY_ACK_LEVELS, best_ack_level(topic)) if topic.is_durable else MEMORY_ACK_LEVELS


def best_ack_level(topic: Topic) -> AckLevel.ValueType:
    """Return the most the topic's log can give."""
    return DURABLE_ACK_LEVELS.get(topic.settings.log, ACK_LEVEL_RECEIVED)


def check_ack_level(topic: Topic, level: AckLevel.ValueType) -> AckLevel.ValueType:
    """Return the level to acknowledge at.

    Raises:
        AckLevelUnsupportedError: The topic's log cannot give it.
    """
    if level == ACK_LEVEL_UNSPECIFIED:
        return best_ack_level(topic)
    if level in ack_levels(topic):
        return level
    name = AckLevel.Name(level) if level in AckLevel.values() else str(level)
    raise AckLevelUnsupportedError(
        f"topic {topic.name!r} is kept {KEPT[topic.settings.log]} and cannot give {name}: "
        f"ask for {AckLevel.Name(best_ack_level(topic))}",
        metadata={"topic": topic.name, "ack_level": name},
    )


def admit_batch(
    batch: Batch, topic: Topic, limits: BatchLimits, principal: str, now_ns: int = 0
) -> list[str]:
    """Verify a batch against its header, its topic and its publisher; return its sampled traceparents.

    Raises:
        InvalidBatchError, PayloadTooLargeError, WrongPartitionError, SourceMismatchError, CallerError:
            `metadata["message_index"]` names the first bad message where there is one.
    """
    if batch.messages:
        raise InvalidBatchError(
            "batch carries plain messages: put them into PublishRequest.messages, or encode a block"
        )
    header = batch.header
    topic.partition(header.partition)
    if header.only_subscription:
        raise InvalidBatchError("only_subscription is set by the coordinator: leave it empty")
    if len(header.direct_routes) > DIRECT_ROUTES_MAX:
        raise InvalidBatchError(
            f"header names {len(header.direct_routes)} direct routes, limit is {DIRECT_ROUTES_MAX}"
        )
    if max(header.producer_id, header.base_sequence, header.last_time_unix_nano) > NUMBER_MAX:
        raise InvalidBatchError(
            "producer_id, base_sequence or last_time_unix_nano of the header is above 2**63 - 1000: no producer "
            "counts that far, and no time is that late"
        )
    data = unpack_block(batch, limits)
    sampled = _verified_together(data, header, topic, limits, principal)
    messages = parse_block(data, header.message_count) if sampled is None else ()
    if _expires(header):
        _check_expiry(messages, header)
    if header.max_not_before_time_unix_nano:
        _check_delay(header.max_not_before_time_unix_nano, now_ns)
    if sampled is None:
        return _verify(messages, header.partition, topic, limits, principal, len(data))
    return sampled


def admit_messages(
    messages: Sequence[Message],
    topic: Topic,
    limits: BatchLimits,
    principal: str,
    now_ns: int,
    keyless_partition: Callable[[int], int],
) -> list[tuple[Batch, list[str]]]:
    """Fill, verify and partition plain messages; return one encoded batch per partition.

    Raises:
        PayloadTooLargeError, SourceMismatchError, CallerError: See `admit_batch`.
    """
    check_message_sizes(messages, limits)
    count = len(topic.partitions)
    groups: defaultdict[int, list[Message]] = defaultdict(list)
    for original in messages:
        message = Message()
        message.CopyFrom(original)
        message.id = message.id or uuid7()
        message.time_unix_nano = message.time_unix_nano or now_ns
        if message.time_unix_nano > NUMBER_MAX:
            raise CallerError(f"time_unix_nano {message.time_unix_nano} is above 2**63 - 1000")
        if message.not_before_time_unix_nano:
            _check_delay(message.not_before_time_unix_nano, now_ns)
        index = partition_for_key(message.key, count) if message.key else keyless_partition(count)
        groups[index].append(message)
    return [
        (
            encode_batch(topic.name, index, group),
            _verify(group, index, topic, limits, principal),
        )
        for index, group in groups.items()
    ]


def _verify(
    messages: Iterable[Message],
    partition: int,
    topic: Topic,
    limits: BatchLimits,
    principal: str,
    block_bytes: int = 0,
) -> list[str]:
    """Check each message; whole passes in C, because this runs for every message on the bus.

    Args:
        messages: At least one.
        partition: Where they are to go.
        topic: Of that partition.
        limits: What a message may hold.
        principal: Who published them; empty = not known.
        block_bytes: Of the block they are from, which bounds the size of a single one: to count that exactly
            protobuf serializes it. 0 = not known.
    """
    items = list(messages)
    id_lengths = set(map(len, map(_ID, items)))
    small = min(SMALL_MESSAGE_BYTES, limits.message_bytes_max) if id_lengths == {ID_LENGTH} else 0
    sizes = (block_bytes,) if block_bytes and len(items) == 1 else map(_SIZE, items)
    for index, size in enumerate(sizes):
        if size > small:
            _check_bounds(items[index], size, index, limits)
    if 0 in id_lengths:
        index = [message.id for message in items].index("")
        raise CallerError(f"message {index} has no id: set a UUIDv7", metadata=_at(index))
    if len(topic.partitions) > 1:
        _check_partition(items, partition, len(topic.partitions))
    if principal:
        _check_source(items, principal)
    return _sampled(items)


def _sampled(messages: Iterable[Message]) -> list[str]:
    return [text for text in filter(None, map(_TRACEPARENT, messages)) if is_sampled(text)]


def _expires(header: BatchHeader) -> bool:
    return bool(header.min_expire_time_unix_nano or header.max_expire_time_unix_nano)


def _verified_together(
    data: bytes, header: BatchHeader, topic: Topic, limits: BatchLimits, principal: str
) -> list[str] | None:
    """Return what `_verify` would of a block of which each message would pass it; None = that is not certain.

    It looks at a field of all messages at once, which costs a third, and only ever says yes: what is refused,
    and for which message, `_verify` tells. What an encoder may do and ours does not, such as writing a field
    twice, is left to that as well; only a sampled traceparent that is followed by another one of the same
    message may be among those returned, which costs a span.
    """
    if header.message_count < TOGETHER_FROM_MESSAGES or _expires(header):
        return None
    try:
        fields = fields_of(data)
        if len(fields.id) != header.message_count or len(fields.attributes):
            return None
        if len(fields.traceparent) > header.message_count:
            return None
        rows = serialized_messages(data)
    except DecodeError:
        return None
    if len(rows) != header.message_count:
        return None
    # As many ids as messages, and each begins with one: where the first and the last in order do, all do.
    if not (min(rows).startswith(_ID_FIELD) and max(rows).startswith(_ID_FIELD)):
        return None
    # Without attributes the bytes of a message are at least those that `_verify` counts.
    longest = max(map(len, rows))
    if longest > limits.message_bytes_max:
        return None
    if longest > SMALL_MESSAGE_BYTES and not _texts_fit(fields):
        return None
    count = len(topic.partitions)
    if count > 1 and any(
        partition_for_key(key, count) != header.partition for key in set(fields.key) if key
    ):
        return None
    if principal and not {"", principal}.issuperset(fields.source):
        return None
    return [text for text in fields.traceparent if is_sampled(text)]


def _texts_fit(fields: BlockFields) -> bool:
    """Tell whether no text has too many bytes even if each of its characters takes as many as it can."""
    texts = (getattr(fields, name) for name in (*_SHORT_FIELDS, "tracestate"))
    characters = max(max(map(len, values), default=0) for values in texts)
    return characters * UTF8_BYTES_MAX <= TEXT_BYTES_MAX


def _check_delay(not_before_ns: int, now_ns: int) -> None:
    if now_ns and not_before_ns - now_ns > DELAY_NANOS_MAX:
        days = (not_before_ns - now_ns) / 86_400e9
        raise CallerError(
            f"a message is not to be delivered for {days:.1f} days, limit is 7: publish it later",
            metadata={"not_before_time_unix_nano": str(not_before_ns)},
        )


def _check_expiry(messages: Sequence[Message], header: BatchHeader) -> None:
    """Refuse a header by which messages would be dropped that have not expired."""
    expiries = [message.expire_time_unix_nano for message in messages]
    least = min(filter(None, expiries), default=0)
    most = max(expiries) if all(expiries) else 0
    if (least, most) != (header.min_expire_time_unix_nano, header.max_expire_time_unix_nano):
        raise InvalidBatchError(
            f"messages expire between {least} and {most} (0 = never), their header says "
            f"{header.min_expire_time_unix_nano} and {header.max_expire_time_unix_nano}",
            metadata={"min_expire_time": str(least), "max_expire_time": str(most)},
        )


def _check_partition(messages: Sequence[Message], partition: int, count: int) -> None:
    for index, message in enumerate(messages):
        key = message.key
        if key and partition_for_key(key, count) != partition:
            raise WrongPartitionError(
                f"message {index} with key {key!r} belongs to partition "
                f"{partition_for_key(key, count)} of {count}, its batch says {partition}: "
                "partition by murmur2 as Kafka does, and read the partition count again",
                metadata={**_at(index), "partition_count": str(count)},
            )


def _check_source(messages: Sequence[Message], principal: str) -> None:
    for index, message in enumerate(messages):
        if message.source and message.source != principal:
            raise SourceMismatchError(
                f"message {index} says it is from {message.source!r}, its publisher is {principal!r}",
                metadata=_at(index),
            )


def _check_bounds(message: Message, size: int, index: int, limits: BatchLimits) -> None:
    fits = size <= limits.message_bytes_max
    # The envelope is all but the payload: where it is short, so is each of its fields.
    if fits and size <= COPIED_BYTES_MAX and size - len(message.data) <= TEXT_BYTES_MAX:
        return
    if not fits:
        size = message.ByteSize()  # What was given may be an upper bound.
    if size > limits.message_bytes_max:
        raise PayloadTooLargeError(
            f"message {index} holds {size} bytes, limit is {limits.message_bytes_max}: send a reference "
            "to the data instead",
            metadata={**_at(index), "bytes": str(size), "limit": str(limits.message_bytes_max)},
        )
    for field in _SHORT_FIELDS:
        _check_text(field, getattr(message, field), TEXT_BYTES_MAX, index)
    _check_text("tracestate", message.tracestate, TRACESTATE_BYTES_MAX, index)
    if len(message.attributes) > ATTRIBUTES_MAX:
        raise PayloadTooLargeError(
            f"message {index} has {len(message.attributes)} attributes, limit is {ATTRIBUTES_MAX}",
            metadata={**_at(index), "limit": str(ATTRIBUTES_MAX)},
        )


def _check_text(field: str, text: str, bytes_max: int, index: int) -> None:
    size = len(text.encode())
    if size > bytes_max:
        raise PayloadTooLargeError(
            f"message {index} has a {field} of {size} bytes, limit is {bytes_max}",
            metadata={**_at(index), "field": field, "bytes": str(size), "limit": str(bytes_max)},
        )


def _at(index: int) -> dict[str, str]:
    return {"message_index": str(index)}
