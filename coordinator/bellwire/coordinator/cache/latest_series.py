"""What waits to be written of a topic's last messages, and how it is cut into commands. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from bellwire.coordinator.cache.last_rule import Asked
from bellwire.coordinator.core.latest import LatestMessage

__all__ = ["Series", "parts_of"]

WRITE_KEYS_MAX: Final = 100  # Of one command.
WRITE_BYTES_MAX: Final = 1 << 20


@dataclass(slots=True)
class Series:
    """What is being written of a topic.

    Attributes:
        asked: Its logs.
        noted: Of each partition the offset below which all was noted, or stepped over.
        begins: Of each partition the offset from which all was noted.
        waiting: Not yet in Redis.
        adopted: By partition the offset up to which Redis had come before us.
        token: Of its values; empty = it is not known yet whether those in Redis can be continued.
    """

    asked: Asked
    noted: list[int]
    begins: list[int]
    waiting: dict[str, LatestMessage] = field(default_factory=dict)
    adopted: dict[int, int] = field(default_factory=dict)
    token: bytes = b""

    def reached(self) -> tuple[int, ...]:
        """Return how far Redis has come once nothing waits: with us, or before us."""
        return tuple(
            max(offset, self.adopted.get(partition, 0))
            for partition, offset in enumerate(self.noted)
        )


def parts_of(found: Iterable[LatestMessage]) -> Iterator[list[LatestMessage]]:
    """Cut into commands of bounded keys and bytes."""
    part: list[LatestMessage] = []
    size = 0
    for item in list(found):
        if part and (len(part) >= WRITE_KEYS_MAX or size + item.size_bytes > WRITE_BYTES_MAX):
            yield part
            part, size = [], 0
        part.append(item)
        size += item.size_bytes
    if part:
        yield part
