"""What the coordinator asks of a store: durable transactions in, history out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import DeadLetterRecord, Record, Snapshot


@dataclass(frozen=True, slots=True)
class DeadLetterQuery:
    """Which dead letters of a topic; all conditions given must hold.

    Attributes:
        after_id: Only ids above this one.
        up_to_id: Only ids up to this one; 0 = all.
        limit: Most to return, 1..1,000.
    """

    topic: str
    after_id: int = 0
    up_to_id: int = 0
    limit: int = 100
    subscription: str = ""
    reason_contains: str = ""
    key: str = ""
    ids: tuple[int, ...] = ()
    before_time_ns: int = 0


class Outage(NamedTuple):
    """What keeps the store does not answer: since when, nanoseconds since the Unix epoch, and what is wrong."""

    since_ns: int
    reason: str


class Store(Protocol):
    """Transactions and history. Every method blocks and is called from a thread of its own.

    `write` is called from one thread, the others from another one, at the same time.

    Attributes:
        durable: Whether `write` returns only when the records survive a power failure.
        path: Folder that holds it; empty when it keeps nothing.
    """

    durable: bool
    path: str

    @property
    def kafka_cluster(self) -> str:
        """Kafka's own id of the cluster that keeps it, known once it is open; empty = no Kafka does."""
        ...

    @property
    def outage(self) -> Outage | None:
        """Since when what keeps it does not answer; None = it does. May be asked on any thread."""
        ...

    def load(self) -> Snapshot:
        """Open the store and return what it holds; called once, before anything else.

        Raises:
            DataLockedError, DataFolderError, SchemaVersionError, DataCorruptError
        """
        ...

    def write(self, records: Sequence[Record]) -> None:
        """Write all records in one transaction, in order; durable when this returns.

        Raises:
            StoreFullError: Nothing was written, and writing may succeed later.
            StoreReadOnlyError: What is on the disk is in doubt; every later call raises this too.
        """

    def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return neighbouring entries from the one that holds `offset` on; empty when there is none.

        At least one entry where there is any, then as many as fit into `bytes_max` stored bytes.

        Raises:
            DataCorruptError: An entry cannot be read back; those before it were returned by an earlier call.
        """
        ...

    def find_time(self, log_id: int, first: int, last: int, time_ns: int) -> int:
        """Return the base offset of the first entry in `first..last` whose last message time is not before
        `time_ns`; `last` when there is none. Entries are taken to be in order of time.
        """
        ...

    def dead_letters(self, query: DeadLetterQuery) -> list[DeadLetterRecord]:
        """Return dead letters in the order of their ids."""
        ...

    def count_dead_letters(self, query: DeadLetterQuery) -> tuple[int, int]:
        """Return how many match (`limit` is ignored), and the greatest id of them, 0 for none."""
        ...

    def disk_bytes(self) -> int:
        """Return what the store takes on disk, its write-ahead log included."""
        ...

    def give_up(self) -> None:
        """Have a `write` or `read` that waits for somebody fail; called from any thread, before `close`."""

    def close(self) -> None:
        """Checkpoint and close; nothing may be called afterwards."""
