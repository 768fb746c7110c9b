"""Messages of the bus for whoever reads them from Kafka: needs no Kafka client of its own and no coordinator.

    async for record in consumer:  # An aiokafka.AIOKafkaConsumer.
        signal = payload_of(decode_record(record), Signal)

Records that a bridge has written and those of durable topics are read alike; both are CloudEvents in binary mode.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from bellwire.bus.v1.message_pb2 import Message
from bellwire.wire.cloud_events import CloudEventError, message_of
from bellwire.wire.kafka_origin import OURS, BusOrigin, bus_origin

__all__ = [
    "BusOrigin",
    "CloudEventError",
    "Record",
    "decode",
    "decode_record",
    "origin_of",
    "payload_of",
]

PayloadT = TypeVar("PayloadT", bound=ProtoMessage)


class Record(Protocol):
    """What a consumer gives; `aiokafka.ConsumerRecord` is one."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]: ...


def decode_record(record: Record) -> Message:
    """Return the message of a record.

    Raises:
        CloudEventError: It is no message of the bus, and what is wrong with it.
    """
    return decode(record.key, record.value, record.headers)


def decode(
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]] | None,
) -> Message:
    """Return the message of a record, for clients that give its parts by methods (confluent-kafka).

    Raises:
        CloudEventError: It is no message of the bus, and what is wrong with it.
    """
    given = ((name, text or b"") for name, text in headers or ())
    return message_of(key, value, given, ignore=OURS)


def origin_of(headers: Iterable[tuple[str, bytes | None]] | None) -> BusOrigin | None:
    """Return where on the bus a bridge took the record from; None = no bridge wrote it."""
    return bus_origin(headers or ())


def payload_of(message: Message, kind: type[PayloadT]) -> PayloadT:
    """Return the payload as the type that it is said to be.

    Raises:
        CloudEventError: The message says that it is of another type, or its bytes are not of this one.
    """
    wanted = kind.DESCRIPTOR.full_name
    if message.type != wanted:
        raise CloudEventError(
            f"message {message.id} is of type {message.type or 'none'!r}, not {wanted!r}: ask its type first"
        )
    try:
        return kind.FromString(message.data)
    except DecodeError as error:
        raise CloudEventError(
            f"message {message.id} says it is a {wanted}, but its {len(message.data)} bytes are none: {error}"
        ) from None
