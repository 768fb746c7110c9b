"""Batches and messages as they are handed over, and how they are settled."""

import pytest

from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_REJECT,
    DISPOSITION_RELEASE,
)
from bellwire.client.received import Batch, runs
from bellwire.wire.message import new_message


class Recorder:
    """A settler that notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, int, int, str]] = []

    def settle(self, batch, first, last, disposition, delay_millis=0, reason="") -> None:
        self.calls.append((first, last, disposition, delay_millis, reason))


def batch_of(count: int, settler: Recorder) -> Batch:
    messages = [new_message(data=bytes([n]), key=f"K{n}") for n in range(count)]
    return Batch(messages, "bars", 3, 100, settler, attempt=2, lease=5, first_tag=40)


async def test_accepting_a_batch_settles_what_is_open_in_as_few_ranges_as_possible() -> None:
    settler = Recorder()
    batch = batch_of(6, settler)
    batch.settle_open(2, 3, DISPOSITION_RELEASE)
    await batch.accept()
    assert settler.calls == [
        (2, 3, DISPOSITION_RELEASE, 0, ""),
        (0, 1, DISPOSITION_ACCEPT, 0, ""),
        (4, 5, DISPOSITION_ACCEPT, 0, ""),
    ]
    assert batch.settled


async def test_a_settled_batch_is_not_settled_again() -> None:
    settler = Recorder()
    batch = batch_of(2, settler)
    await batch.accept()
    assert not batch.settle_open(0, 1, DISPOSITION_ACCEPT)
    await batch.accept()
    assert len(settler.calls) == 1


async def test_release_and_reject_carry_their_delay_and_reason() -> None:
    settler = Recorder()
    await batch_of(2, settler).release(delay_seconds=1.5)
    await batch_of(2, settler).reject(reason="cannot be parsed")
    assert settler.calls == [
        (0, 1, DISPOSITION_RELEASE, 1_500, ""),
        (0, 1, DISPOSITION_REJECT, 0, "cannot be parsed"),
    ]


def test_messages_of_a_batch_know_their_place() -> None:
    batch = batch_of(3, Recorder())
    found = list(batch)
    assert [m.offset for m in found] == [100, 101, 102]
    assert [m.key for m in found] == ["K0", "K1", "K2"]
    assert {(m.topic, m.partition, m.attempt) for m in found} == {("bars", 3, 2)}
    batch.settle_open(1, 1, DISPOSITION_ACCEPT)
    assert [m.settled for m in found] == [False, True, False]


def test_a_part_of_a_batch_keeps_offsets_and_tags() -> None:
    part = batch_of(6, Recorder()).part(2, 4)
    assert (len(part), part.first_offset, part.first_tag, part.lease) == (3, 102, 42, 5)
    assert [m.data for m in part] == [b"\x02", b"\x03", b"\x04"]


def test_settle_done_accepts_only_what_was_finished() -> None:
    settler = Recorder()
    batch = batch_of(5, settler)
    batch.settle_done()
    assert settler.calls == []
    batch.done = 3
    batch.settle_done()
    batch.settle_done()
    assert settler.calls == [(0, 2, DISPOSITION_ACCEPT, 0, "")]


@pytest.mark.parametrize(
    ("bits", "expected"),
    [(0, []), (0b1, [(0, 0)]), (0b1110, [(1, 3)]), (0b1011_0001, [(0, 0), (4, 5), (7, 7)])],
)
def test_runs_are_the_ranges_of_ones(bits: int, expected: list[tuple[int, int]]) -> None:
    assert list(runs(bits)) == expected
