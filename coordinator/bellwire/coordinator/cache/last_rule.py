"""When a message that was found elsewhere is the last one of its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bellwire.coordinator.cache.source import Placed

__all__ = ["Asked", "is_last"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What memory knows of a topic when it asks for keys that it does not have.

    Attributes:
        topic: Name.
        logs: Log of each partition.
        known_from: Of each partition the offset from which on memory knows all last messages.
        any_log: Whether a message of an earlier log of the topic is its key's last when this one has none: so it is
            of a topic in memory, whose log ends with the process.
    """

    topic: str
    logs: tuple[int, ...]
    known_from: tuple[int, ...]
    any_log: bool

    @property
    def may_be_found(self) -> bool:
        """Whether there is anything that memory does not know."""
        return self.any_log or any(self.known_from)


def is_last(asked: Asked, found: Placed, covered: Mapping[int, int]) -> bool:
    """Tell whether a message is the last of its key, which memory does not have.

    Args:
        asked: What memory knows.
        found: The newest message of the key where it was looked for.
        covered: There, by partition of the logs of today: the offset below which all messages were seen. What was not
            seen could hold a newer one.
    """
    if not 0 <= found.partition < len(asked.logs):
        return False
    if found.log_id == asked.logs[found.partition]:
        return covered.get(found.partition, 0) >= asked.known_from[found.partition]
    # Of another log: any message of today's log is newer, and memory has told that it knows none.
    return asked.any_log and all(
        covered.get(partition, 0) >= known for partition, known in enumerate(asked.known_from)
    )
