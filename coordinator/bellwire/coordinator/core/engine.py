"""The engine: everything the coordinator knows, without I/O.

Shells feed it: gRPC streams through `PublishSession` and `SubscribeSession`, time through `tick`, commits
through its journal, entries from the store through `loaded`. So does the simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random, SystemRandom
from typing import Final
from uuid import UUID

from bellwire.admin.v1 import topic_pb2
from bellwire.coordinator.core.bus import Bus
from bellwire.coordinator.core.dead_letters import DeadLetters
from bellwire.coordinator.core.dedupe import INCARNATION_BITS, ProducerIds
from bellwire.coordinator.core.direct import DirectRoutes
from bellwire.coordinator.core.journal import Journal
from bellwire.coordinator.core.leases import Leases
from bellwire.coordinator.core.logs import Logs
from bellwire.coordinator.core.ownership import Ownership
from bellwire.coordinator.core.producer_names import ProducerNames
from bellwire.coordinator.core.results import Results
from bellwire.coordinator.core.topic import LogKind, TopicSettings
from bellwire.coordinator.core.worker import Workers
from bellwire.coordinator.log.durable import DurableLog
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import CursorRecord, SegmentRecord, Snapshot
from bellwire.wire.batch import BatchLimits
from bellwire.wire.errors import BellwireError

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Bounds of an engine; units and reasons are in `CoordinatorSettings`."""

    workers: int = 16
    worker_inbox_batches: int = 1_024
    default_settings: TopicSettings = field(
        default_factory=lambda: TopicSettings(1, 100_000, 32 * MEBIBYTE)
    )
    auto_create_topics: bool = True
    topics_max: int = 10_000
    subscriptions_max: int = 10_000
    limits: BatchLimits = field(default_factory=BatchLimits)
    publish_window_messages: int = 100_000
    publish_window_bytes: int = 32 * MEBIBYTE
    publish_wait_seconds: float = 30.0
    heartbeat_seconds: float = 10.0
    max_attempts: int = 10
    store_queue_bytes: int = 32 * MEBIBYTE
    store_cache_bytes: int = 64 * MEBIBYTE
    results_max: int = 100_000
    result_ttl_seconds: float = 86_400.0
    state_topic: str = ""


class Engine:
    """Topics, subscriptions, producers and what is to be committed for them.

    Args:
        settings: Bounds.
        snapshot: What the store holds; None = nothing.
        has_store: Whether topics may be durable.
        durable_log: Where they are kept then.
        clock_ns: Wall clock, nanoseconds since the Unix epoch.
        random: Where ids come from; give a seeded one and every run is the same.

    Attributes:
        draining: Whether new streams are refused.
        serve_until: Monotonic seconds up to which frames are taken; later they are refused with NOT_OWNER. Only a
            coordinator of a group has such a bound, and moves it.
    """

    def __init__(
        self,
        settings: EngineSettings,
        snapshot: Snapshot | None = None,
        *,
        has_store: bool = False,
        durable_log: LogKind = LogKind.SQLITE,
        clock_ns: Callable[[], int],
        random: Random | None = None,
    ) -> None:
        found = snapshot or Snapshot()
        self.settings = settings
        self.durable_log = durable_log if has_store else None
        self.clock_ns = clock_ns
        self.draining = False
        self.serve_until = inf
        self._random = random or SystemRandom()
        self.journal = Journal(settings.store_queue_bytes)
        self.workers = Workers(settings.workers, settings.worker_inbox_batches, clock_ns)
        self.journal.on_room = self.workers.on_room_everywhere
        self.logs = Logs(self.journal, settings.store_cache_bytes, self._random)
        self.dead_letters = DeadLetters(self.journal, clock_ns, found.last_dead_letter_id)
        producer_ids = ProducerIds(self._random.getrandbits(INCARNATION_BITS))
        self.producer_names = ProducerNames(self.journal, producer_ids, found.producer_names)
        self.results = Results(
            self.journal, settings.results_max, settings.result_ttl_seconds, found.results
        )
        self.bus = Bus(
            settings.default_settings,
            auto_create=settings.auto_create_topics,
            topics_max=settings.topics_max,
            subscriptions_max=settings.subscriptions_max,
            max_attempts=settings.max_attempts,
            on_room=self.workers.on_room,
            journal=self.journal,
            logs=self.logs,
            graveyard=self.dead_letters,
            producer_ids=producer_ids,
            state_topic=settings.state_topic,
        )
        self.leases = Leases(self.bus)
        self.direct = DirectRoutes(self._random)
        self._restore(found)

    def new_id(self) -> str:
        """Return a new random UUID as text."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def tick(self, now: float, now_ns: int) -> None:
        """Do what time alone demands; to be called several times a second.

        Args:
            now: Monotonic clock, seconds.
            now_ns: Wall clock, nanoseconds since the Unix epoch.
        """
        self.workers.expire(now)
        self.leases.expire(now)
        for subscription in self.bus.subscriptions():
            subscription.expire(now)
        for topic in self.bus.kept_by_time.values():
            for partition in topic.partitions:
                partition.expire(now_ns)
        self.results.tick(now, now_ns)

    def share(self, ownership: Ownership) -> list[str]:
        """Serve only topics that are ours, from now on; to be called again when they may be others than before.

        What waits for room in one of another group is refused, and who reads it by its name is told to go there.

        Returns:
            Topics of other groups that hold messages here.
        """
        others = self.bus.share(ownership)
        for topic in others:
            for partition in topic.partitions:
                refusal = ownership.refusal(topic.name)
                self.workers.owner(partition).refuse(partition, refusal)
        for subscription in self.bus.subscriptions():
            error = self.bus.note_elsewhere(subscription)
            if error is not None:
                subscription.fail(error)
        return [topic.name for topic in others if not topic.is_empty]

    # ------------------------------------------------------------ the store

    def loaded(self, log: DurableLog, asked: int, entries: Sequence[Entry]) -> None:
        """Take entries that `logs.wanted` asked for."""
        log.loaded(asked, entries)

    def load_failed(self, log: DurableLog, asked: int, error: BellwireError) -> None:
        """Take note that they cannot be read."""
        log.load_failed(asked, error)

    def _restore(self, found: Snapshot) -> None:
        segments: dict[int, list[SegmentRecord]] = {}
        for segment in found.segments:
            segments.setdefault(segment.log_id, []).append(segment)
        for record in found.topics:
            settings = TopicSettings.from_wire(_topic(record.settings))
            logs = [
                self.logs.durable(log_id, settings, segments.get(log_id, ()))
                for log_id in record.log_ids
            ]
            known = [p for p in found.producers if p.log_id in record.log_ids]
            self.bus.restore_topic(record, logs, known)
        cursors: dict[str, dict[int, CursorRecord]] = {}
        for cursor in found.cursors:
            cursors.setdefault(cursor.subscription, {})[cursor.log_id] = cursor
        for subscription in found.subscriptions:
            self.bus.restore_subscription(subscription, cursors.get(subscription.name, {}))


def _topic(data: bytes) -> topic_pb2.Topic:
    return topic_pb2.Topic.FromString(data)
