"""One RPC over the socket lane, as the client sees it: what `grpc.aio` would give for the same method."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message import DecodeError

from bellwire.transport.lane.connection import FrameConnection
from bellwire.transport.lane.frames import End, Kind
from bellwire.transport.status import STATUS_DETAILS_KEY
from bellwire.wire.errors import CallerError

__all__ = ["ResponseListener", "SocketCall"]

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class ResponseListener(Protocol):
    """Takes responses by callback, in the turn of the event loop in which they arrive."""

    def on_response(self, response: Any) -> None:
        """Take a response."""

    def on_read(self) -> None:
        """All that was read is taken."""

    def on_room(self) -> None:
        """The call is no longer full."""

    def on_end(self) -> None:
        """The call has a status; `read` tells it."""


class SocketCall(grpc.aio.StreamStreamCall[Any, Any]):
    """A streaming RPC on a connection of its own.

    Behaves as a gRPC call does where the client depends on it: a write after the end raises
    InvalidStateError, a read after a failure AioRpcError, and one after `cancel` CancelledError.
    Everything read before the end is handed out before its status is raised.
    """

    def __init__(
        self,
        method: str,
        connect: Callable[[], Awaitable[FrameConnection]],
        serialize: Callable[[Any], bytes],
        parse: Callable[[bytes], Any],
    ) -> None:
        self._method = method
        self._connect = connect
        self._serialize = serialize
        self._parse = parse
        self._connection: FrameConnection | None = None
        self._opening: asyncio.Task[FrameConnection] | None = None
        self._end: End | None = None
        self._cancelled = False
        self._heard = False
        self._ended = asyncio.Event()
        self._callbacks: list[Callable[[Any], None]] = []
        self._listener: ResponseListener | None = None

    # ------------------------------------------------------------ requests and responses

    async def write(self, request: Any) -> None:
        """Send a request.

        Raises:
            asyncio.InvalidStateError: The RPC has ended; a read tells how.
        """
        connection = await self._opened()
        if connection is None or not await connection.write(Kind.DATA, self._serialize(request)):
            raise asyncio.InvalidStateError("RPC already finished.")

    async def done_writing(self) -> None:
        """End the requests."""
        connection = await self._opened()
        if connection is None or not await connection.write(Kind.HALF_CLOSE):
            raise asyncio.InvalidStateError("RPC already finished.")

    async def read(self) -> Any:
        """Return the next response, or EOF.

        Raises:
            grpc.aio.AioRpcError: The RPC ended with another status than OK.
            asyncio.CancelledError: It was cancelled from this side.
        """
        connection = await self._opened()
        if connection is not None and self._end is None:
            try:
                frame = await connection.read()
            except CallerError as error:
                self._finish(End(grpc.StatusCode.INTERNAL.value[0], error.message))
            else:
                self._heard = self._heard or frame is not None
                if frame is not None and frame[0] == Kind.DATA and self._end is None:
                    return self._parse(frame[1])
                self._finish(_end_of(frame))
        if self._cancelled:
            raise asyncio.CancelledError
        assert self._end is not None
        if self._end.code != 0:
            raise self._error(self._end)
        return grpc.aio.EOF

    @property
    def is_opened(self) -> bool:
        """Whether its connection is in use, or was."""
        return self._opening is not None

    @property
    def is_unanswered(self) -> bool:
        """Whether it ended, not by us, before anything was heard."""
        return self.is_opened and not self._heard and not self._cancelled

    # ------------------------------------------------------------ for a listener

    @property
    def is_full(self) -> bool:
        """Whether the peer reads too slowly: nothing should be sent now."""
        return self._connection is not None and self._connection.is_full

    def listen(self, listener: ResponseListener) -> None:
        """Hand every response to a listener from now on; the first was read by `read`."""
        self._listener = listener
        if self._end is not None:
            listener.on_end()
        elif self._connection is not None:
            self._connection.listen(self)

    def send(self, request: Any) -> bool:
        """Send a request without waiting; False when the RPC has ended, of which the listener is told."""
        connection = self._connection
        return connection is not None and connection.send(Kind.DATA, self._serialize(request))

    def half_close(self) -> None:
        """End the requests."""
        if self._connection is not None:
            self._connection.send(Kind.HALF_CLOSE)

    def on_frame(self, kind: int, body: bytes) -> bool:
        """Take a frame of the connection."""
        if self._end is None and self._listener is not None:
            if kind == Kind.DATA:
                try:
                    response = self._parse(body)
                except DecodeError as error:
                    self._finish(End(grpc.StatusCode.INTERNAL.value[0], f"no response: {error}"))
                else:
                    self._listener.on_response(response)
            else:
                self._finish(_end_of((kind, body)))
        return True

    def on_read(self) -> None:
        """Tell the listener that all that was read is taken."""
        fault = self._connection.fault if self._connection is not None else None
        if fault is not None:
            self._finish(End(grpc.StatusCode.INTERNAL.value[0], fault.message))
        if self._listener is not None:
            self._listener.on_read()

    def on_room(self) -> None:
        """Tell the listener that it may go on."""
        if self._listener is not None:
            self._listener.on_room()

    def on_closed(self) -> None:
        """End: the connection is gone."""
        self._finish(_end_of(None))

    # ------------------------------------------------------------ the connection

    async def _opened(self) -> FrameConnection | None:
        """Return the connection; None when the RPC has ended."""
        if self._end is not None:
            return None
        if self._connection is None:
            if self._opening is None:
                self._opening = asyncio.create_task(self._open())
            try:
                self._connection = await asyncio.shield(self._opening)
            except OSError as error:
                self._finish(End(grpc.StatusCode.UNAVAILABLE.value[0], str(error)))
                return None
        return self._connection

    async def _open(self) -> FrameConnection:
        connection = await self._connect()
        if self._cancelled:
            connection.abort()
        connection.send(Kind.OPEN, self._method.encode())
        return connection

    # ------------------------------------------------------------ the end

    def _finish(self, end: End) -> None:
        if self._end is not None:
            return
        self._end = end
        self._ended.set()
        if self._connection is not None:
            self._connection.close()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)
        if self._listener is not None:
            self._listener.on_end()

    def _error(self, end: End) -> grpc.aio.AioRpcError:
        trailers = ((STATUS_DETAILS_KEY, end.status),) if end.status else ()
        code = _CODES.get(end.code, grpc.StatusCode.UNKNOWN)
        return grpc.aio.AioRpcError(
            code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), end.details, None
        )

    def cancel(self) -> bool:
        """End the RPC from this side."""
        if self._end is not None:
            return False
        self._cancelled = True
        if self._connection is not None:
            self._connection.abort()
        self._finish(End(grpc.StatusCode.CANCELLED.value[0], "Locally cancelled by application!"))
        return True

    def cancelled(self) -> bool:
        """Tell whether `cancel` ended it."""
        return self._cancelled

    def done(self) -> bool:
        """Tell whether it has ended."""
        return self._end is not None

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the responses."""
        return self._responses()

    async def _responses(self) -> AsyncIterator[Any]:
        while (response := await self.read()) is not grpc.aio.EOF:
            yield response

    def time_remaining(self) -> float | None:
        """Streams have no deadline."""
        return None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back at the end."""
        if self._end is not None:
            callback(self)
        else:
            self._callbacks.append(callback)

    async def initial_metadata(self) -> Any:
        """Return none: the lane has no such thing."""
        return grpc.aio.Metadata()

    async def trailing_metadata(self) -> Any:
        """Return what came with the status; waits for the end."""
        return self._error(await self._status()).trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        """Return the status; waits for the end."""
        return _CODES.get((await self._status()).code, grpc.StatusCode.UNKNOWN)

    async def details(self) -> str:
        """Return the status text; waits for the end."""
        return (await self._status()).details

    async def _status(self) -> End:
        if self._end is None:
            await self._ended.wait()
        assert self._end is not None
        return self._end

    async def wait_for_connection(self) -> None:
        """Wait until the RPC was sent off."""
        await self._opened()


def _end_of(frame: tuple[int, bytes] | None) -> End:
    """Return the status of an RPC whose next frame is no response."""
    if frame is None:
        return End(grpc.StatusCode.UNAVAILABLE.value[0], "the coordinator closed the socket")
    kind, body = frame
    if kind == Kind.END:
        try:
            return End.decode(body)
        except CallerError as error:
            return End(grpc.StatusCode.INTERNAL.value[0], error.message)
    return End(grpc.StatusCode.INTERNAL.value[0], f"a frame of kind {kind} is not known")
