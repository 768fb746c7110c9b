"""One delivered message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bellwire.bus.v1.message_pb2 import Message

if TYPE_CHECKING:
    from bellwire.client.received import Batch


class ReceivedMessage:
    """One delivered message: the fields of `message`, and where it stood on the bus."""

    __slots__ = ("batch", "index", "message")

    def __init__(self, message: Message, batch: Batch, index: int) -> None:
        self.message = message
        self.batch = batch
        self.index = index

    @property
    def settled(self) -> bool:
        """True once this message is settled."""
        return not self.batch.open >> self.index & 1

    @property
    def topic(self) -> str:
        """Topic."""
        return self.batch.topic

    @property
    def partition(self) -> int:
        """Partition, 0-based."""
        return self.batch.partition

    @property
    def offset(self) -> int:
        """Offset within the partition; -1 = the message came directly, and has none yet."""
        return self.batch.offset_of(self.index)

    @property
    def attempt(self) -> int:
        """Times this message was handed out before; 0 = first time."""
        return self.batch.attempt

    @property
    def replayed(self) -> bool:
        """True when this comes from a replay; such messages must never reach a real venue."""
        return self.batch.replayed

    @property
    def principal(self) -> str:
        """Authenticated identity of the publisher; empty without authentication."""
        return self.batch.principal

    @property
    def admitted_time_unix_nano(self) -> int:
        """When the coordinator admitted the message."""
        return self.batch.admitted_time_unix_nano

    @property
    def id(self) -> str:
        """UUIDv7 set by the publisher."""
        return self.message.id

    @property
    def source(self) -> str:
        """Who made it."""
        return self.message.source

    @property
    def type(self) -> str:
        """Full protobuf name of the payload."""
        return self.message.type

    @property
    def subject(self) -> str:
        """Instrument or entity."""
        return self.message.subject

    @property
    def key(self) -> str:
        """Partition key."""
        return self.message.key

    @property
    def time_unix_nano(self) -> int:
        """Event time, nanoseconds since the Unix epoch."""
        return self.message.time_unix_nano

    @property
    def expire_time_unix_nano(self) -> int:
        """Wall-clock time after which it is dropped; 0 = never."""
        return self.message.expire_time_unix_nano

    @property
    def correlation_id(self) -> str:
        """Business transaction."""
        return self.message.correlation_id

    @property
    def causation_id(self) -> str:
        """Id of the message that caused it."""
        return self.message.causation_id

    @property
    def traceparent(self) -> str:
        """W3C creation context."""
        return self.message.traceparent

    @property
    def tracestate(self) -> str:
        """W3C tracestate."""
        return self.message.tracestate

    @property
    def schema(self) -> str:
        """Schema name and version of the payload."""
        return self.message.schema

    @property
    def attributes(self) -> Mapping[str, str]:
        """Small filterable properties."""
        return self.message.attributes

    @property
    def data(self) -> bytes:
        """Payload."""
        return self.message.data

    def __repr__(self) -> str:
        return (
            f"ReceivedMessage({self.topic}/{self.partition}@{self.offset}, "
            f"type={self.type!r}, key={self.key!r}, {len(self.data)} bytes)"
        )
