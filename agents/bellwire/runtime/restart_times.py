"""How long a supervised process was away each time it crashed; sans I/O."""

from collections import deque
from statistics import median
from typing import Final

SAMPLES_MAX: Final = 100  # of the newest; a process that crashes more often has another problem


class RestartTimes:
    """Measures from the end of a process to READY of the next, waits and failed tries included."""

    def __init__(self) -> None:
        self._ended: float | None = None
        self._seconds: deque[float] = deque(maxlen=SAMPLES_MAX)

    def ended(self, now: float) -> None:
        """Note that it ended by itself. `now` is monotonic seconds, as everywhere here."""
        if self._ended is None:  # else it was away already
            self._ended = now

    def ready(self, now: float) -> None:
        """Note that it is READY; the first start is no restart."""
        if self._ended is not None:
            self._seconds.append(now - self._ended)
            self._ended = None

    @property
    def count(self) -> int:
        """Restarts that were measured and are kept, 0..100."""
        return len(self._seconds)

    @property
    def last_seconds(self) -> float | None:
        """From the last crash to READY; None before the first."""
        return self._seconds[-1] if self._seconds else None

    @property
    def median_seconds(self) -> float | None:
        """Median of those kept; None before the first."""
        return median(self._seconds) if self._seconds else None
