"""UUIDv7 ids grow strictly whatever the clock does."""

from __future__ import annotations

import uuid
from itertools import pairwise

import pytest
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
        assert list(at_once.many(now_ns, count)) == [one_by_one.next() for _ in range(count)]


@given(
    st.sampled_from([1, 3, 4_095, 4_096, 4_097, 9_000]),
    st.integers(0, 4_096),
    st.tuples(st.integers(-9_001, 9_001), st.integers(-9_001, 9_001)),
)
def test_a_run_of_ids_is_cut_as_a_list_of_them_is(count: int, taken: int, at: tuple[int, int]):
    ids = MessageIds(lambda: NOW_NS, lambda count: bytes(count))
    ids.many(NOW_NS, taken)
    run = ids.many(NOW_NS, count)
    texts = list(run)
    first, last = at
    assert len(run) == count
    assert list(run[first:last]) == texts[first:last]
    assert list(run[1:][first:last]) == texts[1:][first:last]
    assert (run[0], run[-1], run[count // 2]) == (texts[0], texts[-1], texts[count // 2])
    pieces = [
        before + digits + behind for before, counters, behind in run.pieces() for digits in counters
    ]
    assert b" ".join(pieces).decode() == " ".join(texts)


def test_an_id_outside_a_run_is_an_index_error():
    run = MessageIds().many(NOW_NS, 3)
    with pytest.raises(IndexError):
        run[3]
    with pytest.raises(ValueError, match="steps of 1"):
        run[::2]
