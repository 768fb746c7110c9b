"""What a subscription hands over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Final, Protocol

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_REJECT,
    DISPOSITION_RELEASE,
    DISPOSITION_RENEW,
    Disposition,
)
from bellwire.client._received_message import ReceivedMessage

__all__ = ["Batch", "ReceivedMessage", "Settler"]

MILLIS: Final = 1_000


class Settler(Protocol):
    """Takes dispositions of deliveries; never blocks."""

    def settle(
        self,
        batch: Batch,
        first: int,
        last: int,
        disposition: Disposition.ValueType,
        delay_millis: int = 0,
        reason: str = "",
    ) -> None:
        """End the messages `first`..`last` (indexes within the batch, inclusive), all of them open."""


class Batch:
    """Consecutive messages of one partition, delivered together.

    Attributes:
        messages: The messages, in offset order.
        topic: Topic.
        partition: Partition, 0-based.
        first_offset: Offset of the first message; each next one is one higher. -1 = it came directly, and has
            none yet.
        attempt: Times these messages were handed out before; 0 = first time.
        replayed: True when this comes from a replay; such messages must never reach a real venue.
        principal: Authenticated identity of the publisher; empty without authentication.
        dropped_messages: Messages of this partition dropped just before, because this subscriber fell behind.
        admitted_time_unix_nano: When the coordinator admitted the messages.
        lease: Counts the streams of the subscription; tags are scoped to it.
        first_tag: Delivery tag of the first message.
        open: One bit for each message that is not settled yet.
        done: Messages, from the first, that an iterator has handed over and seen finished.
        lingering: True while `done` messages wait to be settled together.
        log_id: Log that the offsets belong to; 0 = not told.
        void_at: Loop time after which what is not settled is delivered again: its lease has ended.
    """

    __slots__ = (
        "_settler",
        "admitted_time_unix_nano",
        "attempt",
        "done",
        "dropped_messages",
        "first_offset",
        "first_tag",
        "lease",
        "lingering",
        "log_id",
        "messages",
        "open",
        "partition",
        "principal",
        "replayed",
        "topic",
        "void_at",
    )

    def __init__(
        self,
        messages: Sequence[Message],
        topic: str,
        partition: int,
        first_offset: int,
        settler: Settler,
        *,
        attempt: int = 0,
        replayed: bool = False,
        principal: str = "",
        dropped_messages: int = 0,
        admitted_time_unix_nano: int = 0,
        lease: int = 0,
        first_tag: int = 0,
        void_at: float = inf,
        log_id: int = 0,
    ) -> None:
        self.messages = messages
        self.topic = topic
        self.partition = partition
        self.first_offset = first_offset
        self.attempt = attempt
        self.replayed = replayed
        self.principal = principal
        self.dropped_messages = dropped_messages
        self.admitted_time_unix_nano = admitted_time_unix_nano
        self.lease = lease
        self.first_tag = first_tag
        self.open = (1 << len(messages)) - 1
        self.done = 0
        self.lingering = False
        self.void_at = void_at
        self.log_id = log_id
        self._settler = settler

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[ReceivedMessage]:
        for index, message in enumerate(self.messages):
            yield ReceivedMessage(message, self, index)

    def part(self, first: int, last: int) -> Batch:
        """Return the messages `first`..`last` (inclusive) as a batch of their own."""
        return Batch(
            self.messages[first : last + 1],
            self.topic,
            self.partition,
            self.offset_of(first),
            self._settler,
            attempt=self.attempt,
            replayed=self.replayed,
            principal=self.principal,
            dropped_messages=self.dropped_messages,
            admitted_time_unix_nano=self.admitted_time_unix_nano,
            lease=self.lease,
            first_tag=self.first_tag + first,
            void_at=self.void_at,
            log_id=self.log_id,
        )

    @property
    def settler(self) -> Settler:
        """Who takes its dispositions."""
        return self._settler

    @property
    def is_direct(self) -> bool:
        """True when a publisher on the same host brought it past the coordinator: it has no offset."""
        return self.first_offset < 0

    def offset_of(self, index: int) -> int:
        """Return the offset of a message; -1 = it has none yet."""
        return self.first_offset if self.first_offset < 0 else self.first_offset + index

    @property
    def settled(self) -> bool:
        """True once every message is settled."""
        return not self.open

    async def accept(self) -> None:
        """End all messages of the batch that are not settled yet: they are done."""
        self.settle_open(0, len(self.messages) - 1, DISPOSITION_ACCEPT)

    async def release(self, *, delay_seconds: float = 0.0) -> None:
        """Have all messages not settled yet delivered again, to any member, not before the delay."""
        last = len(self.messages) - 1
        self.settle_open(0, last, DISPOSITION_RELEASE, round(delay_seconds * MILLIS))

    async def reject(self, *, reason: str = "") -> None:
        """Dead-letter all messages not settled yet."""
        self.settle_open(0, len(self.messages) - 1, DISPOSITION_REJECT, 0, reason)

    async def renew(self) -> None:
        """Begin the lease of all messages not settled yet anew; without a lease it changes nothing."""
        for first, last in runs(self.open):
            self.renew_part(first, last)

    def renew_part(self, first: int, last: int) -> None:
        """Begin the lease anew that covers the messages `first`..`last` (inclusive), all of them open."""
        self._settler.settle(self, first, last, DISPOSITION_RENEW)

    def settle_done(self) -> None:
        """Accept what has been handed over and finished."""
        self.lingering = False
        if self.done and self.open:
            self.settle_open(0, self.done - 1, DISPOSITION_ACCEPT)

    def settle_open(
        self,
        first: int,
        last: int,
        disposition: Disposition.ValueType,
        delay_millis: int = 0,
        reason: str = "",
    ) -> bool:
        """Settle what is open of the messages `first`..`last` (inclusive); False when nothing was."""
        wanted = ((1 << (last - first + 1)) - 1) << first
        fresh = self.open & wanted
        self.open &= ~wanted
        if fresh == wanted:  # The usual case: one range.
            self._settler.settle(self, first, last, disposition, delay_millis, reason)
            return True
        for start, stop in runs(fresh):
            self._settler.settle(self, start, stop, disposition, delay_millis, reason)
        return bool(fresh)


def runs(bits: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of ones as (first, last), both inclusive."""
    while bits:
        first = (bits & -bits).bit_length() - 1
        rest = ~(bits >> first)
        length = (rest & -rest).bit_length() - 1
        yield first, first + length - 1
        bits &= ~(((1 << length) - 1) << first)
