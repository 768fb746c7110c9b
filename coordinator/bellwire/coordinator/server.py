"""The coordinator as a server: one process, one event loop, TCP and Unix socket at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Final, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from bellwire.admin.v1 import server_pb2
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.cache.source import ValueSource
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.lane.direct import DirectEnds
from bellwire.coordinator.lane.server import LaneServer
from bellwire.coordinator.listen import SocketLock, bind
from bellwire.coordinator.services.admin import recovery_report
from bellwire.coordinator.services.catalog import SERVICES, servicers_of
from bellwire.coordinator.state import CoordinatorState, Drainable
from bellwire.coordinator.stores import make_store, open_state
from bellwire.transport.address import parse_address
from bellwire.transport.allocator import keep_freed_blocks
from bellwire.transport.lane.address import lane_socket
from bellwire.transport.serving.handlers import service_handler
from bellwire.transport.serving.reflection import add_reflection

SERVICE_NAMES: Final = tuple(service.full_name for service in SERVICES.values())
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
        self._addresses: list[str] = []
        self._locks: list[SocketLock] = []
        self._lanes: list[LaneServer] = []
        self._closed = asyncio.Event()
        self._drain_task: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> list[str]:
        """Addresses served, with the ports chosen."""
        return list(self._addresses)

    async def start(self) -> None:
        """Bind all addresses and serve.

        Raises:
            AddressError, ListenError: An address cannot be served; then none is.
            RedisRefusedError: The Redis of the cache does not let us in.
        """
        keep_freed_blocks()
        handlers = await self._prepare()
        server = self._server = grpc.aio.server(
            options=SERVER_OPTIONS,
            # gRPC's own refusal names no reason; ours come before it.
            maximum_concurrent_rpcs=2 * self.settings.streams_max
            + self.settings.calls_in_flight_max,
        )
        server.add_generic_rpc_handlers(handlers)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        add_reflection(server, [*SERVICE_NAMES, health.SERVICE_NAME])
        try:
            for text in self.settings.listen:
                self._addresses.append(bind(server, text, self._locks))
            if self._state is not None:
                self._state.addresses = self.addresses
            await server.start()
            await self._start_lanes(handlers)
            await self._begin()
        except BaseException:
            await self._stop(0)
            raise

    async def _prepare(self) -> list[grpc.GenericRpcHandler]:
        """Open the store and restore what it holds; return what serves RPCs."""
        state = self._state = await open_state(
            self.settings, make_store(self.settings), self._cache, self._source
        )
        servicers = servicers_of(state)
        return [service_handler(servicers[name], service) for name, service in SERVICES.items()]

    async def _begin(self) -> None:
        """Tell that all addresses are served."""
        assert self._state is not None
        self._set_direct(self._state)
        await self._set_health(serving=True)

    async def _set_health(self, *, serving: bool) -> None:
        """Say whether the services of the bus are served; the process itself is well either way."""
        assert self._health is not None
        answer = health_pb2.HealthCheckResponse
        await self._health.set("", answer.SERVING)
        for name in SERVICE_NAMES:
            await self._health.set(name, answer.SERVING if serving else answer.NOT_SERVING)

    async def _start_lanes(self, handlers: list[grpc.GenericRpcHandler]) -> None:
        """Serve the socket lane beside every address of this host."""
        for text in self.addresses:
            path = lane_socket(parse_address(text))
            if path is None:
                continue
            lane = LaneServer(
                path,
                handlers,
                frame_bytes_max=FRAME_BYTES_MAX,
                connections_max=2 * self.settings.streams_max,
            )
            if await lane.start():
                self._lanes.append(lane)

    def _set_direct(self, state: CoordinatorState | None) -> None:
        """Have every lane hand out ends of this state's direct routes."""
        direct = DirectEnds(state.engine.direct) if state is not None else None
        for lane in self._lanes:
            lane.set_direct(direct)

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
