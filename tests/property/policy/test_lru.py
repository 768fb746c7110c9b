"""The cache against a plain model: never too many, never too old, never the wrong value."""

from hypothesis import given
from hypothesis import strategies as st

from bellwire.policy.lru import LruTtlCache

ENTRIES = 3
TTL = 5

steps = st.lists(st.tuples(st.sampled_from(("put", "get", "wait")), st.integers(0, 5)))


@given(steps)
def test_the_cache_answers_what_a_list_in_order_of_use_would(script) -> None:
    cache: LruTtlCache[int, int] = LruTtlCache(ENTRIES, TTL)
    model: list[tuple[int, int, int]] = []  # key, value, stored at; last used last
    now = 0
    for number, (step, key) in enumerate(script):
        if step == "wait":
            now += key
            continue
        entry = next((item for item in model if item[0] == key), None)
        if step == "put":
            model = [item for item in model if item[0] != key] + [(key, number, now)]
            model = model[-ENTRIES:]
            cache.put(key, number, now)
        else:
            fresh = entry is not None and now < entry[2] + TTL
            if entry is not None:
                model.remove(entry)
                model += [entry] if fresh else []
            assert cache.get(key, now) == (entry[1] if entry is not None and fresh else None)
        assert len(cache) == len(model) <= ENTRIES
