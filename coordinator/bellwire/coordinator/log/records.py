"""Records: what a store writes, one transaction at a time, and what it gives back at a start.

Every record says what *is*, not what changed, so that writing one twice does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bellwire.coordinator.log.protocol import Entry


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """A durable topic; memory topics have none.

    Attributes:
        settings: A serialized `bellwire.admin.v1.Topic`.
        log_ids: One per partition, 1..2**63-1.
    """

    name: str
    settings: bytes
    log_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicDeletedRecord:
    """The topic is gone with its entries, segments, producers and cursors; its dead letters stay."""

    name: str
    log_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """A batch at its place in a log; `entry.base_offset` continues the log without a gap."""

    log_id: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """A stretch of neighbouring entries: the unit of retention. Replaces the one with the same base.

    Attributes:
        base_offset: Offset of its first message; with `log_id` its key.
        next_offset: Offset after its last message.
        entries: Entries in it.
        stored_bytes: What they weigh.
        last_time_ns: Largest message time in it, nanoseconds since the Unix epoch.
        last_admitted_ns: When its last entry was admitted; retention by time goes by this.
    """

    log_id: int
    base_offset: int
    next_offset: int
    entries: int
    stored_bytes: int
    last_time_ns: int
    last_admitted_ns: int


@dataclass(frozen=True, slots=True)
class EvictedRecord:
    """Entries and segments of a log that end at or below `low_offset` are gone."""

    log_id: int
    low_offset: int


@dataclass(frozen=True, slots=True)
class ProducerRecord:
    """What a partition knows of one producer.

    Attributes:
        recent: (base_sequence, messages, base_offset) of its latest batches, oldest first.
    """

    log_id: int
    producer_id: int
    epoch: int
    next_sequence: int
    recent: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ProducerNameRecord:
    """A named producer, its id and its current epoch."""

    name: str
    producer_id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class SubscriptionRecord:
    """A named subscription.

    Attributes:
        patterns: Topics or patterns it reads.
        ordering: Value of `bellwire.bus.v1.Ordering`.
        overflow_policy: Value of `bellwire.bus.v1.OverflowPolicy`.
        max_attempts: Attempts before a message becomes a dead letter.
    """

    name: str
    patterns: tuple[str, ...]
    ordering: int
    overflow_policy: int
    max_attempts: int


@dataclass(frozen=True, slots=True)
class SubscriptionDeletedRecord:
    """The subscription is gone with its cursors."""

    name: str


@dataclass(frozen=True, slots=True)
class CursorRecord:
    """How far a subscription has come in one log.

    Attributes:
        next_offset: Next offset never delivered.
        open_runs: (first_offset, last_offset exclusive, attempt, failures) of messages below `next_offset`
            that are not settled, in offset order; `attempt` is the number of the next delivery, `failures`
            how many of the earlier ones ended badly.
    """

    subscription: str
    log_id: int
    next_offset: int
    open_runs: tuple[tuple[int, int, int, int], ...]

    @property
    def floor(self) -> int:
        """Offset below which everything is settled."""
        return self.open_runs[0][0] if self.open_runs else self.next_offset


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A message that was given up.

    Attributes:
        id: Strictly increasing within a store, from 1.
        message: A serialized `bellwire.bus.v1.Message`, unchanged.
        key: The message's key, for filters.
        cause: Value of `bellwire.admin.v1.DeadLetterCause`.
        attempts: Times it was delivered.
    """

    id: int
    topic: str
    partition: int
    offset: int
    log_id: int
    subscription: str
    cause: int
    reason: str
    attempts: int
    time_ns: int
    key: str
    message: bytes


@dataclass(frozen=True, slots=True)
class DeadLettersRemovedRecord:
    """These dead letters are gone: redriven or purged."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """The response given to a request with an idempotency key.

    Attributes:
        scope: RPC and principal; with `request_id` its key.
        digest: SHA-256 of the request without its request_id.
        response: The serialized response.
        expire_ns: Not kept beyond this time, nanoseconds since the Unix epoch.
    """

    scope: str
    request_id: str
    digest: bytes
    response: bytes
    expire_ns: int


@dataclass(frozen=True, slots=True)
class ResultsExpiredRecord:
    """Results that expire at or before this time are gone."""

    time_ns: int


Record: TypeAlias = (
    TopicRecord
    | TopicDeletedRecord
    | EntryRecord
    | SegmentRecord
    | EvictedRecord
    | ProducerRecord
    | ProducerNameRecord
    | SubscriptionRecord
    | SubscriptionDeletedRecord
    | CursorRecord
    | DeadLetterRecord
    | DeadLettersRemovedRecord
    | ResultRecord
    | ResultsExpiredRecord
)


@dataclass(slots=True)
class Snapshot:
    """What a store holds when it is opened; entries and dead letters are read when needed.

    Attributes:
        segments: In (log_id, base_offset) order.
        dead_letters: Number of dead letters per topic.
        last_dead_letter_id: Greatest id ever given; 0 = none.
        incarnation: Counts the openings of this store from 1.
        after_crash: Whether the store was not closed the last time.
    """

    topics: Sequence[TopicRecord] = ()
    segments: Sequence[SegmentRecord] = ()
    producers: Sequence[ProducerRecord] = ()
    producer_names: Sequence[ProducerNameRecord] = ()
    subscriptions: Sequence[SubscriptionRecord] = ()
    cursors: Sequence[CursorRecord] = ()
    results: Sequence[ResultRecord] = ()
    dead_letters: dict[str, int] = field(default_factory=dict)
    last_dead_letter_id: int = 0
    incarnation: int = 1
    after_crash: bool = False
