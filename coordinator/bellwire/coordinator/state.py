"""What all services of one coordinator share."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from bellwire.admin.v1.server_pb2 import ClusterInfo
from bellwire.coordinator.cache.calls import CallCache
from bellwire.coordinator.cache.latest import LatestKeeper
from bellwire.coordinator.cache.latest_below import LatestBelow
from bellwire.coordinator.cache.redis_latest import RedisLatest
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.cache.source import ValueSource
from bellwire.coordinator.committer import Committer
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.core.bus import Bus
from bellwire.coordinator.core.engine import Engine, EngineSettings
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.registry import Registry
from bellwire.coordinator.core.routing import Router
from bellwire.coordinator.core.topic import LogKind, TopicSettings
from bellwire.coordinator.core.worker import too_late
from bellwire.coordinator.log.records import Snapshot
from bellwire.coordinator.log.store import Store
from bellwire.wire.errors import CapacityError, UnknownTopicError

if TYPE_CHECKING:
    from bellwire.coordinator.federation.federation import Federation

TICK_SECONDS: Final = 0.1  # How late a timeout or a lease may be noticed.
ROOM_POLL_SECONDS: Final = 0.01  # A unary publish over several partitions that waits for room.


class Drainable(Protocol):
    """A stream that can be told that the server is about to go away.

    Attributes:
        reads: True for subscribers, who leave last.
    """

    reads: bool

    def drain(self, *, at_once: bool) -> None:
        """Announce it to the peer: at once, or as soon as that loses nothing."""


class CoordinatorState:
    """The engine, the agent directory and the open streams.

    Args:
        settings: Bounds and folders.
        store: Opened; its snapshot is what the engine begins with.
        snapshot: What the store gave.
        cache: Bounds of the cache; None = the defaults.
        source: Third level of the cache; None = there is none.

    Attributes:
        streams: Open streams, told when a drain begins.
        stream_closed: Set whenever a stream closes; a drain waits on it.
        cache: Answers of cacheable calls.
        latest: Last messages of some topics.
        recovery_millis: How long it took to open the store and restore the engine.
        cluster: Tells what this coordinator is in its group; None = it has none.
        federation: Agents of other coordinators; None = there are none.
    """

    def __init__(
        self,
        settings: CoordinatorSettings,
        store: Store,
        snapshot: Snapshot,
        cache: CacheSettings | None = None,
        source: ValueSource | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.snapshot = snapshot
        self.engine = Engine(
            engine_settings(settings),
            snapshot,
            has_store=store.durable,
            durable_log=LogKind.KAFKA if settings.kafka else LogKind.SQLITE,
            clock_ns=time.time_ns,
        )
        self.committer = Committer(self.engine, store)
        self.registry = Registry(
            lease_seconds_default=settings.agent_lease_seconds, agents_max=settings.agents_max
        )
        self.router = Router(self.registry)
        self.cache = CallCache(
            self.registry,
            cache or CacheSettings(),
            waiting_max=settings.calls_in_flight_max,
            call_seconds=settings.call_timeout_seconds,
            source=source,
            # Not those of other groups: of their messages nobody here hears, be their logs here.
            topics=lambda: self.bus.served,
            has_all_topics=not settings.redis,
        )
        self.latest = self._latest_keeper(cache or CacheSettings())
        self.bus.on_readable = self._on_readable
        self.streams: set[Drainable] = set()
        self.stream_closed = asyncio.Event()
        self.addresses: list[str] = []
        self.cluster: Callable[[], ClusterInfo] | None = None
        self.federation: Federation | None = None
        self.started_ns = time.time_ns()
        self.pid = os.getpid()
        self.recovery_millis = 0
        loop = asyncio.get_running_loop()
        workers = self.engine.workers

        def pump_soon() -> None:
            loop.call_soon(workers.pump)

        workers.on_roomy = pump_soon
        self._loop = loop
        self._ticker = loop.call_later(TICK_SECONDS, self._tick)

    @property
    def bus(self) -> Bus:
        """The engine's bus."""
        return self.engine.bus

    @property
    def draining(self) -> bool:
        """Whether new streams are refused."""
        return self.engine.draining

    async def close(self) -> None:
        """Commit what is left, and close the cache and the store."""
        self._ticker.cancel()
        if self.federation is not None:
            await self.federation.close()
        await self.latest.close()
        await self.cache.close()
        await self.committer.close()

    def _latest_keeper(self, cache: CacheSettings) -> LatestKeeper:
        levels = self.cache.levels
        redis = RedisLatest(levels.redis, cache) if levels.redis and cache.latest else None
        below = LatestBelow(cache, redis, levels.store)
        return LatestKeeper(cache, self.bus, self.committer, self.store, below)

    def join(self, federation: Federation) -> None:
        """Call agents of other coordinators, too, from now on."""
        self.federation = federation
        self.cache.declared_by(federation.fleet)
        federation.start()

    async def room(self, partition: Partition, deadline: float) -> None:
        """Wait a moment for room in a partition.

        Raises:
            TopicFullError, StoreBusyError: The deadline has passed.
        """
        if time.monotonic() >= deadline:
            raise too_late(partition)
        await asyncio.sleep(ROOM_POLL_SECONDS)

    def _on_readable(self, topic: str) -> None:
        self.cache.on_readable(topic)
        self.latest.on_readable(topic)

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(TICK_SECONDS, self._tick)
        self.engine.tick(time.monotonic(), time.time_ns())

    def open_stream(self, stream: Drainable) -> None:
        """Count a stream as open.

        Raises:
            CapacityError: There are too many.
        """
        if len(self.streams) >= self.settings.streams_max:
            raise CapacityError(
                f"{len(self.streams)} streams are open, limit is {self.settings.streams_max}: "
                "share one client per process",
                metadata={"limit": str(self.settings.streams_max)},
            )
        self.streams.add(stream)

    def delete_topic(self, name: str) -> None:
        """Delete a topic and fail what waits for room in it.

        Raises:
            UnknownTopicError: There is none.
        """
        topic = self.bus.existing_topic(name)
        self.bus.delete_topic(name)
        error = UnknownTopicError(f"topic {name!r} was deleted", metadata={"topic": name})
        for partition in topic.partitions:
            self.engine.workers.owner(partition).refuse(partition, error)

    def close_stream(self, stream: Drainable) -> None:
        """Count a stream as closed."""
        self.streams.discard(stream)
        self.stream_closed.set()

    def begin_drain(self) -> None:
        """Refuse new streams, and tell those that bring something."""
        self.engine.draining = True
        for stream in self.writers():
            stream.drain(at_once=True)

    def drain_readers(self, *, at_once: bool) -> None:
        """Tell the subscribers; not at once = each when it has read what waits for it."""
        for stream in tuple(self.streams):
            if stream.reads:
                stream.drain(at_once=at_once)

    def writers(self) -> list[Drainable]:
        """Return the open streams that bring something: publishers and agents."""
        return [stream for stream in self.streams if not stream.reads]


