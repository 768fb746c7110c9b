"""Drives the session of one bidirectional stream: by coroutines over gRPC, by callbacks over the socket lane."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Protocol, runtime_checkable

import grpc

from bellwire.coordinator.services.duplex import run_both
from bellwire.transport.serving.status import ServicerContext
from bellwire.wire.errors import BellwireError

# gRPC ends the reading side of a peer that died as if it had closed, and cancels us right after: 0.15 ms, measured.
RESET_SECONDS: Final = 0.01


class Conversation(ABC):
    """What a stream says and hears. Every method is plain computing; a driver does the I/O.

    Attributes:
        wake: Called when `next_frame` may have something, or a property may have changed; set by the driver.
        retry_at: Once `next_frame` has nothing more: monotonic seconds at which time alone changes that.
        has_more: False when the next `next_frame` would return None; then `wake` tells of a change.
    """

    def __init__(self) -> None:
        self.wake: Callable[[], None] = _nothing
        self.retry_at: float | None = None
        self.has_more = True

    @property
    def is_blocked(self) -> bool:
        """Whether nothing may be read until something is answered."""
        return False

    @property
    def error(self) -> BellwireError | None:
        """Why the stream must end even while the peer reads nothing; None = it need not."""
        return None

    @property
    @abstractmethod
    def is_finished(self) -> bool:
        """Whether the peer has ended its half and everything is said."""

    @abstractmethod
    def take(self, request: Any, now: float, now_ns: int) -> None:
        """Take a frame of the peer.

        Raises:
            BellwireError: The stream must end with this.
        """

    @abstractmethod
    def end(self) -> None:
        """Take note that the peer has ended its half."""

    @abstractmethod
    def next_frame(self, now: float, now_ns: int) -> Any | None:
        """Return the next frame to send, or None; then see `retry_at`.

        Raises:
            BellwireError: The stream must end with this.
        """

    def written(self) -> None:  # noqa: B027 - most have nothing to do
        """Take note that the latest frame has been handed to the transport."""


@runtime_checkable
class DrivingContext(Protocol):
    """A context that drives conversations itself."""

    async def drive(self, conversation: Conversation) -> None:
        """Run the conversation to its end."""


async def converse(context: ServicerContext, conversation: Conversation) -> None:
    """Run a conversation, whose first frame is read already, to its end."""
    if isinstance(context, DrivingContext):
        await context.drive(conversation)
    else:
        await _Coroutines(context, conversation).run()


class _Coroutines:
    """Reads and writes by one task each."""

    def __init__(self, context: ServicerContext, conversation: Conversation) -> None:
        self._context = context
        self._conversation = conversation
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0
        self._answered = asyncio.Event()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        conversation.wake = self._on_wake

    async def run(self) -> None:
        # By itself: a first write that is cut off while it sends them leaves gRPC to send them again
        # with the status, which it refuses itself, and the peer never hears why its stream ended.
        await self._context.send_initial_metadata(())
        try:
            await run_both(self._read(), self._write(), self._broken)
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _on_wake(self) -> None:
        self._wake.set()
        self._answered.set()
        error = self._conversation.error
        if error is not None and not self._broken.done():
            self._broken.set_exception(error)  # Heard even while a write to the peer hangs.

    async def _read(self) -> None:
        read, conversation = self._context.read, self._conversation
        while (request := await read()) is not grpc.aio.EOF:
            conversation.take(request, time.monotonic(), time.time_ns())
            while conversation.is_blocked:
                # The hard end of the window: nothing more is read until something is answered.
                self._answered.clear()
                await self._answered.wait()
        await asyncio.sleep(RESET_SECONDS)
        conversation.end()
        self._wake.set()

    async def _write(self) -> None:
        write, conversation = self._context.write, self._conversation
        while True:
            self._wake.clear()
            frame = conversation.next_frame(time.monotonic(), time.time_ns())
            if frame is not None:
                await write(frame)
                conversation.written()
            elif conversation.is_finished:
                return
            else:
                await self._idle()

    async def _idle(self) -> None:
        """Wait for a wake-up, or for the time something is due."""
        retry_at = self._conversation.retry_at
        if retry_at is not None:
            self._wake_at(retry_at)
        await self._wake.wait()

    def _wake_at(self, at: float) -> None:
        """Wake by then; a timer that fires sooner serves as well, and asks again.

        `retry_at` is mostly the next heartbeat and moves with every frame: a timer for each would be set, and taken
        back, for nothing.
        """
        timer = self._timer
        if timer is not None:
            if self._fires_at <= at:
                return
            timer.cancel()
        self._fires_at = at
        delay = max(0.0, at - time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(delay, self._fired)

    def _fired(self) -> None:
        self._timer = None
        self._wake.set()


def _nothing() -> None:
    """Nobody drives yet, and whoever does asks first."""
