"""A partition: assigns offsets, keeps retention, and tells its cursors when there is something new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from zlib import crc32

from bellwire.bus.v1.message_pb2 import Batch
from bellwire.coordinator.core.dedupe import ProducerTable
from bellwire.coordinator.log.protocol import Entry, PartitionLog

if TYPE_CHECKING:
    from bellwire.coordinator.core.cursor import Cursor
    from bellwire.coordinator.core.topic import Topic


class Partition:
    """One ordered sequence of batches and the cursors that read it.

    Attributes:
        slot: Stable hash of topic and index; chooses the worker that owns it.
    """

    def __init__(self, topic: Topic, index: int, log: PartitionLog) -> None:
        self.topic = topic
        self.index = index
        self.slot = crc32(f"{topic.name}/{index}".encode())
        self.log = log
        self.cursors: list[Cursor] = []
        self._producers = ProducerTable()

    def duplicate_of(self, batch: Batch) -> int | None:
        """Return the base offset this batch got before, or None when it is new.

        Raises:
            ProducerFencedError, SequenceGapError: See `ProducerTable.check`.
        """
        header = batch.header
        if not header.producer_id:
            return None
        return self._producers.check(
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
            header.message_count,
            issued_here=self.topic.producer_ids.issued(header.producer_id),
        )

    def make_room(self) -> bool:
        """Evict what retention no longer covers; tell whether one more entry may be appended.

        Entries that a cursor with policy BLOCK has not delivered stay, and the answer is then no.
        A log that holds a single entry always has room: one entry may exceed the byte bound.
        """
        log, settings = self.log, self.topic.settings
        while len(log) > 1 and (
            log.next_offset - log.low_offset >= settings.retention_messages
            or log.stored_bytes >= settings.retention_bytes
        ):
            oldest = log.oldest()
            if oldest is None or oldest.next_offset > self._block_floor():
                return False
            self._evict(oldest)
        return True

    def append(self, batch: Batch, now_ns: int, sampled: Sequence[str] = ()) -> Entry:
        """Append a batch that is new and for which there is room, and wake its readers."""
        header = batch.header
        # A copy: protobuf keeps the whole frame alive as long as any of its batches lives.
        kept = Batch()
        kept.CopyFrom(batch)
        entry = Entry(kept, self.log.next_offset, now_ns, sampled)
        self.log.append(entry)
        if header.producer_id:
            self._producers.record(
                header.producer_id,
                header.producer_epoch,
                header.base_sequence,
                entry.count,
                entry.base_offset,
            )
        self.topic.stats.count_append(entry)
        for cursor in self.cursors:
            cursor.on_append()
        return entry

    def blocking_subscriptions(self) -> list[str]:
        """Name the subscriptions whose policy BLOCK holds the oldest entry."""
        oldest = self.log.oldest()
        if oldest is None:
            return []
        return [
            cursor.subscription.label
            for cursor in self.cursors
            if cursor.blocks and cursor.next_offset < oldest.next_offset
        ]

    def _block_floor(self) -> int:
        return min(
            (cursor.next_offset for cursor in self.cursors if cursor.blocks),
            default=self.log.next_offset,
        )

    def _evict(self, entry: Entry) -> None:
        self.log.evict_oldest()
        for cursor in self.cursors:
            cursor.on_evict(entry)
