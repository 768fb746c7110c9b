"""What the user of an unnamed subscription gave back and has not got again. No I/O."""

from __future__ import annotations

from typing import NamedTuple

from bellwire.client.received import Batch

__all__ = ["GivenBack", "Waiting"]


class Waiting(NamedTuple):
    """Messages that are to come again.

    Attributes:
        batch: The messages.
        due_at: Loop time before which they are not wanted.
    """

    batch: Batch
    due_at: float


class GivenBack:
    """Messages that the coordinator has been asked to deliver again, until it does.

    It forgets them with its stream, and another group of coordinators has never heard of them: they are brought again
    from here when their part of a subscription ends.

    Bounded by a window, policy REFUSE: more is not kept here, and comes again only if the coordinator brings it.

    Args:
        messages_max: Messages kept.
        bytes_max: Their data, bytes.
    """

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self._messages_free = messages_max
        self._bytes_free = bytes_max
        self._waiting: list[Waiting] = []

    def __len__(self) -> int:
        """How many messages wait."""
        return sum(len(each.batch) for each in self._waiting)

    def add(self, batch: Batch, due_at: float) -> None:
        """Keep messages, if there is room for them.

        Args:
            batch: All of it was given back.
            due_at: Loop time before which it is not wanted.
        """
        size_bytes = _size_bytes(batch)
        if len(batch) <= self._messages_free and size_bytes <= self._bytes_free:
            self._take_room(len(batch), size_bytes)
            self._waiting.append(Waiting(batch, due_at))

    def forget(self, topic: str, partition: int, first: int, last: int) -> None:
        """Let go of offsets that have come again, or were not given back after all.

        Args:
            topic: Topic.
            partition: Partition, 0-based.
            first: First offset.
            last: Last offset, inclusive.
        """
        if not self._waiting:  # Of nearly all deliveries.
            return
        kept: list[Waiting] = []
        for waiting in self._waiting:
            batch = waiting.batch
            low, high = first - batch.first_offset, last - batch.first_offset
            if (
                (batch.topic, batch.partition) != (topic, partition)
                or high < 0
                or low >= len(batch)
            ):
                kept.append(waiting)
                continue
            self._take_room(-len(batch), -_size_bytes(batch))
            for start, stop in ((0, low - 1), (high + 1, len(batch) - 1)):
                if start <= stop:
                    rest = batch.part(start, stop)
                    self._take_room(len(rest), _size_bytes(rest))
                    kept.append(Waiting(rest, waiting.due_at))
        self._waiting = kept

    def take_all(self) -> list[Waiting]:
        """Return everything, and keep it no more."""
        taken, self._waiting = self._waiting, []
        for waiting in taken:
            self._take_room(-len(waiting.batch), -_size_bytes(waiting.batch))
        return taken

    def _take_room(self, messages: int, size_bytes: int) -> None:
        self._messages_free -= messages
        self._bytes_free -= size_bytes


def _size_bytes(batch: Batch) -> int:
    return sum(len(message.data) for message in batch.messages)
