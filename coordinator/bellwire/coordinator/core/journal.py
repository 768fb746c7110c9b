"""The journal: group commit without I/O.

What must become durable is staged here. While one group is being written the next one gathers, so a slow
disk gets larger groups and a fast one gets sooner ones (group commit: DeWitt et al., "Implementation
techniques for main memory database systems", SIGMOD 1984, §5.2).

`take` takes everything staged at once, so the state in memory at that moment is the state after the group:
what only has a latest value (cursors, producers, segments) is marked, and recorded as it is then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeAlias

from bellwire.coordinator.log.durable import DurableLog
from bellwire.coordinator.log.records import EntryRecord, Record
from bellwire.wire.errors import BellwireError, StoreReadOnlyError

LAZY_SECONDS: Final = 0.1  # Cursors that moved wait this long for a group to travel with.
RECORD_BYTES: Final = 256  # What a record other than an entry weighs against the bound; a guess.

Waiter: TypeAlias = "Callable[[BellwireError | None], None]"


class Marked(Protocol):
    """Something of which only the latest value is kept."""

    def records(self) -> Iterable[Record]:
        """Return what the store does not know yet, as it is now."""
        ...

    def saved(self) -> None:
        """Take note that what `records` gave is durable."""

    def unsaved(self) -> None:
        """Take note that it was not written."""


class Ticket:
    """The fate of one group, for those who wait for it."""

    __slots__ = ("_waiters", "error", "is_settled")

    def __init__(self) -> None:
        self.is_settled = False
        self.error: BellwireError | None = None
        self._waiters: list[Waiter] = []

    def then(self, waiter: Waiter) -> None:
        """Call back with None when the group is durable, or with why it is not."""
        if self.is_settled:
            waiter(self.error)
        else:
            self._waiters.append(waiter)

    def settle(self, error: BellwireError | None) -> None:
        """Tell everyone."""
        self.is_settled, self.error = True, error
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter(error)


class Group:
    """What is written in one transaction.

    Attributes:
        records: In the order to be written.
        size_bytes: What it weighs against the journal's bound.
        ticket: Settled when its fate is known.
    """

    __slots__ = ("ends", "marked", "records", "size_bytes", "ticket", "undo")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.ends: dict[DurableLog, int] = {}
        self.marked: dict[Marked, None] = {}  # A set that keeps its order.
        self.undo: list[Waiter] = []
        self.size_bytes = 0
        self.ticket = Ticket()


class Journal:
    """Gathers what is to be committed and tells what became of it.

    Args:
        bytes_max: Bound on what is gathered and being written; policy: `has_room` says no.

    Attributes:
        on_work: Called when there is something to take.
        on_room: Called when there is room again.
        broken: Why nothing durable is accepted any more; None = it is.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._next = Group()
        self._writing: Group | None = None
        self._lazy_since: float | None = None
        self._hurry = False
        self.on_work: Callable[[], None] = _nothing
        self.on_room: Callable[[], None] = _nothing
        self.broken: StoreReadOnlyError | None = None

    # ------------------------------------------------------------ staging

    def has_room(self) -> bool:
        """Tell whether more may be staged."""
        writing = self._writing.size_bytes if self._writing is not None else 0
        return self._next.size_bytes + writing < self._bytes_max

    def check_writable(self) -> None:
        """Refuse what could never become durable.

        Raises:
            StoreReadOnlyError: The store is in doubt.
        """
        if self.broken is not None:
            # A new one each time: an exception that is raised again and again grows its traceback.
            raise StoreReadOnlyError(self.broken.message, metadata=self.broken.metadata)

    def stage_entry(self, log: DurableLog, record: EntryRecord) -> None:
        """Add an entry; its log is rolled back when the group fails."""
        group = self._next
        group.records.append(record)
        group.ends[log] = record.entry.next_offset
        group.size_bytes += record.entry.stored_bytes + RECORD_BYTES
        self.on_work()

    def stage(
        self, record: Record, *, undo: Waiter | None = None, size_bytes: int = RECORD_BYTES
    ) -> None:
        """Add a record; `undo` is called with the error when it was not written."""
        if self.broken is not None:
            if undo is not None:
                undo(self.broken)
            return
        group = self._next
        group.records.append(record)
        group.size_bytes += size_bytes
        if undo is not None:
            group.undo.append(undo)
        self.on_work()

    def mark(self, source: Marked) -> None:
        """Record the source's latest value with the next group; alone it may wait a little."""
        if not self._next.marked and not self._next.records:
            self._next.marked[source] = None
            self.on_work()
            return
        self._next.marked[source] = None

    def unmark(self, source: Marked) -> None:
        """Forget a source that is gone."""
        self._next.marked.pop(source, None)
        if self._writing is not None:
            self._writing.marked.pop(source, None)

    def barrier(self, *, marks: bool = False) -> Ticket | None:
        """Return the ticket after which everything staged so far is durable; None = it is already.

        Args:
            marks: Whether what is only marked counts, too; then it does not wait for company.
        """
        if self._next.records:
            return self._next.ticket
        if marks and self._next.marked and self.broken is None:
            self._hurry = True
            self.on_work()
            return self._next.ticket
        return self._writing.ticket if self._writing is not None else None

    # ------------------------------------------------------------ commits

    def due_at(self, now: float) -> float | None:
        """Return when to call `take`: `now`, later when only latest values wait, None when nothing does."""
        if self._writing is not None or self.broken is not None:
            return None
        if self._next.records or self._hurry:
            return now
        if not self._next.marked:
            return None
        if self._lazy_since is None:
            self._lazy_since = now
        return self._lazy_since + LAZY_SECONDS

    def take(self) -> Group | None:
        """Return everything staged as one group; None when there is nothing or one is being written."""
        group = self._next
        if self._writing is not None or self.broken is not None:
            return None
        if not (group.records or group.marked):
            return None
        self._next = Group()
        self._lazy_since = None
        self._hurry = False
        for source in group.marked:
            group.records.extend(source.records())
        self._writing = group
        return group

    def committed(self, group: Group) -> None:
        """Take note that a group is durable."""
        self._writing = None
        for log, end in group.ends.items():
            log.committed(end)
        for source in group.marked:
            source.saved()
        group.ticket.settle(None)
        self._after()

    def failed(self, group: Group, error: BellwireError) -> None:
        """Take note that a group was not written: it is rolled back with all that was staged behind it."""
        behind, self._next = self._next, Group()
        self._writing = None
        self._lazy_since = None
        self._hurry = False
        if isinstance(error, StoreReadOnlyError):
            self.broken = error
        for failed in (behind, group):  # Newest first.
            for log in failed.ends:
                log.roll_back()
        for source in {**group.marked, **behind.marked}:
            source.unsaved()
            if self.broken is None:
                self._next.marked[source] = None
        for failed in (group, behind):
            for undo in failed.undo:
                undo(error)
            failed.ticket.settle(error)
        self._after()

    def _after(self) -> None:
        self.on_room()
        if self._next.records or self._next.marked:
            self.on_work()


def _nothing() -> None:
    """Nobody listens yet."""
