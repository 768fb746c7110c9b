"""What was given back and has not come again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import Disposition
from bellwire.client._given_back import GivenBack
from bellwire.client.received import Batch

OFFSETS = st.integers(0, 9)
RANGES = st.tuples(st.sampled_from(["bars", "ticks"]), OFFSETS, OFFSETS).filter(
    lambda each: each[1] <= each[2]
)


class Nobody:
    """Takes no dispositions: these tests make none."""

    def settle(
        self,
        batch: Batch,
        first: int,
        last: int,
        disposition: Disposition.ValueType,
        delay_millis: int = 0,
        reason: str = "",
    ) -> None:
        raise AssertionError("nothing is settled here")


def batch(first: int, last: int, topic: str = "bars", data: bytes = b"") -> Batch:
    messages = [Message(data=data or b"%d" % offset) for offset in range(first, last + 1)]
    return Batch(messages, topic, 0, first, Nobody())


def offsets(kept: GivenBack) -> list[tuple[str, int]]:
    return [
        (each.batch.topic, each.batch.first_offset + index)
        for each in kept.take_all()
        for index in range(len(each.batch))
    ]


def test_what_comes_again_in_pieces_is_kept_but_for_these_and_with_its_time() -> None:
    kept = GivenBack(10, 100)
    kept.add(batch(0, 5), 7.0)
    kept.forget("bars", 0, 2, 3)
    kept.forget("bars", 1, 0, 9)
    found = [(each.batch.first_offset, len(each.batch), each.due_at) for each in kept.take_all()]
    assert found == [(0, 2, 7.0), (4, 2, 7.0)]
    assert kept.take_all() == []


def test_no_more_than_a_window_is_kept_and_room_comes_back() -> None:
    kept = GivenBack(4, 10)
    kept.add(batch(0, 4), 0.0)  # Too many.
    kept.add(batch(10, 11, data=b"123456"), 0.0)  # Too large.
    assert len(kept) == 0
    for _ in range(3):
        kept.add(batch(0, 3), 0.0)
        kept.add(batch(4, 4), 0.0)
        assert len(kept) == 4
        kept.forget("bars", 0, 1, 2)
        assert offsets(kept) == [("bars", 0), ("bars", 3)]


@given(st.lists(st.tuples(st.booleans(), RANGES)))
def test_what_is_kept_is_what_was_given_back_and_has_not_come(
    steps: list[tuple[bool, tuple[str, int, int]]],
) -> None:
    kept, expected = GivenBack(1_000_000, 1_000_000), set[tuple[str, int]]()
    for is_given_back, (topic, first, last) in steps:
        concerned = {(topic, offset) for offset in range(first, last + 1)}
        kept.forget(topic, 0, first, last)
        expected -= concerned
        if is_given_back:
            kept.add(batch(first, last, topic), 0.0)
            expected |= concerned
    assert len(kept) == len(expected)
    assert sorted(offsets(kept)) == sorted(expected)
