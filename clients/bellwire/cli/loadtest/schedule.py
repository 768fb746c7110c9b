"""When each message ought to leave, fixed before the first one does.

A closed loop waits for the system under test and so never sends the messages that a stall would
have delayed: coordinated omission (G. Tene, "How NOT to Measure Latency"). Here every message has
an intended send time, and its latency counts from there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["EvenSchedule", "RecordedSchedule", "Schedule"]

NANOSECONDS_PER_SECOND: Final = 1_000_000_000


class Schedule(Protocol):
    """Intended send times of one publisher. All times are nanoseconds of one monotonic clock."""

    @property
    def count(self) -> int:
        """Messages of this publisher."""

    def intended_ns(self, index: int) -> int:
        """Return the time message `index` (from 0) ought to leave."""

    def due_count(self, now_ns: int) -> int:
        """Count the messages whose intended time is not after `now_ns`."""


@dataclass(frozen=True, slots=True)
class EvenSchedule:
    """Every `every`-th message of an evenly spaced stream, from its message `first` on.

    So that P publishers together send one even stream, and not P messages at once each time.
    """

    start_ns: int
    rate_per_second: int
    total: int
    """Messages of all publishers together."""
    first: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        if self.rate_per_second <= 0 or self.total <= 0:
            raise ValueError(
                f"a schedule needs a positive rate and count, got {self.rate_per_second}/s and "
                f"{self.total} messages"
            )
        if not 0 <= self.first < self.every:
            raise ValueError(f"publisher {self.first} is none of {self.every}")

    @property
    def count(self) -> int:
        """Messages of this publisher."""
        return self._own(self.total)

    def intended_ns(self, index: int) -> int:
        """Return the time message `index` (from 0) ought to leave."""
        place = self.first + index * self.every
        return self.start_ns + place * NANOSECONDS_PER_SECOND // self.rate_per_second

    def due_count(self, now_ns: int) -> int:
        """Count the messages whose intended time is not after `now_ns`."""
        elapsed_ns = now_ns - self.start_ns
        if elapsed_ns < 0:
            return 0
        last_due = ((elapsed_ns + 1) * self.rate_per_second - 1) // NANOSECONDS_PER_SECOND
        return self._own(min(last_due + 1, self.total))

    def _own(self, total: int) -> int:
        """Count how many of the first `total` messages of the stream are ours."""
        return max(0, -(-(total - self.first) // self.every))


@dataclass(frozen=True, slots=True)
class RecordedSchedule:
    """The pace of a recorded stream, times a factor."""

    start_ns: int
    offsets_ns: Sequence[int]
    """Ascending, from the first message of the whole stream, at its own pace."""
    rate: float = 1.0
    """2 = twice as fast."""

    @property
    def count(self) -> int:
        """Messages of this publisher."""
        return len(self.offsets_ns)

    def intended_ns(self, index: int) -> int:
        """Return the time message `index` (from 0) ought to leave."""
        return self.start_ns + int(self.offsets_ns[index] / self.rate)

    def due_count(self, now_ns: int) -> int:
        """Count the messages whose intended time is not after `now_ns`."""
        return bisect_right(
            self.offsets_ns, now_ns - self.start_ns, key=lambda offset: int(offset / self.rate)
        )
