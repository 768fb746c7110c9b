"""Moves frames between one stream and the side behind it: by tasks over gRPC, by callbacks over the socket lane."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

import grpc

from bellwire.transport.lane.call import SocketCall
from bellwire.wire.errors import BellwireError, InternalError

__all__ = ["Feed", "Pump", "lane_of", "pump_for"]

_log = logging.getLogger("bellwire.client")


class Feed(Protocol):
    """What a pump asks and tells; plain computing."""

    name: str

    def next_frame(self, now: float) -> Any | None:
        """Return the next frame to send, or None when there is none now."""

    def has_more(self) -> bool:
        """Tell whether `next_frame`, which just returned one, or `wake_at` need be asked before a wake."""

    def wake_at(self, now: float) -> float | None:
        """Return when to ask again though nothing happened."""

    def may_end(self) -> bool:
        """Tell whether this side of the stream may be closed: there will be nothing more to send."""

    def hear(self, response: Any, now: float) -> bool:
        """Take a frame; True when there may be something to send now. An error ends the stream."""

    def cut_off(self, call: Any, why: BellwireError) -> None:
        """End the stream from here."""


class Pump(Protocol):
    """Runs one stream."""

    async def run(self) -> None:
        """Read the stream to its end, and send whatever the feed has meanwhile.

        Raises:
            BellwireError: What `Feed.hear` raised.
            grpc.aio.AioRpcError: The stream ended with another status than OK.
            asyncio.CancelledError: It was cancelled from this side.
        """

    def wake(self) -> None:
        """Ask the feed for frames."""


def lane_of(call: Any) -> str:
    """Name what carries a call."""
    return "socket" if isinstance(call, SocketCall) else "grpc"


def pump_for(call: Any, feed: Feed) -> Pump:
    """Return the pump that fits the call."""
    return _CallbackPump(call, feed) if isinstance(call, SocketCall) else _TaskPump(call, feed)


def _broken(feed: Feed, error: Exception) -> BellwireError:
    _log.exception("%s: no frame could be made", feed.name)
    return InternalError(f"{feed.name}: {type(error).__name__}: {error}")


class _TaskPump:
    """Reads in the caller's task and writes in one of its own."""

    def __init__(self, call: Any, feed: Feed) -> None:
        self._call = call
        self._feed = feed
        self._wake_pending = False
        self._asleep: asyncio.Future[None] | None = None

    def wake(self) -> None:
        asleep = self._asleep
        if asleep is None:
            self._wake_pending = True
        elif not asleep.done():
            asleep.set_result(None)

    async def run(self) -> None:
        read, hear, clock = self._call.read, self._feed.hear, asyncio.get_running_loop().time
        sender = asyncio.create_task(self._send(), name=f"bellwire {self._feed.name} sender")
        try:
            while (response := await read()) is not grpc.aio.EOF:
                if hear(response, clock()):
                    self.wake()
        finally:
            sender.cancel()
            # Not `await sender`: its cancellation could not be told from our own, and ours must not be lost.
            await asyncio.wait([sender])
            if not sender.cancelled():
                sender.result()

    async def _send(self) -> None:
        """Write whatever the feed has, until the stream ends or may be half-closed."""
        call, feed, clock = self._call, self._feed, asyncio.get_running_loop().time
        try:
            while True:
                self._wake_pending = False
                frame = feed.next_frame(clock())
                if frame is not None:
                    await call.write(frame)
                elif feed.may_end():
                    await call.done_writing()
                    return
                else:
                    await self._sleep(feed.wake_at(clock()))
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            # The stream has ended under the writer; the reader learns why and opens the next one.
            return
        except Exception as error:  # noqa: BLE001 - whatever it is must not end the link silently
            feed.cut_off(call, _broken(feed, error))

    async def _sleep(self, until: float | None) -> None:
        """Sleep until `wake`, one that came since the feed was last asked included."""
        if self._wake_pending:
            return
        loop = asyncio.get_running_loop()
        asleep = self._asleep = loop.create_future()
        timer = None if until is None else loop.call_at(until, self.wake)
        try:
            await asleep
        finally:
            self._asleep = None
            if timer is not None:
                timer.cancel()


class _CallbackPump:
    """Takes a response in the callback that read it, and sends a frame in the call that made it.

    No task runs between the socket and the feed. What is handed over while frames are being made, or taken
    in, leaves at the end of that. What is handed over behind a frame that has just left gathers until the event
    loop has gone round: one that sends many by themselves would otherwise pay for a frame each.
    """

    def __init__(self, call: SocketCall, feed: Feed) -> None:
        self._call = call
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0
        self._busy = False
        self._again = False
        self._done_writing = False
        self._gathering = False
        self._over: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        call = self._call
        call.listen(self)
        self._pump()
        try:
            await self._over
            await call.read()  # Raises the status, if it is an error.
        finally:
            self._finish(None)
            if self._timer is not None:
                self._timer.cancel()

    # ------------------------------------------------------------ of the call

    def on_response(self, response: Any) -> None:
        """Take a response."""
        if self._over.done():
            return
        self._busy = True  # Until everything that was read is taken.
        try:
            if self._feed.hear(response, self._loop.time()):
                self._again = True
        except Exception as error:  # noqa: BLE001 - the caller of `run` is told
            self._finish(error)

    def on_read(self) -> None:
        """Send what has come up while responses were taken in."""
        self._busy = False
        if self._again:
            self._pump()

    def on_room(self) -> None:
        """Go on sending."""
        self.wake()

    def on_end(self) -> None:
        """End: the call has a status."""
        self._finish(None)

    # ------------------------------------------------------------ sending

    def wake(self) -> None:
        if self._busy:
            self._again = True
        elif not self._gathering:
            self._gathering = True
            self._loop.call_soon(self._gathered)
            self._pump()

    def _gathered(self) -> None:
        """Send what has gathered since the latest frame."""
        self._gathering = False
        self._pump()

    def _pump(self) -> None:
        self._busy = True
        self._again = True
        try:
            while self._again and not self._done_writing and not self._over.done():
                self._again = False
                self._send()
        except Exception as error:  # noqa: BLE001 - whatever it is must not end the link silently
            self._feed.cut_off(self._call, _broken(self._feed, error))
        finally:
            self._busy = False

    def _send(self) -> None:
        call, feed = self._call, self._feed
        now = self._loop.time()
        while not call.is_full:
            frame = feed.next_frame(now)
            if frame is not None:
                call.send(frame)
                if not feed.has_more():
                    return
            elif feed.may_end():
                self._done_writing = True
                call.half_close()
                return
            else:
                self._wake_at(feed.wake_at(now))
                return

    def _wake_at(self, at: float | None) -> None:
        """Wake by then; a timer that fires sooner serves as well, and asks again."""
        if at is None:
            return
        timer = self._timer
        if timer is not None:
            if self._fires_at <= at:
                return
            timer.cancel()
        self._fires_at = at
        self._timer = self._loop.call_at(at, self._fired)

    def _fired(self) -> None:
        self._timer = None  # By the time it may be earlier than asked: loops round to milliseconds.
        self.wake()

    def _finish(self, error: Exception | None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)
