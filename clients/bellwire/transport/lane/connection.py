"""One connection of the socket lane: frames in and out, both bounded."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Final, Protocol, cast

from bellwire.transport.lane.frames import Kind, Splitter, encode, header
from bellwire.wire.errors import CallerError

__all__ = ["FrameConnection", "FrameListener"]

SEND_BUFFER_BYTES: Final = 1 << 20  # A whole frame in one write; the system may allow less.
APART_BYTES_MIN: Final = (
    64 << 10
)  # Copying a smaller body behind its header costs less than a second buffer.
UNREAD_BYTES_MAX: Final = 1 << 20  # Then the kernel holds back the peer; policy BLOCK.


class FrameListener(Protocol):
    """Takes frames by callback, in the turn of the event loop in which they arrive."""

    def on_frame(self, kind: int, body: bytes) -> bool:
        """Take a frame; False = nothing more until `release`."""
        ...

    def on_read(self) -> None:
        """All that was read is taken, or `fault` tells why not; answers go out together now."""

    def on_room(self) -> None:
        """The connection is no longer full."""

    def on_closed(self) -> None:
        """The peer is gone, and everything it sent is taken."""


class FrameConnection(asyncio.Protocol):
    """Reads and writes frames: by `read` and `write`, or with a listener and `send`.

    Args:
        frame_bytes_max: Longest body taken.

    Attributes:
        fault: Why the peer's bytes could not be understood, if so.
        is_full: The peer reads too slowly: nothing should be sent now.
        is_held: The listener takes nothing until `release`.
    """

    def __init__(self, frame_bytes_max: int) -> None:
        self._splitter = Splitter(frame_bytes_max)
        self._frames: deque[tuple[int, bytes]] = deque()
        self._unread_bytes = 0
        self._paused_reading = False
        self._listener: FrameListener | None = None
        self._reader: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fault: CallerError | None = None
        self.is_full = False
        self.is_held = False

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class.
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the peer."""
        listener = self._listener
        try:
            for frame in self._splitter.feed(data):
                if listener is None or self.is_held:
                    self._frames.append(frame)
                    self._unread_bytes += len(frame[1])
                elif not listener.on_frame(*frame):
                    self._hold()
        except CallerError as error:
            self.fault = error  # Whoever reads is told, and ends the RPC.
        if self.fault or self._unread_bytes > UNREAD_BYTES_MAX:
            self._pause_reading()
        if listener is None:
            self._wake_reader()
        else:
            listener.on_read()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self.closed.done():
            self.closed.set_result(None)
        self._wake_reader()
        self.resume_writing()
        if self._listener is not None:
            self._listener.on_closed()

    def pause_writing(self) -> None:
        """Hold writers back: the peer reads too slowly."""
        self.is_full = True
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self.is_full = False
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
        if self._listener is not None:
            self._listener.on_room()

    # ------------------------------------------------------------ for a listener

    def listen(self, listener: FrameListener) -> None:
        """Hand every frame to a listener from now on, those that were read before first."""
        self._listener = listener
        self.release()
        if self.closed.done():
            listener.on_closed()

    def release(self) -> None:
        """Let the listener have more."""
        listener = self._listener
        if listener is None:
            return
        self.is_held = False
        while self._frames:
            kind, body = self._frames.popleft()
            self._unread_bytes -= len(body)
            if not listener.on_frame(kind, body):
                self._hold()
                break
        self._resume_reading()
        listener.on_read()

    def _hold(self) -> None:
        self.is_held = True
        self._pause_reading()

    def _pause_reading(self) -> None:
        if not self._paused_reading and not self.closed.done():
            assert self._transport is not None
            self._paused_reading = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if (
            self._paused_reading
            and not self.is_held
            and not self.fault
            and self._unread_bytes <= UNREAD_BYTES_MAX // 2
        ):
            assert self._transport is not None
            self._paused_reading = False
            if not self.closed.done():
                self._transport.resume_reading()

    # ------------------------------------------------------------ frames

    async def read(self) -> tuple[int, bytes] | None:
        """Return the next frame; None when the connection is closed and everything was read.

        Raises:
            CallerError: The peer's bytes cannot be understood.
        """
        while not self._frames:
            if self.fault is not None:
                raise self.fault
            if self.closed.done():
                return None
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        frame = self._frames.popleft()
        self._unread_bytes -= len(frame[1])
        self._resume_reading()
        return frame

    async def write(self, kind: Kind, body: bytes = b"") -> bool:
        """Send a frame, waiting while the peer's buffers are full; False when it is gone."""
        if self._room is not None:
            await asyncio.shield(self._room)
        return self.send(kind, body)

    def send(self, kind: Kind, body: bytes = b"") -> bool:
        """Send a frame without waiting; False when the peer is gone. Who sends much looks at `is_full`."""
        if self._transport is None or self._transport.is_closing():
            return False
        if len(body) < APART_BYTES_MIN:
            self._transport.write(encode(kind, body))
        else:
            # Not by `writelines`, which never pauses the writer on asyncio's own loop of Python 3.12.1 and 3.13.0.
            self._transport.write(header(kind, body))
            self._transport.write(body)
        return True

    def send_eof(self) -> None:
        """Say that nothing more will be sent; what the peer still sends is read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Close once what was sent has left."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
