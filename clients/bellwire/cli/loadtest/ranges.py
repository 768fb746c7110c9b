"""A set of sequence numbers kept as ranges: a stream with few gaps costs next to nothing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

__all__ = ["Range", "Ranges", "common", "length_of"]

Range = tuple[int, int]
"""From the first number up to and without the second."""


class Ranges:
    """Sequence numbers from 0 on, as disjoint ascending ranges that do not touch."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for first, end in ranges:
            for number in range(first, end):
                self.add(number)

    def add(self, number: int) -> bool:
        """Add one number; False when it was there already."""
        ends = self._ends
        if ends and number == ends[-1]:
            ends[-1] = number + 1
            return True
        return self._insert(number)

    def _insert(self, number: int) -> bool:
        starts, ends = self._starts, self._ends
        at = bisect_right(starts, number)
        if at and number < ends[at - 1]:
            return False
        touches_left = bool(at) and ends[at - 1] == number
        touches_right = at < len(starts) and starts[at] == number + 1
        if touches_left and touches_right:
            ends[at - 1] = ends.pop(at)
            del starts[at]
        elif touches_left:
            ends[at - 1] = number + 1
        elif touches_right:
            starts[at] = number
        else:
            starts.insert(at, number)
            ends.insert(at, number + 1)
        return True

    def fill_first_gap(self) -> int:
        """Count the numbers of the lowest gap in; return how many they were, 0 without a gap."""
        if len(self._starts) < 2:
            return 0
        filled = self._starts[1] - self._ends[0]
        self._ends[0] = self._ends.pop(1)
        del self._starts[1]
        return filled

    def missing(self, count: int) -> list[Range]:
        """Return the ranges of 0..`count` - 1 that are not in the set."""
        gaps: list[Range] = []
        at = 0
        for first, end in self.ranges():
            if first >= count:
                break
            if first > at:
                gaps.append((at, first))
            at = end
        if at < count:
            gaps.append((at, count))
        return gaps

    def ranges(self) -> list[Range]:
        """Return the ranges, ascending."""
        return list(zip(self._starts, self._ends, strict=True))

    @property
    def range_count(self) -> int:
        """Number of ranges."""
        return len(self._starts)

    def __len__(self) -> int:
        return sum(self._ends) - sum(self._starts)


def length_of(ranges: Iterable[Sequence[int]]) -> int:
    """Count the numbers in ranges that do not overlap."""
    return sum(end - first for first, end in ranges)


def common(ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> int:
    """Count the numbers in both of two ascending lists of disjoint ranges."""
    found = mine = yours = 0
    while mine < len(ours) and yours < len(theirs):
        first = max(ours[mine][0], theirs[yours][0])
        end = min(ours[mine][1], theirs[yours][1])
        found += max(0, end - first)
        if ours[mine][1] <= theirs[yours][1]:
            mine += 1
        else:
            yours += 1
    return found
