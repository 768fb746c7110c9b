"""What all services of one coordinator share."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Protocol

from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.core.bus import Bus
from bellwire.coordinator.core.registry import Registry
from bellwire.coordinator.core.routing import Router
from bellwire.coordinator.core.topic import TopicSettings
from bellwire.coordinator.workers import Workers
from bellwire.wire.errors import CapacityError, UnknownTopicError


class Drainable(Protocol):
    """A stream that can be told that the server is about to go away.

    Attributes:
        reads: True for subscribers, who leave last.
    """

    reads: bool

    def drain(self, *, at_once: bool) -> None:
        """Announce it to the peer: at once, or as soon as that loses nothing."""


class CoordinatorState:
    """The bus, the agent directory and the open streams.

    Attributes:
        streams: Open streams, told when a drain begins.
        draining: Whether new streams are refused.
        changed: Set whenever a stream closes; a drain waits on it.
    """

    def __init__(self, settings: CoordinatorSettings) -> None:
        self.settings = settings
        self.workers = Workers(settings.workers, settings.worker_inbox_batches, time.time_ns)
        self.bus = Bus(
            TopicSettings(
                settings.default_partitions, settings.retention_messages, settings.retention_bytes
            ),
            auto_create=settings.auto_create_topics,
            topics_max=settings.topics_max,
            subscriptions_max=settings.subscriptions_max,
            on_room=self.workers.on_room,
        )
        self.registry = Registry(
            lease_seconds_default=settings.agent_lease_seconds, agents_max=settings.agents_max
        )
        self.router = Router(self.registry)
        self.streams: set[Drainable] = set()
        self.draining = False
        self.stream_closed = asyncio.Event()
        self.addresses: list[str] = []
        self.started_ns = time.time_ns()
        self.pid = os.getpid()

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
            self.workers.owner(partition).refuse(partition, error)

    def close_stream(self, stream: Drainable) -> None:
        """Count a stream as closed."""
        self.streams.discard(stream)
        self.stream_closed.set()

    def begin_drain(self) -> None:
        """Refuse new streams, and tell those that bring something."""
        self.draining = True
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
