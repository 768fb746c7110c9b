"""How long to wait before the next try."""

from __future__ import annotations

from collections.abc import Callable
from random import random as _random

__all__ = ["Backoff"]


class Backoff:
    """Exponential backoff with full jitter: a uniform draw from 0 to min(cap, base × 2^tries).

    Full jitter spreads a crowd of clients that lost the same server at the same moment; source:
    M. Brooker, "Exponential Backoff and Jitter" (2015).
    """

    __slots__ = ("_base_seconds", "_cap_seconds", "_draw", "_tries")

    def __init__(
        self,
        base_seconds: float,
        cap_seconds: float,
        draw: Callable[[], float] = _random,
    ) -> None:
        """Set the bounds.

        Args:
            base_seconds: Upper bound of the first delay, > 0.
            cap_seconds: Upper bound of every delay, ≥ `base_seconds`.
            draw: Returns a number in [0, 1); injected by tests.

        Raises:
            ValueError: The bounds contradict each other.
        """
        if not 0 < base_seconds <= cap_seconds:
            raise ValueError(
                f"backoff base {base_seconds} s and cap {cap_seconds} s: "
                "the base must be above 0 and not above the cap"
            )
        self._base_seconds = base_seconds
        self._cap_seconds = cap_seconds
        self._draw = draw
        self._tries = 0

    @property
    def tries(self) -> int:
        """Delays given out since the last `reset`."""
        return self._tries

    def next_delay(self, floor_seconds: float = 0.0) -> float:
        """Return the next delay in seconds; never below `floor_seconds`, which a peer may have asked for.

        The floor is added to the draw, so that a crowd told the same floor stays spread.
        """
        bound = self.bound_seconds
        self._tries += 1
        return floor_seconds + self._draw() * bound

    @property
    def bound_seconds(self) -> float:
        """Upper bound of the next draw."""
        # 2^60 × any base is above any sensible cap; beyond, floats would overflow after days offline.
        return min(self._cap_seconds, self._base_seconds * 2.0 ** min(self._tries, 60))

    def reset(self) -> None:
        """Begin again from the base, after a success."""
        self._tries = 0
