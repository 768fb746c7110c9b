"""Serves RPCs over the socket lane: the same servicers, without gRPC between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc

from bellwire.coordinator.services.context import BareContext
from bellwire.coordinator.services.status import DETAILS_KEY
from bellwire.transport.lane.connection import FrameConnection
from bellwire.transport.lane.frames import End, Kind
from bellwire.wire.errors import CallerError

__all__ = ["LaneServer", "Peer"]

OPEN_SECONDS: Final = 10.0  # Within which a peer says what it wants.
_UCRED: Final = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


class _Aborted(Exception):
    def __init__(self, end: End) -> None:
        self.end = end
        super().__init__(end.details)


class LaneContext(BareContext):
    """What a servicer sees of an RPC of the lane."""

    def __init__(self, connection: FrameConnection, rpc: _Rpc, peer: Peer) -> None:
        super().__init__()
        self._connection = connection
        self._rpc = rpc
        self.credentials = peer

    async def read(self) -> Any:
        """Return the next request, or EOF."""
        frame = await self._connection.read()
        if frame is None:
            raise asyncio.CancelledError  # As gRPC does when the peer is gone.
        kind, body = frame
        if kind == Kind.DATA:
            return self._rpc.parse(body)
        if kind == Kind.HALF_CLOSE:
            return grpc.aio.EOF
        raise CallerError(f"frame kind {kind} is not known here: send DATA or HALF_CLOSE")

    async def write(self, message: Any) -> None:
        """Send a response."""
        if not await self._connection.write(Kind.DATA, self._rpc.serialize(message)):
            raise asyncio.CancelledError

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        """End the RPC."""
        status = dict(trailing_metadata).get(DETAILS_KEY, b"")
        raise _Aborted(End(code.value[0], details, status))

    def peer(self) -> str:
        """Name the peer."""
        return f"unix:pid={self.credentials.pid},uid={self.credentials.uid}"

    def peer_identities(self) -> Iterable[bytes] | None:
        """Return the user, which the kernel vouches for."""
        return (str(self.credentials.uid).encode(),)

    def peer_identity_key(self) -> str | None:
        """Name what identities are made of."""
        return "uid"

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return the same as a mapping."""
        return {"uid": (str(self.credentials.uid).encode(),)}


@dataclass(frozen=True, slots=True)
class _Rpc:
    behavior: Callable[[Any, Any], Awaitable[Any]]
    parse: Callable[[bytes], Any]
    serialize: Callable[[Any], bytes]


class LaneServer:
    """Accepts connections on a Unix socket, a stream each.

    Args:
        path: Of the socket; only its owner may connect.
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
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)  # Whoever holds the address's lock owns this name, too.
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(self.path)
        os.chmod(self.path, 0o600)
        listener.listen(128)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._accepted, sock=listener)

    def _accepted(self) -> FrameConnection:
        return _Accepted(self._frame_bytes_max, self._begin)

    def _begin(self, connection: FrameConnection, sock: Any) -> None:
        if len(self._tasks) >= self._connections_max:
            connection.abort()
            return
        peer = Peer(*_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))
        task = asyncio.create_task(self._serve(connection, peer), name="socket lane")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: FrameConnection, peer: Peer) -> None:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                frame = await connection.read()
        except (TimeoutError, CallerError):
            frame = None
        if frame is None or frame[0] != Kind.OPEN:
            connection.abort()
            return
        method = frame[1].decode(errors="replace")
        rpc = self._rpc(method)
        if rpc is None:
            code = grpc.StatusCode.UNIMPLEMENTED.value[0]
            self._end(connection, End(code, f"the socket lane does not serve {method}"))
            return
        serving = asyncio.ensure_future(rpc.behavior(None, LaneContext(connection, rpc, peer)))
        connection.closed.add_done_callback(lambda _: serving.cancel())
        try:
            await serving
        except _Aborted as aborted:
            self._end(connection, aborted.end)
        except asyncio.CancelledError:
            connection.abort()
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]  # It runs in one.
                serving.cancel()
                await asyncio.wait([serving])
                raise
        else:
            self._end(connection, End(0))

    def _end(self, connection: FrameConnection, end: End) -> None:
        connection.send(Kind.END, end.encode())
        connection.close()

    def _rpc(self, method: str) -> _Rpc | None:
        details: Any = _Details(method)
        for handler in self._handlers:
            found: Any = handler.service(details)
            if found is not None and found.stream_stream:
                return _Rpc(
                    found.stream_stream, found.request_deserializer, found.response_serializer
                )
        return None

    async def close(self) -> None:
        """Stop listening, and end every RPC."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
