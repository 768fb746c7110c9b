"""Which cached values are still meant: a counter for each tag, so that invalidation never scans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

__all__ = ["Generations", "Stamp"]

Stamp: TypeAlias = "tuple[int, tuple[tuple[str, int], ...]]"
"""The generations of some tags at one time; hashable."""


class Generations:
    """Counts how often each tag was invalidated.

    A value carries the stamp taken *before* it was computed; it is current while no tag of it has been
    invalidated since. At most `tags_max` counters are kept; when there are more, all values become outdated at
    once and counting begins anew: late is possible, wrong is not.
    """

    __slots__ = ("_counts", "_epoch", "_tags_max")

    def __init__(self, tags_max: int) -> None:
        """Set the bound.

        Args:
            tags_max: Tags counted, ≥ 1.

        Raises:
            ValueError: The bound is out of range.
        """
        if tags_max < 1:
            raise ValueError(f"generations of {tags_max} tags: at least 1 is needed")
        self._tags_max = tags_max
        self._counts: dict[str, int] = {}
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._counts)

    def stamp(self, tags: Sequence[str]) -> Stamp:
        """Return what a value computed from now on carries."""
        counts = self._counts
        return self._epoch, tuple((tag, counts.get(tag, 0)) for tag in tags)

    def is_current(self, stamp: Stamp) -> bool:
        """Tell whether nothing that a stamp stands for was invalidated since."""
        epoch, counted = stamp
        counts = self._counts
        return epoch == self._epoch and all(counts.get(tag, 0) == count for tag, count in counted)

    def invalidate(self, tag: str) -> None:
        """Outdate every value with that tag, those being computed included; O(1)."""
        if tag not in self._counts and len(self._counts) >= self._tags_max:
            self.invalidate_all()
            return
        self._counts[tag] = self._counts.get(tag, 0) + 1

    def invalidate_all(self) -> None:
        """Outdate every value; O(1)."""
        self._epoch += 1
        self._counts = {}
