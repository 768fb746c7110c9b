"""Streams between clients and the coordinator: in order, delayed, and now and then broken.

A stream stands for a TCP connection of its own: frames never overtake each other within it, and are never
lost while it lives. It may be cut, with frames on their way lost in either direction; it may be half-open,
so that frames vanish until somebody's keepalive ends it; and a partition delays everything until it heals.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Final, Protocol

import grpc
from tests.simulation.clock import VirtualLoop

from bellwire.transport.serving.status import DETAILS_KEY, rich_status
from bellwire.wire.errors import BellwireError

FRAMES_BUFFERED_MAX: Final = 16  # What socket buffers and HTTP/2 windows hold; then writers wait.
LATENCY_SECONDS_MIN: Final = 0.0002
LATENCY_SECONDS_MAX: Final = 0.004
LATE_SECONDS_MAX: Final = 0.1  # One frame in fifty is this late: lost once, sent again by TCP.
LATE_SHARE: Final = 0.02
KEEPALIVE_SECONDS: Final = 3.0  # After which a server that hears nothing ends a stream.
LOSS_SHARE: Final = 0.7  # Of broken directions that lose what was on its way.

_CONNECT: Final = object()
_HALF_CLOSE: Final = object()
_BROKEN: Final = object()


class ServerEnd(Protocol):
    """What the coordinator does with a stream."""

    def on_data(self, data: bytes) -> None:
        """Take a frame."""

    def on_half_close(self) -> None:
        """The peer sends nothing more."""

    def on_broken(self) -> None:
        """The connection is gone."""

    def on_room(self) -> None:
        """More may be sent."""


class Server(Protocol):
    """Who accepts streams."""

    def accept(self, stream: Stream) -> ServerEnd | None:
        """Serve a stream; None = nobody listens."""


class Network:
    """All streams, and what is wrong between their ends.

    Args:
        loop: Tells and keeps the time.
        random: Decides everything left to chance.
        server: Who accepts streams.
    """

    def __init__(self, loop: VirtualLoop, random: Random, server: Server) -> None:
        self.loop = loop
        self.random = random
        self.server = server
        self.streams: dict[Stream, None] = {}  # A set that keeps its order.
        self.frames = 0
        self._healed: dict[str, float] = {}

    def latency(self) -> float:
        """Return how long the next frame takes."""
        draw = self.random.random
        if draw() < LATE_SHARE:
            return draw() * LATE_SECONDS_MAX
        return LATENCY_SECONDS_MIN + draw() * (LATENCY_SECONDS_MAX - LATENCY_SECONDS_MIN)

    def partition(self, client: str, seconds: float) -> None:
        """Let nothing pass between a client and the coordinator for a while."""
        self._healed[client] = self.loop.time() + seconds
        if seconds > KEEPALIVE_SECONDS:
            for stream in tuple(self.streams):
                if stream.client == client:
                    self.loop.call_later(KEEPALIVE_SECONDS, stream.server_gives_up)

    def heal(self) -> None:
        """End every partition."""
        self._healed.clear()
        for stream in self.streams:
            stream.upward.hurry()
            stream.downward.hurry()

    def healed_at(self, client: str) -> float:
        """Return when something from or to a client can arrive."""
        return self._healed.get(client, 0.0)


def unavailable(text: str) -> grpc.aio.AioRpcError:
    """Return what gRPC raises when a connection breaks."""
    return _rpc_error(grpc.StatusCode.UNAVAILABLE, text, grpc.aio.Metadata())


def deadline_exceeded() -> grpc.aio.AioRpcError:
    """Return what gRPC raises when a deadline passes."""
    code = grpc.StatusCode.DEADLINE_EXCEEDED
    return _rpc_error(code, "Deadline Exceeded", grpc.aio.Metadata())


def refusal(error: BellwireError) -> grpc.aio.AioRpcError:
    """Return what gRPC raises for an error the coordinator ended an RPC with."""
    status = rich_status(error)
    trailers = grpc.aio.Metadata((DETAILS_KEY, status.SerializeToString()))
    return _rpc_error(_CODES[status.code], status.message, trailers)


def _rpc_error(
    code: grpc.StatusCode, text: str, trailers: grpc.aio.Metadata
) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, text, None)


_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class Pipe:
    """One direction of a stream.

    Attributes:
        swallows: Whether everything sent vanishes.
    """

    def __init__(
        self,
        network: Network,
        client: str,
        deliver: Callable[[Any], None],
        on_room: Callable[[], None],
    ) -> None:
        self._network = network
        self._client = client
        self._deliver = deliver
        self._on_room = on_room
        self._queue: deque[tuple[float, Any]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.swallows = False

    @property
    def has_room(self) -> bool:
        """Whether a writer need not wait."""
        return len(self._queue) < FRAMES_BUFFERED_MAX

    def send(self, item: Any) -> None:
        """Put something on its way."""
        if self.swallows:
            return
        at = self._network.loop.time() + self._network.latency()
        if self._queue:
            at = max(at, self._queue[-1][0])
        self._queue.append((at, item))
        if self._timer is None:
            self._arm()

    def end(self, item: Any) -> None:
        """Break: what is on its way may be lost; then comes `item`, and then nothing."""
        if self.swallows:
            return  # It is broken already.
        if self._network.random.random() < LOSS_SHARE:
            self._queue.clear()
            self._stop()
        self.send(item)
        self.swallows = True

    def hurry(self) -> None:
        """Look again when the next frame arrives: a partition has ended."""
        if self._timer is not None:
            self._stop()
            self._arm()

    def drop(self) -> None:
        """Lose what is on its way; nothing comes any more."""
        self._queue.clear()
        self._stop()
        self.swallows = True

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        at = max(self._queue[0][0], self._network.healed_at(self._client))
        self._timer = self._network.loop.call_at(at, self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        if self._network.healed_at(self._client) > self._network.loop.time():
            self._arm()
            return
        _, item = self._queue.popleft()
        if self._queue:
            self._arm()
        self._deliver(item)
        self._on_room()


class Stream:
    """A bidirectional stream, and the call object that a client's link holds.

    Attributes:
        client: Who opened it.
        on_frame: Shown every frame that the client reads.
    """

    def __init__(
        self,
        network: Network,
        client: str,
        method: str,
        serialize: Callable[[Any], bytes],
        parse: Callable[[bytes], Any],
    ) -> None:
        self.client = client
        self.method = method
        self._network = network
        self._serialize = serialize
        self._parse = parse
        self._server: ServerEnd | None = None
        self._inbox: deque[Any] = deque()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._ended = False  # As far as the client knows.
        self.on_frame: Callable[[Any], None] = _ignore
        self.upward = Pipe(network, client, self._to_server, self._writable.set)
        self.downward = Pipe(network, client, self._to_client, self._tell_room)
        network.streams[self] = None
        self.upward.send(_CONNECT)

    # ------------------------------------------------------------ for the client, as grpc.aio's call

    async def write(self, frame: Any) -> None:
        """Send a frame, once there is room for it."""
        while not self.upward.has_room and not self._ended:
            self._writable.clear()
            await self._writable.wait()
        if self._ended:
            raise asyncio.InvalidStateError("the RPC is finished")
        self.inject(frame)

    def inject(self, frame: Any) -> None:
        """Send a frame at once, whether or not the client knows of it."""
        self._network.frames += 1
        self.upward.send(self._serialize(frame))

    async def read(self) -> Any:
        """Return the next frame or EOF; raise what ended the stream."""
        while not self._inbox:
            self._arrived.clear()
            await self._arrived.wait()
        item = self._inbox[0]
        if isinstance(item, BaseException):
            raise item
        if item is grpc.aio.EOF:
            return item
        self._inbox.popleft()
        frame = self._parse(item)
        self.on_frame(frame)
        return frame

    async def done_writing(self) -> None:
        """End the client's half."""
        self.upward.send(_HALF_CLOSE)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Who asks for the status has no need of it: none is ever replaced here."""

    def cancel(self) -> bool:
        """End the stream: by the client, or by the kernel when the client's process is gone."""
        if self._ended:
            return False
        self._end(asyncio.CancelledError())
        self.upward.end(_BROKEN)
        self._network.streams.pop(self, None)
        return True

    # ------------------------------------------------------------ for the server

    @property
    def is_served(self) -> bool:
        """Whether the coordinator holds its end."""
        return self._server is not None

    @property
    def has_room(self) -> bool:
        """Whether the server may send without waiting."""
        return self.downward.has_room

    def send(self, frame: Any) -> None:
        """Send a frame to the client."""
        self._network.frames += 1
        self.downward.send(frame.SerializeToString())

    def finish(self, error: BellwireError | None) -> None:
        """End the stream with a status, behind everything sent."""
        self._server = None
        self.downward.send(grpc.aio.EOF if error is None else refusal(error))
        self.downward.swallows = True
        self._network.streams.pop(self, None)

    # ------------------------------------------------------------ faults

    def cut(self) -> None:
        """Break the connection: what is on its way may be lost, and both ends learn of it."""
        self.upward.end(_BROKEN)
        self.downward.end(unavailable("connection reset"))
        self._network.streams.pop(self, None)

    def crash(self) -> None:
        """The server's process is gone: the kernel tells the client."""
        self._server = None
        self.upward.drop()
        self.downward.end(unavailable("connection reset by a dying coordinator"))
        self._network.streams.pop(self, None)

    def vanish(self, *, up: bool, down: bool) -> None:
        """Let frames vanish in one or both directions, until a keepalive notices."""
        if up:
            self.upward.drop()
        if down:
            self.downward.drop()
        self._network.loop.call_later(KEEPALIVE_SECONDS, self.server_gives_up)

    def server_gives_up(self) -> None:
        """Let the server's keepalive end the stream; the client has to notice by itself."""
        server, self._server = self._server, None
        if server is not None:
            self.upward.drop()
            self.downward.drop()
            self._network.streams.pop(self, None)
            server.on_broken()

    # ------------------------------------------------------------ arrivals

    def _to_server(self, item: Any) -> None:
        if item is _CONNECT:
            self._server = self._network.server.accept(self)
            if self._server is None:
                self.upward.drop()
                self.downward.end(unavailable("connection refused"))
                self._network.streams.pop(self, None)
            return
        server = self._server
        if server is None:
            return
        if item is _BROKEN:
            self._server = None
            server.on_broken()
        elif item is _HALF_CLOSE:
            server.on_half_close()
        else:
            server.on_data(item)

    def _to_client(self, item: Any) -> None:
        if self._ended:
            return
        if isinstance(item, BaseException) or item is grpc.aio.EOF:
            self._end(item)
            return
        self._inbox.append(item)
        self._arrived.set()

    def _tell_room(self) -> None:
        if self._server is not None:
            self._server.on_room()

    def _end(self, item: Any) -> None:
        if self._ended:
            return
        self._ended = True
        self._inbox.append(item)
        self._arrived.set()
        self._writable.set()


def _ignore(frame: Any) -> None:
    """Nobody looks."""
