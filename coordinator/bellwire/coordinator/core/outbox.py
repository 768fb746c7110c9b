"""Frames on their way to one peer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from bellwire.wire.errors import BellwireError, CapacityError

T = TypeVar("T")


class FrameQueue(Generic[T]):
    """First in, first out; bounded, policy DISCONNECT: the stream of a peer that does not read must end.

    Attributes:
        error: Why the stream must end; None = it need not.
    """

    __slots__ = ("_frames", "_frames_max", "_wake", "error")

    def __init__(self, frames_max: int, wake: Callable[[], None]) -> None:
        self._frames: deque[T] = deque()
        self._frames_max = frames_max
        self._wake = wake
        self.error: BellwireError | None = None

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def last(self) -> T | None:
        """The frame put last, if it has not been taken; it may still be added to."""
        return self._frames[-1] if self._frames else None

    def put(self, frame: T) -> None:
        """Queue a frame, or have the stream ended."""
        if len(self._frames) >= self._frames_max:
            self.error = self.error or CapacityError(
                f"peer left {len(self._frames)} frames unread, limit is {self._frames_max}: read faster"
            )
        else:
            self._frames.append(frame)
        self._wake()

    def take(self) -> T | None:
        """Return the next frame, or None."""
        return self._frames.popleft() if self._frames else None
