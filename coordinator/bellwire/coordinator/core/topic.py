"""A topic: its settings, its partitions, its counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_UNSPECIFIED, OverflowPolicy
from bellwire.coordinator.core.dedupe import ProducerIds
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.log.memory import MemoryLog
from bellwire.coordinator.log.protocol import Entry
from bellwire.wire.errors import CallerError, NotImplementedYetError

PARTITIONS_MAX: Final = 1_024
RETENTION_MESSAGES_MAX: Final = 100_000_000
RETENTION_BYTES_MAX: Final = 1 << 40


class PriorityClass(IntEnum):
    """Which topics go first; smaller goes first. The numbers are those of the wire."""

    KILL_SWITCH = 1
    CANCEL = 2
    ORDER = 3
    SIGNAL = 4
    TELEMETRY = 5


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """What a topic is created with.

    Attributes:
        partition_count: Partitions, 1..1,024.
        retention_messages: Messages kept per partition.
        retention_bytes: Stored bytes kept per partition.
        overflow_policy: For subscribers that do not choose one; UNSPECIFIED = BLOCK for named
            subscriptions, DROP_OLDEST for ephemeral ones.
        priority_class: Which topics go first.
    """

    partition_count: int
    retention_messages: int
    retention_bytes: int
    overflow_policy: OverflowPolicy.ValueType = OVERFLOW_POLICY_UNSPECIFIED
    priority_class: PriorityClass = PriorityClass.SIGNAL

    def __post_init__(self) -> None:
        if not 1 <= self.partition_count <= PARTITIONS_MAX:
            raise CallerError(
                f"topic cannot have {self.partition_count} partitions, 1 to {PARTITIONS_MAX} are allowed",
                metadata={"partition_count": str(self.partition_count)},
            )
        _check_bound("retention_messages", self.retention_messages, RETENTION_MESSAGES_MAX)
        _check_bound("retention_bytes", self.retention_bytes, RETENTION_BYTES_MAX)


def _check_bound(name: str, found: int, limit: int) -> None:
    if not 1 <= found <= limit:
        raise CallerError(
            f"{name} is {found}, 1 to {limit} are allowed", metadata={name: str(found)}
        )


class TopicStats:
    """Counters since the topic was created; plain integers, read when somebody asks."""

    __slots__ = (
        "delivered_messages",
        "dropped",
        "published_batches",
        "published_bytes",
        "published_messages",
        "published_uncompressed_bytes",
        "refused",
    )

    def __init__(self) -> None:
        self.published_messages = 0
        self.published_batches = 0
        self.published_bytes = 0
        self.published_uncompressed_bytes = 0
        self.delivered_messages = 0
        self.dropped: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def count_append(self, entry: Entry) -> None:
        """Count an appended batch."""
        self.published_messages += entry.count
        self.published_batches += 1
        self.published_bytes += entry.stored_bytes
        self.published_uncompressed_bytes += entry.uncompressed_bytes


class Topic:
    """A named set of partitions.

    Attributes:
        producer_ids: Tells which producers this coordinator knows from their first message.
        on_room: Called with a partition when a cursor with policy BLOCK has moved on in it.
    """

    def __init__(
        self,
        name: str,
        settings: TopicSettings,
        created_ns: int,
        on_room: Callable[[Partition], None],
        producer_ids: ProducerIds | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.created_ns = created_ns
        self.stats = TopicStats()
        self.on_room = on_room
        self.producer_ids = producer_ids or ProducerIds()
        self.partitions = [
            Partition(self, index, MemoryLog()) for index in range(settings.partition_count)
        ]

    def partition(self, index: int) -> Partition:
        """Return a partition.

        Raises:
            CallerError: There is no such partition.
        """
        if not 0 <= index < len(self.partitions):
            raise CallerError(
                f"topic {self.name!r} has partitions 0..{len(self.partitions) - 1}, not {index}",
                metadata={"topic": self.name, "partition": str(index)},
            )
        return self.partitions[index]


def check_log_kind(kind: int) -> None:
    """Refuse logs this server does not have; 0 and 1 mean memory.

    Raises:
        NotImplementedYetError: Durable logs are not served yet.
    """
    if kind not in (0, 1):
        raise NotImplementedYetError(
            f"log kind {kind} is not served yet: create the topic with LOG_KIND_MEMORY",
            metadata={"log": str(kind)},
        )
