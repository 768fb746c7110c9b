"""Lets whoever has something to say speak at the end of the turn in which it came up."""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Pump", "Turns"]


class Pump(Protocol):
    """Something that may have frames to send."""

    def pump(self) -> None:
        """Send them."""


class Turns:
    """Collects pumps, and runs each once.

    A message that arrives wakes its subscribers in the middle of its own admission. Their pumps run when all
    that was read is taken in: in the same callback of the event loop, without a task or a loop iteration
    between, and with everything that arrived together in one frame. What wakes them from elsewhere (a timer,
    a commit, gRPC) is followed by a turn of its own.
    """

    __slots__ = ("_due", "_loop", "_scheduled", "is_open")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: dict[Pump, None] = {}
        self._scheduled = False
        self.is_open = False
        """Set by whoever takes frames in and calls `run` at the end."""

    def due(self, pump: Pump) -> None:
        """Have a pump run at the end of the turn."""
        self._due[pump] = None
        if not self.is_open and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.run)

    def run(self) -> None:
        """Run the pumps that are due; those that come up meanwhile run in a turn of their own."""
        due, self._due = self._due, {}
        self.is_open = self._scheduled = False
        for pump in due:
            pump.pump()
