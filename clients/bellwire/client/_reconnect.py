"""When to open the next stream, without I/O."""

from __future__ import annotations

from collections.abc import Callable
from random import random as _random

from bellwire.client.settings import ClientSettings
from bellwire.policy.backoff import Backoff


class Reconnect:
    """Spaces the streams of one link.

    A coordinator that answers and ends the stream is left alone for longer and longer. One that was
    out of reach and is back is not to blame: it is asked at once, spread over the first delay only, so
    that a crowd of clients that heard of it at the same moment does not come at the same moment.
    """

    def __init__(self, settings: ClientSettings, draw: Callable[[], float] = _random) -> None:
        self._backoff = Backoff(
            settings.reconnect_first_seconds, settings.reconnect_max_seconds, draw
        )
        self._stable_seconds = settings.reconnect_max_seconds

    def after_stream(self, lived_seconds: float, floor_seconds: float = 0.0) -> float:
        """Return how long to wait after a stream that lived so long, or was never established."""
        if lived_seconds >= self._stable_seconds:
            self._backoff.reset()
        return self._backoff.next_delay(floor_seconds)

    def after_outage(self) -> float:
        """Return how long to wait once the coordinator can be reached again."""
        self._backoff.reset()
        return self._backoff.next_delay()
