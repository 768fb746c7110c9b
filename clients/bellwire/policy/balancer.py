"""Which of several peers gets the next piece of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import randrange as _randrange
from typing import TypeVar

__all__ = ["pick_of_two"]

T = TypeVar("T")


def pick_of_two(
    candidates: Sequence[T],
    load: Callable[[T], float],
    randrange: Callable[[int], int] = _randrange,
) -> T:
    """Return the less loaded of two different candidates drawn at random.

    Two draws keep the longest queue exponentially shorter than one draw does, and unlike "the least
    loaded of all" do not send a whole burst to the same peer while its load report is stale; source:
    M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (1996). A tie goes to the
    first draw.

    Args:
        candidates: Peers to choose from.
        load: Work a peer has; smaller is better.
        randrange: Returns an integer in [0, n); injected by tests.

    Raises:
        ValueError: There are no candidates.
    """
    count = len(candidates)
    if count == 0:
        raise ValueError("no candidates to choose from")
    if count == 1:
        return candidates[0]
    first = randrange(count)
    second = randrange(count - 1)
    if second >= first:
        second += 1
    one, other = candidates[first], candidates[second]
    return other if load(other) < load(one) else one
