"""LRU with an absolute time to live."""

import pytest

from bellwire.policy.lru import LruTtlCache


def test_the_least_recently_used_entry_is_evicted() -> None:
    cache: LruTtlCache[str, int] = LruTtlCache(2, 60.0)
    cache.put("a", 1, 0.0)
    cache.put("b", 2, 0.0)
    assert cache.get("a", 1.0) == 1
    cache.put("c", 3, 1.0)
    assert (cache.get("a", 1.0), cache.get("b", 1.0), cache.get("c", 1.0)) == (1, None, 3)
    assert cache.evicted == 1


def test_reading_does_not_make_an_entry_live_longer() -> None:
    cache: LruTtlCache[str, int] = LruTtlCache(2, 10.0)
    cache.put("a", 1, 0.0)
    for now in range(10):
        assert cache.get("a", float(now)) == 1
    assert cache.get("a", 10.0) is None
    assert (cache.expired, cache.hits, cache.misses, len(cache)) == (1, 10, 1, 0)


def test_storing_again_begins_a_new_life() -> None:
    cache: LruTtlCache[str, int] = LruTtlCache(2, 10.0)
    cache.put("a", 1, 0.0)
    cache.put("a", 2, 9.0)
    assert cache.get("a", 15.0) == 2
    assert len(cache) == 1


def test_entries_can_be_forgotten() -> None:
    cache: LruTtlCache[str, int] = LruTtlCache(4, 10.0)
    for key in "abc":
        cache.put(key, 1, 0.0)
    cache.discard("a")
    cache.discard("never there")
    assert cache.get("a", 0.0) is None
    cache.clear()
    assert len(cache) == 0


@pytest.mark.parametrize(("entries", "ttl"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_bounds_out_of_range_are_refused(entries: int, ttl: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        LruTtlCache(entries, ttl)
