"""The bounded cache: what goes first, what is too old, what is outdated, what does not fit."""

from __future__ import annotations

import pytest

from bellwire.policy.bounded_cache import BoundedCache, CacheBounds
from bellwire.policy.generations import Generations


def cache(
    generations: Generations | None = None, *, entries: int = 3, size: int = 100, entry: int = 60
) -> BoundedCache[str, str]:
    bounds = CacheBounds(
        entries_max=entries,
        bytes_max=size,
        entry_bytes_max=entry,
        ttl_seconds=10.0,
        negative_ttl_seconds=1.0,
    )
    return BoundedCache(bounds, generations)


def test_bytes_are_a_bound_of_their_own_and_the_least_recently_used_goes() -> None:
    kept = cache()
    kept.put("a", "1", 50, 0.0)
    kept.put("b", "2", 50, 0.0)
    assert kept.get("a", 0.0) == "1"
    kept.put("c", "3", 40, 0.0)
    assert (kept.get("a", 0.0), kept.get("b", 0.0), kept.get("c", 0.0)) == ("1", None, "3")
    assert (kept.bytes, kept.evicted, len(kept)) == (90, 1, 2)


def test_one_large_value_may_cost_many_small_ones() -> None:
    kept = cache(entries=10)
    for n in range(10):
        kept.put(str(n), "x", 10, 0.0)
    kept.put("large", "y", 60, 0.0)
    assert [kept.get(str(n), 0.0) for n in range(10)] == [None] * 6 + ["x"] * 4
    assert kept.get("large", 0.0) == "y"
    assert kept.bytes == 100


def test_a_value_that_is_too_large_is_not_kept_and_neither_is_the_one_it_replaces() -> None:
    kept = cache()
    kept.put("a", "old", 10, 0.0)
    assert not kept.put("a", "new", 61, 0.0)
    assert kept.get("a", 0.0) is None
    assert (kept.refused, kept.bytes) == (1, 0)


def test_time_to_live_is_absolute_and_may_only_be_shortened() -> None:
    kept = cache()
    kept.put("a", "1", 1, 0.0, ttl_seconds=4.0)
    kept.put("b", "2", 1, 0.0, ttl_seconds=99.0)
    assert [kept.get("a", now) for now in (1.0, 3.9, 4.0)] == ["1", "1", None]
    assert [kept.get("b", now) for now in (5.0, 9.9, 10.0)] == ["2", "2", None]
    assert (kept.expired, kept.bytes) == (2, 0)


def test_failures_live_shorter_or_not_at_all() -> None:
    kept = cache()
    kept.put("a", "no", 1, 0.0, ttl_seconds=5.0, negative=True)
    assert (kept.get("a", 0.9), kept.get("a", 1.0)) == ("no", None)
    assert (kept.hits, kept.negative_hits) == (1, 1)
    bounds = CacheBounds(
        entries_max=1, bytes_max=1, entry_bytes_max=1, ttl_seconds=1.0, negative_ttl_seconds=0.0
    )
    never: BoundedCache[str, str] = BoundedCache(bounds)
    assert not never.put("a", "no", 1, 0.0, negative=True)


def test_a_tag_outdates_its_values_and_no_others() -> None:
    generations = Generations(10)
    kept = cache(generations)
    kept.put("a", "1", 1, 0.0, stamp=generations.stamp(["bars"]))
    kept.put("b", "2", 1, 0.0, stamp=generations.stamp(["signals", "bars"]))
    kept.put("c", "3", 1, 0.0, stamp=generations.stamp(["signals"]))
    generations.invalidate("bars")
    assert [kept.get(key, 0.0) for key in "abc"] == [None, None, "3"]
    assert (kept.outdated, kept.bytes) == (2, 1)


def test_what_was_computed_before_an_invalidation_is_not_kept_after_it() -> None:
    generations = Generations(10)
    kept = cache(generations)
    before = generations.stamp(["bars"])
    generations.invalidate("bars")
    assert not kept.put("a", "stale", 1, 0.0, stamp=before)
    assert kept.put("a", "fresh", 1, 0.0, stamp=generations.stamp(["bars"]))


def test_too_many_tags_outdate_everything_and_nothing_wrong_comes_back() -> None:
    generations = Generations(2)
    stamps = [generations.stamp([tag]) for tag in "abc"]
    generations.invalidate("a")
    generations.invalidate("b")
    assert [generations.is_current(stamp) for stamp in stamps] == [False, False, True]
    generations.invalidate("c")
    assert len(generations) == 0
    assert [generations.is_current(stamp) for stamp in stamps] == [False, False, False]
    assert generations.is_current(generations.stamp(["a", "b", "c"]))


def test_entries_can_be_forgotten() -> None:
    kept = cache()
    kept.put("a", "1", 5, 0.0)
    kept.discard("a")
    kept.discard("never there")
    assert (kept.get("a", 0.0), kept.bytes) == (None, 0)
    kept.put("b", "2", 5, 0.0)
    kept.clear()
    assert (len(kept), kept.bytes) == (0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"entries_max": 0},
        {"bytes_max": 0},
        {"entry_bytes_max": 11},
        {"entry_bytes_max": 0},
        {"ttl_seconds": 0.0},
        {"ttl_seconds": float("nan")},
        {"negative_ttl_seconds": -1.0},
    ],
)
def test_bounds_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    right = {"entries_max": 1, "bytes_max": 10, "entry_bytes_max": 1, "ttl_seconds": 1.0}
    with pytest.raises(ValueError, match=r"must be above 0|the first must be"):
        CacheBounds(**{**right, "negative_ttl_seconds": 1.0, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        Generations(0)
