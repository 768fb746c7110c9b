"""Who opened the store in Kafka: the one that fences another says who it is."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from typing import Final, NamedTuple

__all__ = ["Opener", "opener_of"]

NAME_CHARS_MAX: Final = 300
NANOS_PER_SECOND: Final = 1_000_000_000


class Opener(NamedTuple):
    """A coordinator, for people, and when it opened the store, nanoseconds since the Unix epoch; empty = unknown."""

    name: str = ""
    opened_ns: int = 0

    def __str__(self) -> str:
        if not self.name:
            return "it"
        when = datetime.fromtimestamp(self.opened_ns / NANOS_PER_SECOND, UTC)
        return f"the one at {self.name}, since {when:%Y-%m-%d %H:%M:%S} UTC,"


def opener_of(address: str, now_ns: int) -> Opener:
    """Return this process as one that opens a store now.

    Args:
        address: Under which it is reached; empty = not told.
        now_ns: Nanoseconds since the Unix epoch.
    """
    process = f"pid {os.getpid()} on {socket.gethostname()}"
    name = f"{address} ({process})" if address else process
    return Opener(name[:NAME_CHARS_MAX], now_ns)
