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


class Drainable(Protocol):
    """A stream that can be told that the server is about to go away."""

    def drain(self) -> None:
        """Announce it to the peer."""


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
        """Count a stream as open."""
        self.streams.add(stream)
        if self.draining:
            stream.drain()

    def close_stream(self, stream: Drainable) -> None:
        """Count a stream as closed."""
        self.streams.discard(stream)
        self.stream_closed.set()

    def begin_drain(self) -> None:
        """Tell every open stream, once."""
        if self.draining:
            return
        self.draining = True
        for stream in tuple(self.streams):
            stream.drain()
