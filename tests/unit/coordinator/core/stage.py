"""A bus without a server: topics, members and batches for the tests of the core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_RELEASE,
    ORDERING_PARTITION,
    OVERFLOW_POLICY_BLOCK,
    START_POLICY_EARLIEST,
    Disposition,
    Ordering,
    OverflowPolicy,
    Settlement,
    StartPosition,
)
from bellwire.coordinator.core.engine import Engine, EngineSettings
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.subscription import Subscription
from bellwire.coordinator.core.topic import LogKind, Topic, TopicSettings
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import Record
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import BellwireError, NotOwnerError
from bellwire.wire.message import new_message
from bellwire.wire.window import Window

TOPIC = "bars.1h"
EARLIEST = StartPosition(policy=START_POLICY_EARLIEST)
WIDE = 1 << 30


class Shared:
    """Whoever else there is has some topics."""

    def __init__(self, *others: str) -> None:
        self.others = set(others)

    def owns(self, topic: str) -> bool:
        return topic not in self.others

    def refusal(self, topic: str) -> NotOwnerError:
        return NotOwnerError("elsewhere", metadata={"topic": topic})


class Stage:
    """One bus with one topic, driven by hand.

    Attributes:
        now: The clock the core is told.
        now_ns: The wall clock it is told; 0 = nothing expires.
        rooms: Partitions for which room was announced.
    """

    def __init__(
        self,
        *,
        partitions: int = 1,
        retention_messages: int = 1_000_000,
        retention_bytes: int = WIDE,
        auto_create: bool = True,
        durable: bool = False,
        retention_seconds: int = 0,
        max_attempts: int = 10,
    ) -> None:
        self.now = 100.0
        self.now_ns = 0
        self.rooms: list[Partition] = []
        kind = LogKind.SQLITE if durable else LogKind.MEMORY
        self.engine = Engine(
            EngineSettings(
                default_settings=TopicSettings(
                    partitions,
                    retention_messages,
                    retention_bytes,
                    log=kind,
                    retention_seconds=retention_seconds,
                ),
                auto_create_topics=auto_create,
                topics_max=100,
                subscriptions_max=100,
                max_attempts=max_attempts,
            ),
            has_store=durable,
            clock_ns=lambda: self.now_ns,
            random=Random(7),
        )
        self.bus = self.engine.bus
        self.engine.workers.on_room = self.rooms.append  # type: ignore[method-assign,assignment]
        self.bus._on_room = self.rooms.append
        self.topic = self.bus.create_topic(TOPIC, self.bus.default_settings, 0)
        self._leases = iter(range(1_000_000))

    def subscribe(
        self,
        name: str = "risk",
        *,
        ordering: Ordering.ValueType | Any = ORDERING_PARTITION,
        overflow: OverflowPolicy.ValueType | Any = OVERFLOW_POLICY_BLOCK,
        topics: Sequence[str] = (TOPIC,),
        start: StartPosition = EARLIEST,
        elsewhere: Sequence[str] = (),
    ) -> Subscription:
        """A named subscription, or with an empty name an ephemeral one."""
        if not name:
            return self.bus.open_ephemeral(topics, start, overflow, 0, "somebody")
        return self.bus.open_named(name, topics, start, ordering, overflow, 0, elsewhere=elsewhere)

    def join(
        self, subscription: Subscription, messages: int = 1_000, size_bytes: int = WIDE
    ) -> Member:
        """A member; it counts how often it was woken in `wakes`."""
        lease = f"lease-{next(self._leases)}"
        return subscription.join(lease, Window(messages, size_bytes), lambda: None)

    def publish(
        self, count: int = 1, *, partition: int = 0, topic: Topic | None = None, data: bytes = b""
    ) -> Entry:
        """Append a batch whose messages carry their offset; there must be room."""
        target = (topic or self.topic).partitions[partition]
        if not target.make_room():
            raise AssertionError("there is no room")
        return append(target, count, data)

    def commit(self, error: BellwireError | None = None) -> list[Record]:
        """Commit everything staged, or fail it; return what was in the group."""
        group = self.engine.journal.take()
        if group is None:
            return []
        if error is None:
            self.engine.journal.committed(group)
        else:
            self.engine.journal.failed(group, error)
        return group.records

    def take(self, member: Member, messages_max: int = 1_000) -> Handout | None:
        """The next delivery, now."""
        return member.subscription.next_handout(member, self.now, messages_max, self.now_ns)

    def take_all(self, member: Member, messages_max: int = 1_000) -> list[Handout]:
        """Every delivery that can be made now."""
        return list(self._deliveries(member, messages_max))

    def settle(
        self,
        member: Member,
        first: int,
        last: int,
        disposition: Disposition.ValueType = DISPOSITION_ACCEPT,
        delay_millis: int = 0,
    ) -> None:
        """Settle a range of tags."""
        member.subscription.settle(
            member,
            Settlement(
                first_tag=first, last_tag=last, disposition=disposition, delay_millis=delay_millis
            ),
            self.now,
        )

    def accept(self, member: Member, handout: Handout) -> None:
        """Accept all of a delivery."""
        self.settle(member, handout.first_tag, handout.first_tag + length(handout) - 1)

    def release(self, member: Member, handout: Handout, delay_millis: int = 0) -> None:
        """Give all of a delivery back."""
        last = handout.first_tag + length(handout) - 1
        self.settle(member, handout.first_tag, last, DISPOSITION_RELEASE, delay_millis)

    def _deliveries(self, member: Member, messages_max: int) -> Iterator[Handout]:
        while True:
            handout = self.take(member, messages_max)
            if handout is not None:
                yield handout
            elif member.retry_at is None or member.retry_at > self.now:
                return


def append(
    partition: Partition, count: int, data: bytes = b"", expiries: Sequence[int] = ()
) -> Entry:
    """Append a batch to a partition, whether or not there is room."""
    base = partition.log.end_offset
    messages = [
        new_message(
            data=data or str(base + index).encode(),
            time_unix_nano=base + index,
            expire_time_unix_nano=expiries[index] if expiries else 0,
        )
        for index in range(count)
    ]
    return partition.append(encode_batch(partition.topic.name, partition.index, messages), 0)


def length(handout: Handout) -> int:
    """Messages of a delivery."""
    return handout.last - handout.first


def offsets(handout: Handout | None) -> list[int]:
    """Offsets of a delivery; none when there is none."""
    if handout is None:
        return []
    base = handout.entry.base_offset
    return list(range(base + handout.first, base + handout.last))


def all_offsets(handouts: Sequence[Handout]) -> list[int]:
    """Offsets of several deliveries, in the order delivered."""
    return [offset for handout in handouts for offset in offsets(handout)]


def contents(handout: Handout) -> list[Message]:
    """The messages of a delivery."""
    return list(handout.entry.messages()[handout.first : handout.last])
