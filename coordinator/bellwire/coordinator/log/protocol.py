"""What the core asks of a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bellwire.bus.v1.message_pb2 import Batch, Message
from bellwire.wire.batch import open_block


class Entry:
    """One admitted batch at its place in a partition; never changed after it is appended.

    Attributes:
        batch: The publisher's bytes, untouched.
        base_offset: Offset of the first message.
        next_offset: Offset after the last message.
        count: Messages in the batch.
        uncompressed_bytes: What the batch weighs against a subscriber's window.
        stored_bytes: What it weighs against the partition's retention.
        admitted_ns: When the coordinator admitted it, nanoseconds since the Unix epoch.
        sampled: traceparents of its sampled messages, empty for most batches.
        principal: Authenticated publisher; empty without authentication.
    """

    __slots__ = (
        "admitted_ns",
        "base_offset",
        "batch",
        "count",
        "next_offset",
        "principal",
        "sampled",
        "stored_bytes",
        "uncompressed_bytes",
    )

    def __init__(
        self, batch: Batch, base_offset: int, admitted_ns: int, sampled: Sequence[str] = ()
    ) -> None:
        header = batch.header
        self.batch = batch
        self.base_offset = base_offset
        self.count = header.message_count
        self.next_offset = base_offset + self.count
        self.uncompressed_bytes = header.uncompressed_bytes
        self.stored_bytes = len(batch.block)
        self.admitted_ns = admitted_ns
        self.sampled = sampled
        self.principal = ""

    def messages(self) -> Sequence[Message]:
        """Open the block; costs a decompression, so only for subsets and plain delivery."""
        return open_block(self.batch)


class PartitionLog(Protocol):
    """The entries of one partition, in offset order without gaps.

    Attributes:
        log_id: Random, kept as long as the entries are: offsets of another log mean nothing here.
        low_offset: Oldest offset kept.
        next_offset: Offset the next message gets.
        stored_bytes: What the entries weigh.
    """

    log_id: int
    low_offset: int
    next_offset: int
    stored_bytes: int

    def append(self, entry: Entry) -> None:
        """Keep an entry whose base_offset is `next_offset`."""

    def read(self, offset: int) -> Entry | None:
        """Return the entry that holds the offset, or None at the end or below the oldest."""

    def find_time(self, time_unix_nano: int) -> int:
        """Return the base offset of the first entry whose last message time is not before this."""

    def oldest(self) -> Entry | None:
        """Return the entry that eviction would take next."""

    def evict_oldest(self) -> Entry:
        """Drop the oldest entry and return it."""

    def __len__(self) -> int:
        """Count the entries kept."""
        ...
