"""What is on its way to a member: handouts, and which of their messages are settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bellwire.coordinator.log.protocol import Entry

if TYPE_CHECKING:
    from bellwire.coordinator.core.cursor import Cursor
    from bellwire.coordinator.core.partition import Partition


class Handout(NamedTuple):
    """Messages `first..last` (indexes, `last` exclusive) of an entry on their way to a member.

    Attributes:
        attempt: Times they were handed out before.
        failures: How many of those ended badly.
        suspect: How many of those took a member with them.
        dropped: Messages dropped before them since the last handout.
        generation: Of the cursor; after a seek it is another one.
    """

    cursor: Cursor
    entry: Entry
    first: int
    last: int
    first_tag: int
    attempt: int
    failures: int
    suspect: int
    dropped: int
    size_bytes: int
    generation: int

    @property
    def whole(self) -> bool:
        """Whether the publisher's block can go out untouched."""
        return self.last - self.first == self.entry.count

    @property
    def routed(self) -> Routed | None:
        """What there is to trace; None = nothing is sampled, or it was handed out before."""
        if not self.entry.sampled or self.attempt or self.first:
            return None
        cursor = self.cursor
        return Routed(cursor.partition, cursor.subscription.label, self.entry)

    @property
    def is_current(self) -> bool:
        """Whether it still counts: a seek makes everything in flight void."""
        return self.generation == self.cursor.generation and not self.cursor.detached


class Routed(NamedTuple):
    """An entry with sampled messages that has just reached a subscription for the first time.

    Attributes:
        group: What the subscription is called.
        direct: Whether it came from the publisher itself, and a cursor only stepped over it.
    """

    partition: Partition
    group: str
    entry: Entry
    direct: bool = False


class InFlight:
    """A handed-out block and which of its messages are settled: one bit each.

    Attributes:
        deadline: Monotonic seconds after which it is delivered again; None = with its stream.
    """

    __slots__ = ("deadline", "handout", "open_count", "settled")

    def __init__(self, handout: Handout, deadline: float | None = None) -> None:
        self.handout = handout
        self.deadline = deadline
        self.open_count = handout.last - handout.first
        self.settled = 0

    def settle(self, first: int, last: int) -> list[tuple[int, int]]:
        """Mark indexes `first..last` (`last` exclusive); return the runs that were still open."""
        wanted = ((1 << (last - first)) - 1) << first
        fresh = wanted & ~self.settled
        self.settled |= wanted
        self.open_count -= fresh.bit_count()
        return _runs(fresh)

    def open_runs(self) -> list[tuple[int, int]]:
        """Return the runs of messages not settled."""
        count = self.handout.last - self.handout.first
        return _runs(((1 << count) - 1) & ~self.settled)


def _runs(bits: int) -> list[tuple[int, int]]:
    """Return the runs of ones as (first, last) with `last` exclusive."""
    runs = []
    while bits:
        first = (bits & -bits).bit_length() - 1
        rest = ~(bits >> first)
        length = (rest & -rest).bit_length() - 1
        runs.append((first, first + length))
        bits &= ~(((1 << length) - 1) << first)
    return runs
