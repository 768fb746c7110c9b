"""What a cursor delivers: stretches of messages, by offset while they wait, by index once their entry is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.log.protocol import Entry


@dataclass(frozen=True, slots=True)
class Run:
    """Messages `first..last` (offsets, `last` exclusive) to be delivered again.

    Attributes:
        attempt: Times they were handed out.
        failures: How many of those ended in RELEASE, a lost stream or an expired lease.
        suspect: How many members were lost while holding them.
        lost_by: Lease of the last of those; empty = nobody.
        not_before: Monotonic seconds.
        entry: The entry that holds them all, kept beyond retention; None = to be read from the log.
    """

    first: int
    last: int
    attempt: int
    failures: int = 0
    suspect: int = 0
    not_before: float = 0.0
    entry: Entry | None = None
    lost_by: str = ""


@dataclass(slots=True)
class Part:
    """Messages `first..last` (indexes, `last` exclusive) of an entry, next to be delivered.

    Attributes:
        run: Where they come from when they are delivered again.
    """

    entry: Entry
    first: int
    last: int
    run: Run | None = None

    @property
    def first_offset(self) -> int:
        """Offset of the first message."""
        return self.entry.base_offset + self.first

    @property
    def attempt(self) -> int:
        """Times these messages were handed out before."""
        return self.run.attempt if self.run is not None else 0

    def messages(self) -> Sequence[Message]:
        """Open the entry and return the messages of this part."""
        return list(islice(self.entry.messages(), self.first, self.last))


def rest_of(run: Run, from_offset: int) -> Run | None:
    """Return what is left of a run from an offset on."""
    return replace(run, first=from_offset) if from_offset < run.last else None
