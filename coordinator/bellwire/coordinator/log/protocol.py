"""What the core asks of the log of one partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bellwire.bus.v1.message_pb2 import Batch, Message
from bellwire.wire.batch import block_bytes, open_block


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
        time_reached_ns: Largest message time of its log up to here: in order, so that times can be searched.
        plain: Whether every subscriber may have all of it at any time: nothing expires, waits or is redriven.
    """

    __slots__ = (
        "admitted_ns",
        "base_offset",
        "batch",
        "count",
        "next_offset",
        "plain",
        "principal",
        "sampled",
        "stored_bytes",
        "time_reached_ns",
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
        self.stored_bytes = block_bytes(batch)
        self.admitted_ns = admitted_ns
        self.sampled = sampled
        self.principal = ""
        self.time_reached_ns = header.last_time_unix_nano
        self.plain = not (
            header.min_expire_time_unix_nano
            or header.max_not_before_time_unix_nano
            or header.only_subscription
        )

    @property
    def last_admitted_ns(self) -> int:
        """An entry is the span that a memory log evicts."""
        return self.admitted_ns

    def messages(self) -> Sequence[Message]:
        """Open the block; costs a decompression, so only for subsets and plain delivery."""
        return open_block(self.batch)


class Span(Protocol):
    """What retention drops at once: an entry, or a segment of them."""

    @property
    def base_offset(self) -> int:
        """Offset of its first message."""
        ...

    @property
    def next_offset(self) -> int:
        """Offset after its last message."""
        ...

    @property
    def stored_bytes(self) -> int:
        """What it weighs."""
        ...

    @property
    def last_admitted_ns(self) -> int:
        """When its last entry was admitted."""
        ...


class PartitionLog(Protocol):
    """The entries of one partition, in offset order without gaps.

    Attributes:
        log_id: Random, kept as long as the entries are: offsets of another log mean nothing here.
        durable: Whether entries survive the process once they are below the high watermark.
        low_offset: Oldest offset kept.
        end_offset: Offset the next message gets.
        high_watermark: Offsets below it may be delivered; `end_offset` where nothing need be committed.
        stored_bytes: What the entries weigh.
    """

    log_id: int
    durable: bool
    low_offset: int
    end_offset: int
    high_watermark: int
    stored_bytes: int

    def append(self, entry: Entry) -> None:
        """Keep an entry whose base_offset is `end_offset`."""

    def read(self, offset: int) -> Entry | None:
        """Return the entry that holds the offset.

        None at or above the high watermark, below the oldest, and while it is being loaded: then the
        partition's cursors are told when it is there.
        """

    def find_time(self, time_unix_nano: int) -> int:
        """Return an offset at or before the first message whose time is not before this one."""

    def retain(self, messages: int, size: int, seconds: int) -> None:
        """Take new bounds of its topic: spans may be a share of them.

        Args:
            messages: Messages kept.
            size: Stored bytes kept.
            seconds: Age up to which they are kept; 0 = any.
        """

    def oldest(self) -> Span | None:
        """Return what eviction would take next."""

    def expired(self, before_ns: int) -> Span | None:
        """Return what eviction would take next if all of it was admitted before this time."""

    def evict_oldest(self) -> Span:
        """Drop the oldest span and return it."""

    def __len__(self) -> int:
        """Count the spans kept."""
        ...
