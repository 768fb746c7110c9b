"""Which stretches of a log to read, newest first, until enough messages of a type are found."""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from bellwire.bus.v1.message_pb2 import Message

LOOKED_AT_MAX: Final = 500_000  # of one look back: fifty messages for one of ten thousand wanted
BYTES_MAX: Final = (
    256 * 1024 * 1024
)  # of payload in one look back; DROP_OLDEST, and fewer are returned
GROWTH: Final = 2  # of each stretch: what is rare is found in a few reads, and half of it in vain


class Tail:
    """Keeps the newest messages of those it is shown; bounded by number and bytes, DROP_OLDEST."""

    def __init__(self, messages_max: int, bytes_max: int = BYTES_MAX) -> None:
        self._messages: deque[Message] = deque()
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self.bytes = 0
        """Of payload, in those kept."""
        self.is_cut = False
        """Some were dropped."""

    def add(self, message: Message) -> None:
        """Take the next one."""
        self._messages.append(message)
        self.bytes += len(message.data)
        while len(self._messages) > self._messages_max or self.bytes > self._bytes_max:
            self.bytes -= len(self._messages.popleft().data)
            self.is_cut = True

    def messages(self) -> Sequence[Message]:
        """Return those kept, the oldest first."""
        return tuple(self._messages)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Offsets of a partition, `begin` included and `end` not, and what may be kept of them."""

    partition: int
    begin: int
    end: int
    messages_max: int
    bytes_max: int


class PartitionLook:
    """One partition, read backwards without a hole."""

    def __init__(self, partition: int, low: int, end: int, bytes_max: int = BYTES_MAX) -> None:
        """Begin at an offset, `end`, and go back to the oldest one kept, `low`."""
        self.partition = partition
        self.found = 0
        """Messages found."""
        self._low = low
        self._end = end
        self._bytes_left = bytes_max
        self._length = 0
        self._stretches: list[Sequence[Message]] = []

    @property
    def is_done(self) -> bool:
        """Nothing is left to be read, or no room."""
        return self._end <= self._low

    def next(self, share: int, missing: int, left: int) -> Stretch:
        """Return what to read next.

        Args:
            share: Messages this partition should give; where they were not found, more is read each time.
            missing: Messages that may be kept.
            left: Messages that may be looked at.
        """
        wanted = max(share, GROWTH * self._length)
        self._length = min(wanted, left, self._end - self._low)
        begin = self._end - self._length
        return Stretch(self.partition, begin, self._end, missing, self._bytes_left)

    def take(self, tail: Tail, begin: int) -> None:
        """Note what was found from an offset on; what lies before a loss is given up."""
        messages = tail.messages()
        self._stretches.append(messages)
        self.found += len(messages)
        self._bytes_left -= tail.bytes
        was_overtaken = begin > self._end - self._length
        self._end = self._low if tail.is_cut or was_overtaken else begin

    def messages(self) -> Sequence[Message]:
        """Return all that were found, the oldest first."""
        return tuple(chain.from_iterable(reversed(self._stretches)))


class LookBack:
    """The newest messages of some partitions: equal shares first, then more where the log has more."""

    def __init__(
        self, partitions: Sequence[PartitionLook], messages_max: int, looked_at_max: int
    ) -> None:
        """Plan to find so many, and to look at so many at most (at those wanted in any case)."""
        self._partitions = partitions
        self._wanted = messages_max
        self._left = max(messages_max, looked_at_max)
        self.looked_at = 0
        """Messages in the stretches so far."""

    @property
    def missing(self) -> int:
        """Messages still to be found."""
        return max(0, self._wanted - sum(each.found for each in self._partitions))

    @property
    def is_cut(self) -> bool:
        """The bound of what is looked at was reached before enough were found."""
        return bool(self._left <= 0 and self.missing and self._open())

    def round(self) -> Sequence[tuple[PartitionLook, Stretch]]:
        """Return what to read next, of each partition one stretch; empty = that is all."""
        missing, chosen = self.missing, self._open()
        if not missing:
            return ()
        share = -(-missing // len(chosen)) if chosen else 0
        stretches = []
        for number, each in enumerate(chosen):
            left = -(-self._left // (len(chosen) - number))
            if left <= 0:
                break
            stretch = each.next(share, missing, left)
            self._left -= stretch.end - stretch.begin
            self.looked_at += stretch.end - stretch.begin
            stretches.append((each, stretch))
        return stretches

    def messages(self) -> Sequence[Message]:
        """Return the newest of what was found, merged by time as a replay merges partitions."""
        each = [look.messages() for look in self._partitions]
        merged = heapq.merge(*each, key=lambda message: message.time_unix_nano)
        return tuple(merged)[-self._wanted :]

    def _open(self) -> list[PartitionLook]:
        return [each for each in self._partitions if not each.is_done]
