"""When to stop asking somebody who does not answer, and when to try again."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from random import random as _random
from typing import Final

from bellwire.policy.backoff import Backoff

__all__ = ["Breaker", "BreakerState"]

PROBE_SECONDS_MAX: Final = (
    30.0  # A probe nobody reports of is taken for lost, and another is let through.
)


class BreakerState(Enum):
    """What a breaker does with the next request."""

    CLOSED = "closed"
    """Lets all through."""
    OPEN = "open"
    """Lets none through until its time has come."""
    HALF_OPEN = "half-open"
    """Has let one through and waits for what comes of it."""


class Breaker:
    """A circuit breaker whose half-open state admits exactly one request.

    `failures_max` failures in a row open it. It stays open for a capped, jittered time that doubles with each
    probe that fails; then one request is the probe: its success closes the breaker, its failure opens it again.
    What was admitted before the last change of state may end as it likes: it changes nothing.

    Every admission must be followed by `succeeded`, `failed` or `abandoned`. The caller passes `now`, monotonic
    seconds, so tests need no clock. Source: M. Nygard, "Release It!" (2007), ch. 5.2.

    Attributes:
        state: What it does with the next request.
        opened: Times it has opened.
        refused: Requests not let through.
    """

    __slots__ = (
        "_backoff",
        "_epoch",
        "_failures",
        "_failures_max",
        "_open_seconds_min",
        "_until",
        "opened",
        "refused",
        "state",
    )

    def __init__(
        self,
        failures_max: int,
        open_seconds_min: float,
        open_seconds_max: float,
        draw: Callable[[], float] = _random,
    ) -> None:
        """Set the bounds.

        Args:
            failures_max: Failures in a row that open it, ≥ 1.
            open_seconds_min: Shortest time it stays open, > 0; also the bound of the first jitter.
            open_seconds_max: Bound of the jitter added to it, ≥ `open_seconds_min`.
            draw: Returns a number in [0, 1); injected by tests.

        Raises:
            ValueError: A bound is out of range.
        """
        if failures_max < 1:
            raise ValueError(f"breaker opens after {failures_max} failures: at least 1 is needed")
        self._backoff = Backoff(open_seconds_min, open_seconds_max, draw)
        self._open_seconds_min = open_seconds_min
        self._failures_max = failures_max
        self._failures = 0
        self._until = 0.0
        self._epoch = 0
        self.state = BreakerState.CLOSED
        self.opened = 0
        self.refused = 0

    def admit(self, now: float) -> int | None:
        """Return a ticket to be given back with what came of the request; None = do not ask."""
        if self.state is not BreakerState.CLOSED:
            if now < self._until:
                self.refused += 1
                return None
            self._become(BreakerState.HALF_OPEN)
            self._until = now + PROBE_SECONDS_MAX
        return self._epoch

    def succeeded(self, ticket: int) -> None:
        """Take note of an answer, whatever it says."""
        if ticket != self._epoch:
            return
        self._failures = 0
        if self.state is BreakerState.HALF_OPEN:
            self._backoff.reset()
            self._become(BreakerState.CLOSED)

    def failed(self, ticket: int, now: float) -> None:
        """Take note that there was no answer."""
        if ticket != self._epoch:
            return
        self._failures += 1
        if self.state is BreakerState.HALF_OPEN or self._failures >= self._failures_max:
            self._failures = 0
            self._until = now + self._backoff.next_delay(self._open_seconds_min)
            self.opened += 1
            self._become(BreakerState.OPEN)

    def abandoned(self, ticket: int, now: float) -> None:
        """Take note that the request was given up before it told anything: the next may be the probe."""
        if ticket == self._epoch and self.state is BreakerState.HALF_OPEN:
            self._until = now

    def _become(self, state: BreakerState) -> None:
        self.state = state
        self._epoch += 1
