"""One connection of the socket lane: frames in and out, both bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast

from bellwire.transport.lane.frames import Kind, Splitter, encode
from bellwire.wire.errors import CallerError

__all__ = ["FrameConnection"]

UNREAD_BYTES_MAX: Final = 1 << 20  # Then the kernel holds back the peer; policy BLOCK.


class FrameConnection(asyncio.Protocol):
    """Reads and writes frames.

    Args:
        frame_bytes_max: Longest body taken.

    Attributes:
        fault: Why the peer's bytes could not be understood, if so.
    """

    def __init__(self, frame_bytes_max: int) -> None:
        self._splitter = Splitter(frame_bytes_max)
        self._frames: deque[tuple[int, bytes]] = deque()
        self._unread_bytes = 0
        self._paused_reading = False
        self._reader: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fault: CallerError | None = None

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class.

    def data_received(self, data: bytes) -> None:
        """Take bytes of the peer."""
        try:
            for frame in self._splitter.feed(data):
                self._frames.append(frame)
                self._unread_bytes += len(frame[1])
        except CallerError as error:
            self.fault = error  # Whoever reads is told, and ends the RPC.
        if (self.fault or self._unread_bytes > UNREAD_BYTES_MAX) and not self._paused_reading:
            assert self._transport is not None
            self._paused_reading = True
            self._transport.pause_reading()
        self._wake_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self.closed.done():
            self.closed.set_result(None)
        self._wake_reader()
        self.resume_writing()

    def pause_writing(self) -> None:
        """Hold writers back: the peer reads too slowly."""
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let writers go on."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

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
        if self._paused_reading and not self.fault and self._unread_bytes <= UNREAD_BYTES_MAX // 2:
            assert self._transport is not None
            self._paused_reading = False
            if not self.closed.done():
                self._transport.resume_reading()
        return frame

    async def write(self, kind: Kind, body: bytes = b"") -> bool:
        """Send a frame, waiting while the peer's buffers are full; False when it is gone."""
        if self._room is not None:
            await asyncio.shield(self._room)
        return self.send(kind, body)

    def send(self, kind: Kind, body: bytes = b"") -> bool:
        """Send a frame without waiting; for the few that end something."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(encode(kind, body))
        return True

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
