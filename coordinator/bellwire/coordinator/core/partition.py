"""A partition: assigns offsets, keeps retention, and tells its cursors when there is something new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final
from zlib import crc32

from bellwire.bus.v1.message_pb2 import Batch, BatchHeader
from bellwire.coordinator.core.dedupe import ProducerTable
from bellwire.coordinator.core.journal import Ticket
from bellwire.coordinator.log.durable import DurableLog
from bellwire.coordinator.log.protocol import Entry, PartitionLog, Span
from bellwire.coordinator.log.records import ProducerRecord
from bellwire.wire.errors import BellwireError

if TYPE_CHECKING:
    from bellwire.coordinator.core.cursor import Cursor
    from bellwire.coordinator.core.topic import Topic

NANOS: Final = 1_000_000_000


class Partition:
    """One ordered sequence of batches and the cursors that read it.

    Attributes:
        slot: Stable hash of topic and index; chooses the worker that owns it.
        cursors: Of every subscription that reads it.
        direct_version: Counts the subscriptions that have come and may be reached directly.
    """

    def __init__(
        self,
        topic: Topic,
        index: int,
        log: PartitionLog,
        producers: Iterable[ProducerRecord] = (),
    ) -> None:
        self.topic = topic
        self.index = index
        self.slot = crc32(f"{topic.name}/{index}".encode())
        self.log = log
        self.cursors: list[Cursor] = []
        self.direct_version = 0
        self._producers = ProducerTable(producers)
        self._producers_mark = _ProducersMark(log.log_id, self._producers)
        self._admitted_ns = 0
        if isinstance(log, DurableLog):
            self._admitted_ns = log.last_admitted_ns
            log.on_readable = self._on_readable
            log.on_rolled_back = self._on_rolled_back

    @property
    def log_error(self) -> BellwireError | None:
        """Why the log cannot be read; None = it can."""
        return self.log.error if isinstance(self.log, DurableLog) else None

    def duplicate_of(self, batch: Batch) -> int | None:
        """Return the base offset this batch got before, or None when it is new.

        Raises:
            ProducerFencedError, SequenceGapError: See `ProducerTable.check`.
            StoreReadOnlyError: The store is in doubt, and so is what this table says.
        """
        if self.log.durable:
            self.topic.journal.check_writable()
        header = batch.header
        if not header.producer_id:
            return None
        # Here and not at the door: a batch may have waited for room while a newer instance came.
        self.topic.producer_ids.check_epoch(header.producer_id, header.producer_epoch)
        return self._producers.check(
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
            header.message_count,
            known_from_start=self.log.durable or self.topic.producer_ids.issued(header.producer_id),
        )

    @property
    def allows_direct(self) -> bool:
        """Whether a subscriber may have a message before it is appended here."""
        return not self.topic.direct_obstacle

    def next_sequence(self, header: BatchHeader) -> int:
        """Return the sequence a batch of the producer must have to be appended next."""
        known = self._producers.next_sequence(header.producer_id, header.producer_epoch)
        return header.base_sequence if known is None else known

    def make_room(self) -> bool:
        """Evict what retention no longer covers; tell whether one more entry may be appended.

        Spans that a cursor with policy BLOCK still needs stay, and the answer is then no. A log that
        holds a single span always has room: one entry may exceed the byte bound.

        Raises:
            StoreReadOnlyError: The store is in doubt.
        """
        log, settings = self.log, self.topic.settings
        if log.durable:
            self.topic.journal.check_writable()
            if not self.topic.journal.has_room():
                return False
        while len(log) > 1 and (
            log.end_offset - log.low_offset >= settings.retention_messages
            or log.stored_bytes >= settings.retention_bytes
        ):
            oldest = log.oldest()
            if oldest is None:
                return True  # Not committed yet: retention can wait.
            if oldest.next_offset > self._block_floor():
                return False
            self._evict(oldest)
        return True

    def expire(self, now_ns: int) -> None:
        """Evict what is older than the topic keeps messages, unless somebody with policy BLOCK needs it."""
        seconds = self.topic.settings.retention_seconds
        if not seconds:
            return
        before_ns = now_ns - seconds * NANOS
        while (oldest := self.log.expired(before_ns)) is not None:
            if oldest.next_offset > self._block_floor():
                return
            self._evict(oldest)

    def append(self, batch: Batch, now_ns: int, sampled: Sequence[str] = ()) -> Entry:
        """Append a batch that is new and for which there is room, and wake its readers."""
        header = batch.header
        # A copy: protobuf keeps the whole frame alive as long as any of its batches lives.
        kept = Batch()
        kept.CopyFrom(batch)
        if now_ns > self._admitted_ns:  # A clock that jumps back stands still here.
            self._admitted_ns = now_ns
        entry = Entry(kept, self.log.end_offset, self._admitted_ns, sampled)
        self.log.append(entry)
        if header.producer_id:
            self._producers.record(
                header.producer_id,
                header.producer_epoch,
                header.base_sequence,
                entry.count,
                entry.base_offset,
                self.log.high_watermark,
            )
            if self.log.durable:
                self.topic.journal.mark(self._producers_mark)
        self.topic.stats.count_append(entry)
        if not self.log.durable:
            self._on_readable()
        return entry

    def not_durable_yet(self, last_offset: int) -> Ticket | None:
        """Return what to wait for until an offset is committed; None = it is, or never will be."""
        if last_offset < self.log.high_watermark or not self.log.durable:
            return None
        return self.topic.journal.barrier()

    def retire(self) -> None:
        """Have nothing more recorded: the topic is deleted."""
        if isinstance(self.log, DurableLog):
            self.topic.journal.unmark(self.log)
            self.topic.journal.unmark(self._producers_mark)

    def blocking_subscriptions(self) -> list[str]:
        """Name the subscriptions whose policy BLOCK holds the oldest span."""
        oldest = self.log.oldest()
        if oldest is None:
            return []
        return [
            cursor.subscription.label
            for cursor in self.cursors
            if cursor.blocks and cursor.block_floor < oldest.next_offset
        ]

    def _block_floor(self) -> int:
        return min(
            (cursor.block_floor for cursor in self.cursors if cursor.blocks),
            default=self.log.end_offset,
        )

    def _evict(self, span: Span) -> None:
        self.log.evict_oldest()
        for cursor in self.cursors:
            cursor.on_evict(span)

    def _on_readable(self) -> None:
        self.topic.on_readable(self.topic.name)
        for cursor in self.cursors:
            cursor.on_readable()

    def _on_rolled_back(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.topic.stats.count_append(entry, times=-1)
        self._producers.roll_back(self.log.high_watermark)


class _ProducersMark:
    """A partition's producers as the journal sees them."""

    def __init__(self, log_id: int, table: ProducerTable) -> None:
        self._log_id = log_id
        self._table = table

    def records(self) -> Iterable[ProducerRecord]:
        return self._table.records(self._log_id)

    def saved(self) -> None:
        pass

    def unsaved(self) -> None:
        self._table.unsaved()
