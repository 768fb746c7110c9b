"""A topic: its settings, its partitions, its counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bellwire.admin.v1 import topic_pb2 as pb
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_UNSPECIFIED, OverflowPolicy
from bellwire.coordinator.core.dedupe import ProducerIds
from bellwire.coordinator.core.journal import Journal
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.log.protocol import Entry, PartitionLog
from bellwire.coordinator.log.records import ProducerRecord, TopicRecord
from bellwire.wire.errors import CallerError

PARTITIONS_MAX: Final = 1_024
RETENTION_MESSAGES_MAX: Final = 100_000_000_000
RETENTION_BYTES_MAX: Final = 1 << 44
RETENTION_SECONDS_MAX: Final = 10 * 366 * 86_400
OWNER_BYTES_MAX: Final = 256  # Of tenant and account.


class LogKind(IntEnum):
    """Where a topic's messages are kept. The numbers are those of the wire."""

    MEMORY = 1
    SQLITE = 2
    KAFKA = 3


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
        log: Where messages are kept.
        retention_seconds: Messages older than this are dropped; 0 = none are for their age.
        tenant: Reserved.
        account: Reserved.
        direct_policy: Whether a message may reach a subscriber before it is appended.
    """

    partition_count: int
    retention_messages: int
    retention_bytes: int
    overflow_policy: OverflowPolicy.ValueType = OVERFLOW_POLICY_UNSPECIFIED
    priority_class: PriorityClass = PriorityClass.SIGNAL
    log: LogKind = LogKind.MEMORY
    retention_seconds: int = 0
    tenant: str = ""
    account: str = ""
    direct_policy: pb.DirectPolicy.ValueType = pb.DIRECT_POLICY_ALLOW

    def __post_init__(self) -> None:
        if not 1 <= self.partition_count <= PARTITIONS_MAX:
            raise CallerError(
                f"topic cannot have {self.partition_count} partitions, 1 to {PARTITIONS_MAX} are allowed",
                metadata={"partition_count": str(self.partition_count)},
            )
        _check_bound("retention_messages", self.retention_messages, RETENTION_MESSAGES_MAX)
        _check_bound("retention_bytes", self.retention_bytes, RETENTION_BYTES_MAX)
        _check_bound("retention_seconds", self.retention_seconds, RETENTION_SECONDS_MAX, least=0)
        for label, text in (("tenant", self.tenant), ("account", self.account)):
            if len(text.encode()) > OWNER_BYTES_MAX:
                raise CallerError(
                    f"{label} has {len(text.encode())} bytes, limit is {OWNER_BYTES_MAX}",
                    metadata={"field": label},
                )

    def to_wire(self, name: str, created_ns: int) -> pb.Topic:
        """Describe a topic with these settings."""
        return pb.Topic(
            name=name,
            partition_count=self.partition_count,
            log=pb.LogKind.ValueType(self.log),
            retention_messages=self.retention_messages,
            retention_bytes=self.retention_bytes,
            retention_seconds=self.retention_seconds,
            overflow_policy=self.overflow_policy,
            priority_class=pb.PriorityClass.ValueType(self.priority_class),
            create_time_unix_nano=created_ns,
            tenant=self.tenant,
            account=self.account,
            direct_policy=self.direct_policy,
        )

    @classmethod
    def from_wire(cls, topic: pb.Topic) -> TopicSettings:
        """Read what `to_wire` wrote."""
        return cls(
            topic.partition_count,
            topic.retention_messages,
            topic.retention_bytes,
            topic.overflow_policy,
            PriorityClass(topic.priority_class),
            LogKind(topic.log),
            topic.retention_seconds,
            topic.tenant,
            topic.account,
            topic.direct_policy or pb.DIRECT_POLICY_ALLOW,
        )


def _check_bound(name: str, found: int, limit: int, *, least: int = 1) -> None:
    if not least <= found <= limit:
        raise CallerError(
            f"{name} is {found}, {least} to {limit} are allowed", metadata={name: str(found)}
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

    def count_append(self, entry: Entry, times: int = 1) -> None:
        """Count an appended batch, or with -1 one that was taken back."""
        self.published_messages += times * entry.count
        self.published_batches += times
        self.published_bytes += times * entry.stored_bytes
        self.published_uncompressed_bytes += times * entry.uncompressed_bytes


def _nobody(_: str) -> None:
    """Nobody wants to know."""


class Topic:
    """A named set of partitions.

    Attributes:
        journal: Where its durable partitions leave what is to be committed.
        producer_ids: Tells which producers this coordinator knows from their first message.
        on_room: Called with a partition when a cursor with policy BLOCK has moved on in it.
        on_readable: Called with its name when more of it can be read.
    """

    def __init__(
        self,
        name: str,
        settings: TopicSettings,
        created_ns: int,
        on_room: Callable[[Partition], None],
        logs: Sequence[PartitionLog],
        journal: Journal,
        producer_ids: ProducerIds,
        producers: Iterable[ProducerRecord] = (),
        on_readable: Callable[[str], None] = _nobody,
    ) -> None:
        self.name = name
        self.settings = settings
        self.created_ns = created_ns
        self.stats = TopicStats()
        self.on_room = on_room
        self.on_readable = on_readable
        self.journal = journal
        self.producer_ids = producer_ids
        known = list(producers)
        self.partitions = [
            Partition(self, index, log, [p for p in known if p.log_id == log.log_id])
            for index, log in enumerate(logs)
        ]

    @property
    def is_durable(self) -> bool:
        """Whether its messages survive the process."""
        return self.settings.log is not LogKind.MEMORY

    @property
    def is_empty(self) -> bool:
        """Whether no message is kept in it."""
        return all(p.log.low_offset == p.log.end_offset for p in self.partitions)

    @property
    def direct_obstacle(self) -> str:
        """Why no subscriber may have a message before it is appended; empty = it may."""
        if self.is_durable:
            return "is durable"
        return "forbids it" if self.settings.direct_policy == pb.DIRECT_POLICY_FORBID else ""

    def describe(self) -> pb.Topic:
        """Return it as the wire describes it."""
        return self.settings.to_wire(self.name, self.created_ns)

    def record(self) -> TopicRecord:
        """Return it as the store keeps it."""
        log_ids = tuple(partition.log.log_id for partition in self.partitions)
        return TopicRecord(self.name, self.describe().SerializeToString(), log_ids)

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


_STARTED_WITH: Final = {LogKind.SQLITE: "--data DIR", LogKind.KAFKA: "--kafka HOST:PORT"}


def log_kind(kind: int, default: LogKind, durable: LogKind | None) -> LogKind:
    """Return the log a topic gets; 0 = the default.

    Args:
        kind: What was asked for.
        default: Of this coordinator.
        durable: Where it keeps durable topics; None = it has none.

    Raises:
        CallerError: This coordinator has no such log, and how to start one that has.
    """
    if kind == 0:
        return default
    if kind in (LogKind.MEMORY, durable):
        return LogKind(kind)
    if kind not in {int(known) for known in LogKind}:
        raise CallerError(
            f"log kind {kind} is not known: create the topic with LOG_KIND_MEMORY, LOG_KIND_SQLITE or LOG_KIND_KAFKA",
            metadata={"log": str(kind)},
        )
    name = f"LOG_KIND_{LogKind(kind).name}"
    instead = f"; durable topics of this one are LOG_KIND_{durable.name}" if durable else ""
    raise CallerError(
        f"{name} needs a coordinator started with `bellwire serve {_STARTED_WITH[LogKind(kind)]}`{instead}",
        metadata={"log": name},
    )
