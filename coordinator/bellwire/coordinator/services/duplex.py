"""What every bidirectional stream needs: a bounded outbox, and a reader and a writer that end together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, Generic, TypeVar

from bellwire.transport.serving.status import ServicerContext
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    CapacityError,
    DeadlineExceededError,
    UnknownFrameError,
)

T = TypeVar("T")
FIRST_FRAME_SECONDS: Final = 10.0  # A client sends it at once; the rest is for a slow line.


class Outbox(Generic[T]):
    """Frames on their way to one peer, first in first out; bounded, policy DISCONNECT.

    Whoever puts the frame too much is not told: it is the peer's stream that must end, by `broken`.

    Attributes:
        broken: Fails when the stream must end; `run_both` watches it.
    """

    def __init__(self, frames_max: int) -> None:
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._frames: deque[T] = deque()
        self._frames_max = frames_max
        self._filled = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def last(self) -> T | None:
        """The frame put last, if it has not been taken; it may still be added to."""
        return self._frames[-1] if self._frames else None

    def put(self, frame: T) -> None:
        """Queue a frame, or drop it and end the stream of a peer that does not read."""
        if len(self._frames) >= self._frames_max:
            self.break_off(
                CapacityError(
                    f"peer left {len(self._frames)} frames unread, limit is {self._frames_max}: read faster"
                )
            )
            return
        self._frames.append(frame)
        self._filled.set()

    def break_off(self, error: BellwireError) -> None:
        """Let the stream end with an error, even while a write to the peer hangs."""
        if not self.broken.done():
            self.broken.set_exception(error)

    def close(self) -> None:
        """Let `take` return None once everything is taken."""
        self._closed = True
        self._filled.set()

    async def take(self, timeout_seconds: float) -> T | None:
        """Return the next frame, or None when closed and empty.

        Raises:
            TimeoutError: Nothing came in time.
        """
        while not self._frames:
            if self._closed:
                return None
            self._filled.clear()
            async with asyncio.timeout(timeout_seconds):
                await self._filled.wait()
        return self._frames.popleft()


def check_first_arm(found: str | None, expected: str, stream: str) -> None:
    """Refuse a stream that does not begin as it must.

    Raises:
        UnknownFrameError: The arm is not known to this server.
        CallerError: It is another one.
    """
    if found is None:
        raise UnknownFrameError(
            f"the first frame of the {stream} stream carries no arm this server knows: send `{expected}`"
        )
    if found != expected:
        raise CallerError(
            f"the first frame of the {stream} stream is `{found}`: it must be `{expected}`"
        )


async def run_both(
    reader: Coroutine[None, None, None],
    writer: Coroutine[None, None, None],
    broken: asyncio.Future[None] | None = None,
) -> None:
    """Run both until both have ended, or one or `broken` has failed; then the rest is cancelled."""
    tasks = [asyncio.create_task(reader), asyncio.create_task(writer)]
    ends: list[asyncio.Future[Any]] = [asyncio.gather(*tasks)]
    if broken is not None:
        ends.append(broken)
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ends += tasks  # Two that were gathered do not cancel each other.
        for end in ends:
            end.cancel()
        results = await asyncio.gather(*ends, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def read_first(context: ServicerContext) -> Any:
    """Return the first frame of a stream, or EOF.

    Raises:
        DeadlineExceededError: The peer opened the stream and says nothing; it must not hold a place.
    """
    try:
        async with asyncio.timeout(FIRST_FRAME_SECONDS):
            return await context.read()
    except TimeoutError:
        raise DeadlineExceededError(
            f"no first frame came within {FIRST_FRAME_SECONDS:g} s of opening the stream"
        ) from None