def engine_settings(settings: CoordinatorSettings) -> EngineSettings:
    """Return the engine's part of a coordinator's settings."""
    log = LogKind[settings.default_log.upper()]
    return EngineSettings(
        workers=settings.workers,
        worker_inbox_batches=settings.worker_inbox_batches,
        default_settings=default_topic(settings, log),
        auto_create_topics=settings.auto_create_topics,
        topics_max=settings.topics_max,
        subscriptions_max=settings.subscriptions_max,
        limits=settings.limits,
        publish_window_messages=settings.publish_window_messages,
        publish_window_bytes=settings.publish_window_bytes,
        publish_wait_seconds=settings.publish_wait_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        max_attempts=settings.max_attempts,
        store_queue_bytes=settings.store_queue_bytes,
        store_cache_bytes=settings.store_cache_bytes,
        results_max=settings.results_max,
        result_ttl_seconds=settings.result_ttl_seconds,
        state_topic=settings.state_topic,
    )


def default_topic(settings: CoordinatorSettings, log: LogKind) -> TopicSettings:
    """Return what a topic of that log gets where its creator does not say."""
    durable = log is not LogKind.MEMORY
    return TopicSettings(
        settings.default_partitions,
        settings.durable_retention_messages if durable else settings.retention_messages,
        settings.durable_retention_bytes if durable else settings.retention_bytes,
        log=log,
    )
