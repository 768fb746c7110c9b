"""Cursors that may have something to deliver, by priority class of their topics."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from bellwire.coordinator.core.cursor import Cursor


class ReadyQueue:
    """Cursors in turn; a higher priority class always goes first, within a class they take turns."""

    __slots__ = ("_classes",)

    def __init__(self) -> None:
        self._classes: dict[int, deque[Cursor]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._classes.values()))

    def __bool__(self) -> bool:
        return any(self._classes.values())

    def __iter__(self) -> Iterator[Cursor]:
        for queue in self.classes():
            yield from queue

    def classes(self) -> list[deque[Cursor]]:
        """Return the queues that hold something, the most urgent first."""
        if len(self._classes) == 1:
            return [queue for queue in self._classes.values() if queue]
        return [self._classes[rank] for rank in sorted(self._classes) if self._classes[rank]]

    def push(self, cursor: Cursor) -> None:
        """Queue a cursor behind the others of its class."""
        if not cursor.queued:
            cursor.queued = True
            rank = cursor.partition.topic.settings.priority_class
            queue = self._classes.get(rank)
            if queue is None:
                queue = self._classes[rank] = deque()
            queue.append(cursor)

    def remove(self, cursor: Cursor) -> None:
        """Take a cursor out, wherever it stands."""
        for queue in self._classes.values():
            if cursor in queue:
                queue.remove(cursor)
                cursor.queued = False

    def drop(self, gone: Callable[[Cursor], bool]) -> None:
        """Take out every cursor of which `gone` is true."""
        for queue in self._classes.values():
            kept = [cursor for cursor in queue if not gone(cursor)]
            for cursor in queue:
                cursor.queued = False
            queue.clear()
            queue.extend(kept)
            for cursor in kept:
                cursor.queued = True

    def clear(self) -> None:
        """Take out everything."""
        self.drop(lambda _: True)
