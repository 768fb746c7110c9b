"""Drives a conversation by callbacks: what arrives is taken in, and answered, before the event loop goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from bellwire.coordinator.lane.turns import Turns
from bellwire.coordinator.services.conversation import Conversation
from bellwire.transport.lane.connection import FrameConnection
from bellwire.transport.lane.frames import Kind
from bellwire.wire.errors import CallerError

__all__ = ["Driver", "unknown_frame"]


class Driver:
    """Runs one conversation on one connection.

    While the session is blocked nothing is read, and while the peer's buffers are full nothing is made: the
    windows of the session bound what is held in between.
    """

    def __init__(
        self,
        turns: Turns,
        connection: FrameConnection,
        conversation: Conversation,
        parse: Callable[[bytes], Any],
        serialize: Callable[[Any], bytes],
    ) -> None:
        self._turns = turns
        self._connection = connection
        self._conversation = conversation
        self._parse = parse
        self._serialize = serialize
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0
        self._over: asyncio.Future[None] = self._loop.create_future()
        conversation.wake = self._wake

    async def run(self) -> None:
        """Drive until the conversation is finished.

        Raises:
            BellwireError: The session's, or the peer's bytes cannot be understood.
            asyncio.CancelledError: The peer is gone.
        """
        self._connection.listen(self)
        self._wake()
        try:
            await self._over
        finally:
            self._end(None)
            if self._timer is not None:
                self._timer.cancel()

    # ------------------------------------------------------------ of the connection

    def on_frame(self, kind: int, body: bytes) -> bool:
        """Take a frame; False = nothing more until `release`."""
        if self._over.done():
            return True
        self._turns.is_open = True
        conversation = self._conversation
        try:
            if kind == Kind.DATA:
                conversation.take(self._parse(body), time.monotonic(), time.time_ns())
                return not conversation.is_blocked
            if kind != Kind.HALF_CLOSE:
                raise unknown_frame(kind)
            conversation.end()
        except Exception as error:  # noqa: BLE001 - whatever it is ends the stream, not the connection's reader
            self._end(error)
        self._wake()
        return True

    def on_read(self) -> None:
        """Answer: all that was read is taken."""
        if self._connection.fault is not None:
            self._end(self._connection.fault)
        self._turns.run()

    def on_room(self) -> None:
        """Go on: the peer has read."""
        self._wake()

    def on_closed(self) -> None:
        """End: the peer is gone."""
        if not self._over.done():
            self._over.cancel()

    # ------------------------------------------------------------ of the turns

    def _wake(self) -> None:
        self._turns.due(self)

    def pump(self) -> None:
        """Send what there is to send."""
        if self._over.done():
            return
        try:
            self._speak()
        except Exception as error:  # noqa: BLE001 - whatever it is ends the stream, not the turn
            self._end(error)

    def _speak(self) -> None:
        conversation, connection = self._conversation, self._connection
        if conversation.error is not None:
            raise conversation.error
        now, now_ns = time.monotonic(), time.time_ns()
        while not connection.is_full:
            frame = conversation.next_frame(now, now_ns)
            if frame is not None:
                connection.send(Kind.DATA, self._serialize(frame))
                conversation.written()
                if conversation.has_more:
                    continue
            if conversation.is_finished:
                self._end(None)
            elif conversation.retry_at is not None:
                self._wake_at(conversation.retry_at, now)
            break
        if connection.is_held and not conversation.is_blocked:
            connection.release()

    def _wake_at(self, at: float, now: float) -> None:
        """Wake by then; a timer that fires sooner serves as well, and asks again."""
        if self._timer is not None:
            if self._fires_at <= at:
                return
            self._timer.cancel()
        self._fires_at = at
        self._timer = self._loop.call_later(max(0.0, at - now), self._fired)

    def _fired(self) -> None:
        self._timer = None  # By the time it may be earlier than asked: loops round to milliseconds.
        self._wake()

    def _end(self, error: Exception | None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)


def unknown_frame(kind: int) -> CallerError:
    """Return the refusal of a frame that is neither a request nor the end of them."""
    return CallerError(f"frame kind {kind} is not known here: send DATA or HALF_CLOSE")
