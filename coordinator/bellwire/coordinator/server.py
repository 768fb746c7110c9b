"""The coordinator as a server: one process, one event loop, TCP and Unix socket at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Final, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from bellwire.admin.v1 import dead_letter_pb2, server_pb2, topic_pb2
from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.bus.v1 import publisher_pb2, subscriber_pb2
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.cache.source import ValueSource
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.lane.direct import DirectEnds
from bellwire.coordinator.lane.server import LaneServer
from bellwire.coordinator.listen import SocketLock, bind
from bellwire.coordinator.log.memory_store import MemoryStore
from bellwire.coordinator.log.store import Store
from bellwire.coordinator.reflection import add_reflection
from bellwire.coordinator.services.admin import ServerService, TopicService, recovery_report
from bellwire.coordinator.services.agent import AgentService
from bellwire.coordinator.services.dead_letter import DeadLetterService
from bellwire.coordinator.services.handlers import add_service
from bellwire.coordinator.services.invocation import Dispatcher, InvocationService
from bellwire.coordinator.services.mcp import McpService
from bellwire.coordinator.services.publisher import PublisherService
from bellwire.coordinator.services.subscriber import SubscriberService
from bellwire.coordinator.state import CoordinatorState, Drainable
from bellwire.mcp.v1 import mcp_pb2
from bellwire.transport.address import parse_address
from bellwire.transport.lane.address import lane_socket
from bellwire.wire.settings import SettingsError

# How the grace of a drain is spent: publishers and agents first, then subscribers read what is left.
WRITERS_SHARE: Final = 0.3
READERS_SHARE: Final = 0.5
LAST_SHARE: Final = 0.2
STOP_GRACE_SECONDS: Final = 0.2  # After the drain: what still runs is only being told, then ended.
FRAME_BYTES_MAX: Final = 4 << 20
SERVER_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # Two servers on one port would each get half of the clients.
    # Clients ping every 20 s, also when idle. The name is the C core's: gRPC takes an unknown one in silence.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_time_ms", 20_000),  # A subscriber that vanished holds partitions: find out.
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Bandwidth probes are pings too, and while one is unanswered its own 60 s count instead of the keepalive's.
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
)


class Coordinator:
    """A running coordinator.

    Example:
        async with Coordinator(CoordinatorSettings(listen=("127.0.0.1:0",))) as coordinator:
            print(coordinator.addresses)
            await coordinator.wait_closed()
    """

    def __init__(
        self,
        settings: CoordinatorSettings | None = None,
        cache: CacheSettings | None = None,
        source: ValueSource | None = None,
    ) -> None:
        """Prepare a coordinator; `start` opens and serves it.

        Args:
            settings: Bounds, folders and addresses.
            cache: Of the cache; cacheable is what agents declare so.
            source: Third level of the cache.
        """
        self.settings = settings or CoordinatorSettings()
        self._cache = cache
        self._source = source
        self._state: CoordinatorState | None = None
        self._server: grpc.aio.Server | None = None
        self._health: health.aio.HealthServicer | None = None
        self._locks: list[SocketLock] = []
        self._lanes: list[LaneServer] = []
        self._closed = asyncio.Event()
        self._drain_task: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> list[str]:
        """Addresses served, with the ports chosen."""
        return list(self._state.addresses) if self._state is not None else []

    async def start(self) -> None:
        """Bind all addresses and serve.

        Raises:
            AddressError, ListenError: An address cannot be served; then none is.
            RedisRefusedError: The Redis of the cache does not let us in.
        """
        state = self._state = await self._open()
        server = self._server = grpc.aio.server(
            options=SERVER_OPTIONS,
            # gRPC's own refusal names no reason; ours come before it.
            maximum_concurrent_rpcs=2 * self.settings.streams_max
            + self.settings.calls_in_flight_max,
        )
        handlers: list[grpc.GenericRpcHandler] = []
        names = add_services(server, state, handlers)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        add_reflection(server, [*names, health.SERVICE_NAME])
        try:
            state.addresses = [bind(server, text, self._locks) for text in self.settings.listen]
            await server.start()
            await self._start_lanes(state, handlers)
        except BaseException:
            await self._stop(0)
            raise
        for name in ("", *names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def _start_lanes(
        self, state: CoordinatorState, handlers: list[grpc.GenericRpcHandler]
    ) -> None:
        """Serve the socket lane beside every address of this host."""
        direct = DirectEnds(state.engine.direct)
        for text in self.addresses:
            path = lane_socket(parse_address(text))
            if path is None:
                continue
            lane = LaneServer(
                path,
                handlers,
                frame_bytes_max=FRAME_BYTES_MAX,
                connections_max=2 * self.settings.streams_max,
                direct=direct,
            )
            if await lane.start():
                self._lanes.append(lane)

    async def _open(self) -> CoordinatorState:
        """Open the store and restore what it holds."""
        began = time.monotonic()
        store = open_store(self.settings)
        loop = asyncio.get_running_loop()
        snapshot = await loop.run_in_executor(None, store.load)
        state = CoordinatorState(self.settings, store, snapshot, self._cache, self._source)
        try:
            await state.cache.open()
            state.latest.warm()
        except BaseException:
            await state.close()
            raise
        state.recovery_millis = int((time.monotonic() - began) * 1_000)
        return state

    def recovery(self) -> server_pb2.RecoveryReport | None:
        """Return what was found at the start; None without a durable store."""
        state = self._state
        return recovery_report(state) if state is not None and state.store.durable else None

    async def drain(self) -> None:
        """Stop in order: refuse new streams, tell the open ones, wait for them, stop.

        Waits at most `drain_grace_seconds`. A second call waits for the first.
        """
        if self._drain_task is None:
            self._drain_task = asyncio.create_task(self._drain())
        await asyncio.shield(self._drain_task)

    async def wait_closed(self) -> None:
        """Wait until the server has stopped."""
        await self._closed.wait()

    async def close(self) -> None:
        """Stop at once; streams end with UNAVAILABLE and their clients resume elsewhere or later."""
        if self._drain_task is not None:
            self._drain_task.cancel()
            await asyncio.gather(self._drain_task, return_exceptions=True)
        await self._stop(0)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _drain(self) -> None:
        state = self._state
        if state is None or self._health is None:
            return
        await self._health.enter_graceful_shutdown()
        grace = self.settings.drain_grace_seconds
        state.begin_drain()
        await self._gone(state, state.writers, grace * WRITERS_SHARE)
        state.drain_readers(at_once=False)
        await self._gone(state, lambda: state.streams, grace * READERS_SHARE)
        # Those who have not left by then are cut; they resume by position.
        state.drain_readers(at_once=True)
        await self._gone(state, lambda: state.streams, grace * LAST_SHARE)
        await self._stop(STOP_GRACE_SECONDS)

    async def _gone(
        self,
        state: CoordinatorState,
        streams: Callable[[], Collection[Drainable]],
        timeout_seconds: float,
    ) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while streams():
                    state.stream_closed.clear()
                    await state.stream_closed.wait()

    async def _stop(self, grace_seconds: float) -> None:
        await asyncio.gather(*(lane.close() for lane in self._lanes))
        self._lanes.clear()
        if self._server is not None:
            await self._server.stop(grace_seconds)
            self._server = None
            if self._state is not None:
                # gRPC has cancelled what serves them, and does not wait for its end.
                state = self._state
                await self._gone(state, lambda: state.streams, STOP_GRACE_SECONDS)
        if self._state is not None:
            await self._state.close()
        for lock in self._locks:
            lock.release()
        self._locks.clear()
        self._closed.set()


def open_store(settings: CoordinatorSettings) -> Store:
    """Return the store the settings ask for, not yet loaded.

    Raises:
        SettingsError: Its package is not installed.
    """
    if settings.kafka:
        return _kafka_store(settings)
    if not settings.data:
        return MemoryStore(
            dead_letters_max=settings.dead_letters_max, results_max=settings.results_max
        )
    # Only here: who keeps everything in memory need not load SQLite.
    from bellwire.coordinator.log.sqlite.store import SqliteStore

    return SqliteStore(settings.data, checkpoint_pages=settings.store_checkpoint_pages)


def _kafka_store(settings: CoordinatorSettings) -> Store:
    try:
        from bellwire.coordinator.log.kafka import KafkaSettings, KafkaStore
    except ImportError as error:
        raise SettingsError(
            "coordinator",
            "kafka",
            settings.kafka,
            "empty without aiokafka; install bellwire[kafka]",
        ) from error
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # The store says what comes of it.
    return KafkaStore(
        KafkaSettings(settings.kafka, settings.kafka_state_topic, settings.kafka_replication_factor)
    )


def add_services(
    server: grpc.aio.Server,
    state: CoordinatorState,
    handlers: list[grpc.GenericRpcHandler] | None = None,
) -> list[str]:
    """Add every service of the contract; return their full names, and note what serves them."""
    dispatcher = Dispatcher(state)
    services = (
        (PublisherService(state), publisher_pb2, "PublisherService"),
        (SubscriberService(state), subscriber_pb2, "SubscriberService"),
        (AgentService(state, dispatcher.on_open), agent_pb2, "AgentService"),
        (InvocationService(state, dispatcher), invocation_pb2, "InvocationService"),
        (McpService(state, dispatcher), mcp_pb2, "McpService"),
        (TopicService(state), topic_pb2, "TopicService"),
        (ServerService(state), server_pb2, "ServerService"),
        (DeadLetterService(state), dead_letter_pb2, "DeadLetterService"),
    )
    return [
        add_service(server, servicer, file.DESCRIPTOR.services_by_name[name], handlers)
        for servicer, file, name in services
    ]
