"""Serves RPCs over the socket lane: the same servicers, without gRPC between."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

import grpc

from bellwire.coordinator.lane.context import Aborted, LaneContext, Rpc
from bellwire.coordinator.lane.direct import DirectEnds
from bellwire.coordinator.lane.peer import Peer
from bellwire.coordinator.lane.turns import Turns
from bellwire.transport.lane.connection import FrameConnection
from bellwire.transport.lane.frames import End, Kind
from bellwire.wire.errors import CallerError

__all__ = ["LaneServer"]

_log = logging.getLogger("bellwire.coordinator")

BACKLOG: Final = 128  # Connections not accepted yet; more are refused, and use gRPC.
OPEN_SECONDS: Final = 10.0  # Within which a peer says what it wants.
PARTING_SECONDS: Final = 5.0  # Within which a peer that was told the status closes.


class LaneServer:
    """Accepts connections on a Unix socket, a stream each.

    Args:
        path: Of the socket: a file only its owner may connect to, or an abstract name, open as a port is.
        handlers: What the gRPC server serves.
        frame_bytes_max: Longest frame taken.
        connections_max: Connections at a time; more are closed at once.
    """

    def __init__(
        self,
        path: str,
        handlers: Iterable[grpc.GenericRpcHandler],
        *,
        frame_bytes_max: int,
        connections_max: int,
    ) -> None:
        self.path = path
        self._handlers = tuple(handlers)
        self._frame_bytes_max = frame_bytes_max
        self._connections_max = connections_max
        self._turns = Turns()
        self._direct: DirectEnds | None = None
        self._tasks: dict[asyncio.Task[None], FrameConnection] = {}
        self._server: asyncio.AbstractServer | None = None

    def set_direct(self, direct: DirectEnds | None) -> None:
        """Hand out ends of these direct routes: one for all lanes, whose clients may reach each other."""
        if self._direct is not None:
            self._direct.close()
        self._direct = direct

    async def start(self) -> bool:
        """Listen; False where that is not possible, and clients use gRPC."""
        if not self._is_abstract:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)  # Whoever holds the address's lock owns this name, too.
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(self.path)
        except OSError as error:
            listener.close()
            _log.warning("no socket lane at %r: %s", self.path, error.strerror)
            return False
        if not self._is_abstract:
            os.chmod(self.path, 0o600)
        listener.listen(BACKLOG)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._accepted, sock=listener)
        return True

    @property
    def _is_abstract(self) -> bool:
        return self.path.startswith("\0")

    def _accepted(self) -> FrameConnection:
        return _Accepted(self._frame_bytes_max, self._begin)

    def _begin(self, connection: FrameConnection, sock: Any) -> None:
        if len(self._tasks) >= self._connections_max:
            connection.abort()
            return
        task = asyncio.create_task(self._serve(connection, sock), name="socket lane")
        self._tasks[task] = connection
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, connection: FrameConnection, sock: Any) -> None:
        peer = Peer.of(sock)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                frame = await connection.read()
        except (TimeoutError, CallerError):
            frame = None
        if frame is not None and frame[0] == Kind.DIRECT:
            if self._direct is not None:
                await self._direct.hand_out(frame[1], peer.pid, connection, sock)
            connection.abort()
            return
        if frame is None or frame[0] != Kind.OPEN:
            connection.abort()
            return
        method = frame[1].decode(errors="replace")
        rpc = self._rpc(method)
        if rpc is None:
            code = grpc.StatusCode.UNIMPLEMENTED.value[0]
            end = End(code, f"the socket lane does not serve {method}")
        else:
            end = await self._carry_out(rpc, connection, peer)
        await self._part(connection, end)

    async def _carry_out(self, rpc: Rpc, connection: FrameConnection, peer: Peer) -> End:
        """Run an RPC to its end; one whose peer is gone is cancelled."""
        context = LaneContext(self._turns, connection, rpc, peer)
        serving = asyncio.ensure_future(rpc.behavior(None, context))
        connection.closed.add_done_callback(lambda _: serving.cancel())
        try:
            await serving
        except Aborted as aborted:
            return aborted.end
        except asyncio.CancelledError:
            connection.abort()
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]  # It runs in one.
                serving.cancel()
                await asyncio.wait([serving])
                raise
        return End(0)

    async def _part(self, connection: FrameConnection, end: End) -> None:
        """Send the status, and leave it to the peer to close: who writes into a closed socket reads no more."""
        if not connection.closed.done():
            connection.send(Kind.END, end.encode())
            connection.send_eof()
            await asyncio.wait([connection.closed], timeout=PARTING_SECONDS)
        connection.abort()

    def _rpc(self, method: str) -> Rpc | None:
        details: Any = _Details(method)
        for handler in self._handlers:
            found: Any = handler.service(details)
            if found is not None and found.stream_stream:
                return Rpc(
                    found.stream_stream, found.request_deserializer, found.response_serializer
                )
        return None

    async def close(self) -> None:
        """Stop listening, and end every RPC."""
        self.set_direct(None)
        if self._server is not None:
            self._server.close()
            if not self._is_abstract:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path)
        serving = dict(self._tasks)
        for task, connection in serving.items():
            task.cancel()
            connection.abort()
        await asyncio.gather(
            *serving, *(c.closed for c in serving.values()), return_exceptions=True
        )


class _Accepted(FrameConnection):
    def __init__(self, frame_bytes_max: int, begin: Callable[[FrameConnection, Any], None]) -> None:
        super().__init__(frame_bytes_max)
        self._begin = begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and serve what is asked for."""
        super().connection_made(transport)
        self._begin(self, transport.get_extra_info("socket"))


class _Details:
    """grpc.HandlerCallDetails, without its abstractness."""

    invocation_metadata = ()

    def __init__(self, method: str) -> None:
        self.method = method
