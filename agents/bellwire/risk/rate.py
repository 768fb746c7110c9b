"""A token bucket on event time, in whole nanoseconds, so that a replay decides the same."""


class TokenBucket:
    """Allow `burst` orders at once and one more per `interval_nanos` of event time.

    The generic cell rate algorithm (ITU-T I.371, virtual scheduling): one integer, the time at which
    the bucket is full again, stands for the whole state. Time that runs backwards refills nothing.
    """

    __slots__ = ("_full_at", "_interval", "_now", "_tolerance")

    def __init__(self, *, burst: int, interval_nanos: int) -> None:
        self._interval = interval_nanos
        self._tolerance = (burst - 1) * interval_nanos
        self._full_at = 0
        self._now = 0

    def allows(self, now_unix_nano: int) -> bool:
        """Tell whether a token is there; takes none."""
        now = max(now_unix_nano, self._now)
        return self._full_at <= now + self._tolerance

    def take(self, now_unix_nano: int) -> None:
        """Take one token; call it only after `allows`."""
        self._now = max(now_unix_nano, self._now)
        self._full_at = max(self._full_at, self._now) + self._interval

    def tokens(self, now_unix_nano: int) -> int:
        """Return how many orders would be allowed at this instant."""
        now = max(now_unix_nano, self._now)
        room = now + self._tolerance + self._interval - max(self._full_at, now)
        return max(0, room // self._interval)
