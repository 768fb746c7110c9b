"""Carries serialized frames one way between two coroutines."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

FRAMES_MAX: Final = 1_024  # About what a gRPC connection buffers; policy BLOCK.


class Pipe:
    """A bounded queue of frames with an end; `put` waits for room, `get` for a frame."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    async def put(self, frame: bytes) -> None:
        """Add a frame; frames behind the end go nowhere, as on a broken line."""
        while len(self._frames) >= FRAMES_MAX and not self._ended:
            await self._wait()
        if not self._ended:
            self._frames.append(frame)
            self._changed.set()

    async def get(self) -> bytes | None:
        """Take the next frame; None at the end."""
        while not self._frames:
            if self._ended:
                return None
            await self._wait()
        frame = self._frames.popleft()
        self._changed.set()
        return frame

    def end(self) -> None:
        """Let `get` return None once everything is taken."""
        self._ended = True
        self._changed.set()

    def cut(self) -> None:
        """End at once: what is under way is lost."""
        self._frames.clear()
        self.end()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
