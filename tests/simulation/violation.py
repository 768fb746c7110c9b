"""What a history may show that must never happen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What is wrong."""

    LOST = "lost"
    """A message that is owed to a subscription was neither done, nor given up, nor dropped by a policy."""
    UNPERSISTED = "unpersisted"
    """Acknowledged as PERSISTED, and the store does not hold it."""
    UNCOMMITTED = "uncommitted"
    """Delivered, and the log does not hold it (yet)."""
    DUPLICATE = "duplicate"
    """Appended twice, or delivered again although that it is done was known for good."""
    OUT_OF_ORDER = "out of order"
    """Delivered before an older one, or appended before one that was published earlier."""
    PHANTOM = "phantom"
    """Delivered or appended, and nobody published it."""
    MIXED_UP = "mixed up"
    """Two different contents for one place or one id."""
    GAP = "gap"
    """Offsets of a log that nobody ever saw lie between others."""
    WINDOW = "window exceeded"
    """More in flight to a member than it granted."""
    FENCED = "fenced producer wrote"
    """A message of an older epoch was appended behind one of a newer epoch."""
    BROKEN = "broken"
    """The core or the client raised what it should not have; reported by whoever ran it."""
    STUCK = "stuck"
    """Without faults and with time enough something is still not done; reported by whoever waits."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not happen.

    Attributes:
        at: Number of the event that showed it, from 1; after the last one it is the end.
    """

    kind: Kind
    text: str
    at: int

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.text} (event {self.at})"
