"""UUIDv7 ids grow strictly whatever the clock does."""

from __future__ import annotations

import uuid
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bellwire.wire.message import MessageIds

MILLI = 1_000_000
NOW_NS = 1_700_000_000_000 * MILLI
STEPS = st.lists(
    st.tuples(st.integers(-10_000, 10_000), st.sampled_from([1, 3, 4_095, 4_096, 4_097])),
    min_size=1,
    max_size=6,
)


@given(STEPS)
def test_ids_grow_strictly_though_the_clock_jumps(steps: list[tuple[int, int]]):
    now_ns = NOW_NS
    ids = MessageIds(lambda: now_ns)
    texts = []
    for millis, count in steps:
        now_ns += millis * MILLI
        texts += [ids.next() for _ in range(count)]
    assert all(before < after for before, after in pairwise(texts))
    assert uuid.UUID(texts[-1]).version == 7


@given(st.integers(0, 2**48 - 1), st.binary(min_size=8, max_size=8))
def test_version_variant_and_length_hold_for_every_time_and_every_random(millis: int, noise: bytes):
    text = MessageIds(lambda: millis * MILLI, lambda count: noise[:count]).next()
    parsed = uuid.UUID(text)
    assert (str(parsed), parsed.version, parsed.variant) == (text, 7, uuid.RFC_4122)
    assert parsed.int >> 80 == millis


@given(st.lists(st.tuples(st.integers(-50, 50), st.sampled_from([0, 1, 2, 4_095, 4_096, 9_000]))))
def test_many_ids_at_once_are_as_if_taken_one_by_one(steps: list[tuple[int, int]]):
    now_ns = NOW_NS
    one_by_one, at_once = (MessageIds(lambda: now_ns, lambda count: bytes(count)) for _ in range(2))
    for millis, count in steps[:6]:
        now_ns += millis * MILLI
        assert at_once.many(now_ns, count) == [one_by_one.next() for _ in range(count)]
