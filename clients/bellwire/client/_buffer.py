"""What the publisher holds for its callers: bounded in messages and bytes."""

from __future__ import annotations

from collections.abc import Iterable

from bellwire.client._segment import Segment


class Buffer:
    """Counts messages from the moment they are handed over until their fate is known.

    Attributes:
        messages: Messages held.
        size_bytes: About what they weigh.
        freed: Set by `free`; whoever tells the waiters clears it.
    """

    __slots__ = (
        "_bytes_max",
        "_generation",
        "_messages_max",
        "_unresolved",
        "freed",
        "messages",
        "size_bytes",
    )

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._generation = 0
        self._unresolved: dict[int, int] = {}
        self.messages = 0
        self.size_bytes = 0
        self.freed = False

    def fits(self, messages: int, size_bytes: int) -> bool:
        """Tell whether there is room; an empty buffer takes anything, or nothing large could pass."""
        return self.messages == 0 or (
            self.messages + messages <= self._messages_max
            and self.size_bytes + size_bytes <= self._bytes_max
        )

    def hold(self, segment: Segment) -> None:
        """Count a segment, under the current generation."""
        count = len(segment.messages)
        generation = segment.generation = self._generation
        self._unresolved[generation] = self._unresolved.get(generation, 0) + count
        self.messages += count
        self.size_bytes += segment.size_bytes

    def free(self, segments: Iterable[Segment]) -> None:
        """Stop counting segments whose fate is known."""
        self.freed = True
        for segment in segments:
            count = len(segment.messages)
            self.messages -= count
            self.size_bytes -= segment.size_bytes
            left = self._unresolved[segment.generation] - count
            if left:
                self._unresolved[segment.generation] = left
            else:
                del self._unresolved[segment.generation]

    def mark(self) -> int:
        """Return a mark behind everything held so far, for `resolved_through`."""
        self._generation += 1
        return self._generation - 1

    def resolved_through(self, mark: int) -> bool:
        """Tell whether the fate of everything held before the mark is known."""
        return all(generation > mark for generation in self._unresolved)
