"""A cache in memory, bounded in bytes and entries, whose values grow old or are outdated."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from bellwire.policy.generations import Generations, Stamp

__all__ = ["NO_TAGS", "BoundedCache", "CacheBounds"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

NO_TAGS: Final[Stamp] = (0, ())


class CacheBounds:
    """How much a cache keeps and for how long; policy when full: the least recently used goes."""

    __slots__ = (
        "bytes_max",
        "entries_max",
        "entry_bytes_max",
        "negative_ttl_seconds",
        "ttl_seconds",
    )

    def __init__(
        self,
        *,
        entries_max: int,
        bytes_max: int,
        entry_bytes_max: int,
        ttl_seconds: float,
        negative_ttl_seconds: float,
    ) -> None:
        """Check the bounds.

        Args:
            entries_max: Entries kept, ≥ 1.
            bytes_max: Bytes kept, ≥ 1, as the caller measures them.
            entry_bytes_max: A larger entry is not kept at all, 1 … `bytes_max`.
            ttl_seconds: Longest life of a value, > 0.
            negative_ttl_seconds: Longest life of a failure or an absence, ≥ 0; 0 = these are not kept.

        Raises:
            ValueError: A bound is out of range.
        """
        if entries_max < 1 or not 1 <= entry_bytes_max <= bytes_max:
            raise ValueError(
                f"cache of {entries_max} entries and {bytes_max} bytes with entries of up to {entry_bytes_max}: "
                "all must be above 0, and one entry must fit"
            )
        if not ttl_seconds > 0 or not negative_ttl_seconds >= 0:
            raise ValueError(
                f"cache for {ttl_seconds} s, and {negative_ttl_seconds} s for failures: "
                "the first must be above 0, the second not below"
            )
        self.entries_max = entries_max
        self.bytes_max = bytes_max
        self.entry_bytes_max = entry_bytes_max
        self.ttl_seconds = ttl_seconds
        self.negative_ttl_seconds = negative_ttl_seconds


class _Entry(Generic[V]):
    __slots__ = ("expire_at", "negative", "size_bytes", "stamp", "value")

    def __init__(
        self, value: V, size_bytes: int, expire_at: float, stamp: Stamp, negative: bool
    ) -> None:
        self.value = value
        self.size_bytes = size_bytes
        self.expire_at = expire_at
        self.stamp = stamp
        self.negative = negative


class BoundedCache(Generic[K, V]):
    """Least recently used, absolute time to live, every step O(1).

    Reading keeps an entry from being evicted and never makes it live longer. The caller passes `now`, monotonic
    seconds, and measures sizes; None is no value.

    Attributes:
        bytes: Kept now.
        hits: Values returned, those of `negative_hits` included.
        negative_hits: Failures and absences returned.
        misses: Values not there, those of `expired` and `outdated` included.
        expired: Entries found too old.
        outdated: Entries found invalidated.
        evicted: Entries that made room for others.
        refused: Entries too large to be kept.
    """

    __slots__ = (
        "_bounds",
        "_entries",
        "_generations",
        "bytes",
        "evicted",
        "expired",
        "hits",
        "misses",
        "negative_hits",
        "outdated",
        "refused",
    )

    def __init__(self, bounds: CacheBounds, generations: Generations | None = None) -> None:
        self._bounds = bounds
        self._generations = Generations(1) if generations is None else generations
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.negative_hits = 0
        self.misses = 0
        self.expired = 0
        self.outdated = 0
        self.evicted = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, now: float) -> V | None:
        """Return the value, or None when it is absent, too old or outdated."""
        entry = self._entries.get(key)
        if entry is not None:
            if now >= entry.expire_at:
                self.expired += 1
                self._drop(key)
            elif not self._generations.is_current(entry.stamp):
                self.outdated += 1
                self._drop(key)
            else:
                self._entries.move_to_end(key)
                self.hits += 1
                self.negative_hits += entry.negative
                return entry.value
        self.misses += 1
        return None

    def put(
        self,
        key: K,
        value: V,
        size_bytes: int,
        now: float,
        *,
        ttl_seconds: float | None = None,
        stamp: Stamp = NO_TAGS,
        negative: bool = False,
    ) -> bool:
        """Keep a value as of `now`; tell whether it is kept.

        Args:
            key: What it is found by; an older value under it is gone in any case.
            value: What `get` returns.
            size_bytes: What it counts for, ≥ 0.
            now: Monotonic seconds.
            ttl_seconds: How long it is valid; the bounds may shorten it. None = as the bounds say.
            stamp: Taken before the value was computed.
            negative: Whether it stands for a failure or an absence.
        """
        bounds = self._bounds
        if key in self._entries:
            self._drop(key)
        life = bounds.negative_ttl_seconds if negative else bounds.ttl_seconds
        if ttl_seconds is not None:
            life = min(life, ttl_seconds)
        if size_bytes > bounds.entry_bytes_max:
            self.refused += 1
            return False
        if life <= 0 or not self._generations.is_current(stamp):
            return False
        self._entries[key] = _Entry(value, size_bytes, now + life, stamp, negative)
        self.bytes += size_bytes
        while len(self._entries) > bounds.entries_max or self.bytes > bounds.bytes_max:
            self._drop(next(iter(self._entries)))
            self.evicted += 1
        return True

    def discard(self, key: K) -> None:
        """Forget one entry, if it is there."""
        if key in self._entries:
            self._drop(key)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.bytes = 0

    def _drop(self, key: K) -> None:
        self.bytes -= self._entries.pop(key).size_bytes
