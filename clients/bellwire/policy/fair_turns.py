"""Whose turn it is among several that may have something. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["FairTurns"]

P = TypeVar("P")
R = TypeVar("R")


class FairTurns(Generic[P]):
    """Takes from several in turn.

    Who was taken from stands behind all others: of n that always have something, each is taken from once in n takes,
    and one that has nothing costs the others no turn.
    """

    def __init__(self) -> None:
        self._line: deque[P] = deque()

    def __len__(self) -> int:
        return len(self._line)

    def __iter__(self) -> Iterator[P]:
        return iter(tuple(self._line))

    def add(self, one: P) -> None:
        """Let one more take part, behind the others."""
        self._line.append(one)

    def remove(self, one: P) -> None:
        """Leave one out from now on; no error if it takes no part."""
        if one in self._line:
            self._line.remove(one)

    def take(self, ask: Callable[[P], R | None]) -> R | None:
        """Return what the first in line has that has anything; None when nobody has.

        Args:
            ask: Takes what one has; None = it has nothing.
        """
        for _ in range(len(self._line)):
            one = self._line[0]
            self._line.rotate(-1)
            taken = ask(one)
            if taken is not None:
                return taken
        return None
