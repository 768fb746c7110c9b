"""Where in Kafka the entries of a log are: a sparse index from offsets of the bus to offsets of Kafka. No I/O.

Kafka's own offsets have holes, one for each end of a transaction and more for those that were aborted, and are known
only once a broker has answered. The bus gives its offsets when a message is admitted, without holes, and keeps both.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

STRIDE_BYTES: Final = 256 << 10  # Read in vain at most before the entry that is wanted.


@dataclass(frozen=True, slots=True)
class PlaceRecord:
    """An entry begins at an offset of the bus and at one of Kafka."""

    log_id: int
    base_offset: int
    kafka_offset: int


@dataclass(frozen=True, slots=True)
class EndRecord:
    """The last entry of a log ends before an offset."""

    log_id: int
    next_offset: int


class Written(NamedTuple):
    """An entry, and where Kafka has it."""

    base_offset: int
    next_offset: int
    stored_bytes: int
    kafka_offset: int


class Positions:
    """The index of one log.

    Attributes:
        topic: Its Kafka topic.
        partition: Its partition there.
        end: Offset on the bus after its last entry; 0 = it has none.
    """

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.end = 0
        self._bases = array("Q")
        self._kafka = array("Q")
        self._since_bytes = STRIDE_BYTES

    def places(self, written: Iterable[Written]) -> list[Written]:
        """Return those of the next entries whose place is to be kept."""
        return self._chosen(written)[0]

    def extend(self, written: Iterable[Written]) -> None:
        """Take note of the next entries."""
        kept, self._since_bytes, self.end = self._chosen(written)
        for each in kept:
            self.note(each.base_offset, each.kafka_offset)

    def _chosen(self, written: Iterable[Written]) -> tuple[list[Written], int, int]:
        kept, since_bytes, end = [], self._since_bytes, self.end
        for each in written:
            if since_bytes >= STRIDE_BYTES or each.base_offset != end:
                kept.append(each)
                since_bytes = 0
            since_bytes += each.stored_bytes
            end = each.next_offset
        return kept, since_bytes, end

    def note(self, base_offset: int, kafka_offset: int) -> None:
        """Note a place; they come in order."""
        self._bases.append(base_offset)
        self._kafka.append(kafka_offset)

    @property
    def first(self) -> int | None:
        """Kafka offset of the oldest entry that is known; None = there is none."""
        return self._kafka[0] if self._kafka else None

    def at_or_before(self, offset: int) -> int | None:
        """Return a Kafka offset from which on the entry that holds an offset comes; None = there is none."""
        at = bisect_right(self._bases, offset) - 1
        return None if at < 0 else self._kafka[at]

    def forget_below(self, low_offset: int) -> list[int]:
        """Forget the places that nothing at or above an offset is read from; return their bases."""
        at = max(0, bisect_right(self._bases, low_offset) - 1)
        gone = list(self._bases[:at])
        del self._bases[:at]
        del self._kafka[:at]
        return gone
