"""Which bars may go out now: never more than a given number ahead of those who follow."""

from bisect import bisect_right
from collections.abc import Sequence


class BarSchedule:
    """Hands out bar numbers in order, as followers report how far they have come. Sans-I/O."""

    __slots__ = ("_ahead_max", "_closes", "_done", "_ended", "_next")

    def __init__(self, close_times_unix_nano: Sequence[int], *, ahead_bars_max: int) -> None:
        """Take the close times, strictly rising, and how many bars may be under way (1 or more)."""
        self._closes = close_times_unix_nano
        self._ahead_max = ahead_bars_max
        self._next = 0
        self._done = 0
        self._ended = False

    @property
    def sent(self) -> int:
        """Bars handed out so far."""
        return self._next

    def due(self) -> range:
        """Return the numbers of the bars that may go out now, and count them as sent."""
        last = min(len(self._closes), self._done + self._ahead_max)
        numbers = range(self._next, max(self._next, last))
        self._next = numbers.stop
        return numbers

    def reached(self, time_unix_nano: int) -> None:
        """Note that the followers are done with every bar up to this event time.

        Times that go back, or that lie beyond what was sent, change nothing by themselves.
        """
        done = bisect_right(self._closes, time_unix_nano)
        self._done = max(self._done, min(done, self._next))

    def finish(self) -> bool:
        """Return True exactly once: when everything was sent and the followers are done with it."""
        if self._ended or self._done < len(self._closes):
            return False
        self._ended = True
        return True
