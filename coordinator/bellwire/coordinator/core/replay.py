"""Replay without I/O: which messages of which entries come next, and how long to wait before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.log.protocol import Entry
from bellwire.wire.errors import CallerError

SPEED_MAX: Final = 1_000_000.0
NANOS: Final = 1_000_000_000
PAUSE_NANOS_MAX: Final = 3_600 * NANOS  # A night or a weekend in the data is not waited for.


@dataclass(slots=True)
class Track:
    """One partition being replayed, `next_offset` to `end_offset` (exclusive)."""

    partition: Partition
    next_offset: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Messages `first..last` (indexes, `last` exclusive) of an entry, all to be sent at once.

    Attributes:
        time_ns: Message time of the first.
    """

    partition: Partition
    entry: Entry
    first: int
    last: int
    time_ns: int


class Pace:
    """Turns message times into waiting times.

    Gaps in the data longer than an hour count as an hour, and times that run backwards as no time.
    """

    def __init__(self, speed: float) -> None:
        """Take 1 for the original pace, N for N times faster, 0 for no waiting.

        Raises:
            CallerError: The speed is negative, not a number or above 1,000,000.
        """
        if not 0 <= speed <= SPEED_MAX:
            raise CallerError(
                f"speed is {speed}, 0 to {SPEED_MAX:,.0f} are allowed; 0 = no waiting"
            )
        self._speed = speed
        self._last_ns = 0
        self._due = 0.0

    @property
    def is_paced(self) -> bool:
        """Whether there is any waiting."""
        return self._speed > 0

    def due_at(self, time_ns: int, now: float) -> float:
        """Return the monotonic second at which a message of that time is due."""
        if not self._last_ns:
            self._last_ns, self._due = time_ns, now
        elapsed_ns = min(max(0, time_ns - self._last_ns), PAUSE_NANOS_MAX)
        self._last_ns = max(self._last_ns, time_ns)
        if self._speed:
            self._due += elapsed_ns / NANOS / self._speed
        return self._due


def pieces(
    partition: Partition, entry: Entry, first: int, until_ns: int, *, paced: bool
) -> Iterator[Piece]:
    """Cut an entry into what is sent at once: all of it unpaced, else messages of one time.

    Messages at or after `until_ns` are left out; 0 = none are.
    """
    header = entry.batch.header
    if not paced and (not until_ns or header.last_time_unix_nano < until_ns):
        yield Piece(partition, entry, first, entry.count, header.first_time_unix_nano)
        return
    messages = entry.messages()
    start = first
    for index in range(first, entry.count + 1):
        ends = index == entry.count or _cuts(messages, start, index, until_ns)
        if not ends or index == start:
            continue
        time_ns = messages[start].time_unix_nano
        if not until_ns or time_ns < until_ns:
            yield Piece(partition, entry, start, index, time_ns)
        start = index


def _cuts(messages: Sequence[Message], start: int, index: int, until_ns: int) -> bool:
    first, here = messages[start].time_unix_nano, messages[index].time_unix_nano
    return here != first or bool(until_ns and here >= until_ns)
