"""The bounded cache against a plain list: never too much, never too old, never outdated, never wrong."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bellwire.policy.bounded_cache import BoundedCache, CacheBounds
from bellwire.policy.generations import Generations, Stamp

ENTRIES, BYTES, ENTRY_BYTES, TTL, NEGATIVE_TTL = 4, 20, 12, 6, 2
TAGS = ("a", "b", "c", "d")
keys = st.integers(0, 6)


@dataclass
class Kept:
    """What the model remembers; `last` in the list was used last."""

    key: int
    value: int
    size: int
    expire_at: float
    is_outdated: bool = False
    tags: frozenset[str] = frozenset()


class CacheAgainstModel(RuleBasedStateMachine):
    """The real cache beside a list that is searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.generations = Generations(tags_max=len(TAGS))
        bounds = CacheBounds(
            entries_max=ENTRIES,
            bytes_max=BYTES,
            entry_bytes_max=ENTRY_BYTES,
            ttl_seconds=TTL,
            negative_ttl_seconds=NEGATIVE_TTL,
        )
        self.cache: BoundedCache[int, int] = BoundedCache(bounds, self.generations)
        self.model: list[Kept] = []
        self.held: list[tuple[Stamp, frozenset[str], set[str]]] = []
        self.now = 0.0
        self.number = 0

    def find(self, key: int) -> Kept | None:
        return next((item for item in self.model if item.key == key), None)

    def store(
        self, key: int, size: int, negative: bool, ttl: int, tags: frozenset[str], stale: bool, stamp: Stamp
    ) -> None:  # fmt: skip
        self.number += 1
        kept = self.cache.put(
            key, self.number, size, self.now, ttl_seconds=ttl, stamp=stamp, negative=negative
        )
        self.model = [item for item in self.model if item.key != key]
        assert kept == (size <= ENTRY_BYTES and not stale)
        if not kept:
            return
        life = min(ttl, NEGATIVE_TTL if negative else TTL)
        self.model.append(Kept(key, self.number, size, self.now + life, tags=tags))
        while len(self.model) > ENTRIES or sum(item.size for item in self.model) > BYTES:
            self.model.pop(0)

    @rule(key=keys, size=st.integers(0, 14), negative=st.booleans(), ttl=st.integers(1, 9),
          tags=st.frozensets(st.sampled_from(TAGS)))  # fmt: skip
    def put(self, key: int, size: int, negative: bool, ttl: int, tags: frozenset[str]) -> None:
        stamp = self.generations.stamp(sorted(tags))
        self.store(key, size, negative, ttl, tags, False, stamp)

    @rule(tags=st.frozensets(st.sampled_from(TAGS)))
    def begin_to_compute(self, tags: frozenset[str]) -> None:
        self.held.append((self.generations.stamp(sorted(tags)), tags, set()))

    @rule(key=keys)
    def end_of_computation(self, key: int) -> None:
        if self.held:
            stamp, tags, invalidated = self.held.pop(0)
            self.store(key, 1, False, TTL, tags, bool(tags & invalidated), stamp)

    @rule(key=keys)
    def get(self, key: int) -> None:
        item = self.find(key)
        if item is not None:
            self.model.remove(item)
            if self.now >= item.expire_at or item.is_outdated:
                item = None
            else:
                self.model.append(item)
        assert self.cache.get(key, self.now) == (None if item is None else item.value)

    @rule(tag=st.sampled_from(TAGS))
    def invalidate(self, tag: str) -> None:
        self.generations.invalidate(tag)
        for item in self.model:
            item.is_outdated |= tag in item.tags
        for _, _, invalidated in self.held:
            invalidated.add(tag)

    @rule(key=keys)
    def discard(self, key: int) -> None:
        self.cache.discard(key)
        self.model = [item for item in self.model if item.key != key]

    @rule(seconds=st.integers(0, 4))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def bounds_hold(self) -> None:
        assert len(self.cache) == len(self.model) <= ENTRIES
        assert self.cache.bytes == sum(item.size for item in self.model) <= BYTES


TestCacheAgainstModel = CacheAgainstModel.TestCase
