"""Answers on their way to a store: in batches, bounded, and none is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.source import KeptAnswer, ValueSource
from bellwire.coordinator.cache.source_level import ASKED_MAX, SourceLevel
from bellwire.coordinator.cache.write_behind import BATCH_MAX, WAITING_MAX, WriteBehind
from bellwire.policy.breaker import BreakerState


class Shelf(ValueSource):
    """Takes batches when it is told to."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.may_go_on = asyncio.Event()
        self.broken = False

    async def keep(self, answers: Sequence[KeptAnswer]) -> None:
        await self.may_go_on.wait()
        if self.broken:
            raise OSError("the disk is full")
        self.batches.append(len(answers))

    async def find(self, key: CacheKey, validity: str) -> None:
        await self.may_go_on.wait()


def answer(payload: bytes = b"x") -> KeptAnswer:
    return KeptAnswer(CacheKey("value", "1", "d"), "-", (), 0, 0, payload)


async def until(condition: Callable[[], object]) -> None:
    for _ in range(10_000):  # Turns of the event loop, which has nothing else to do.
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come to that")


async def test_many_go_in_batches_and_what_is_too_much_is_dropped_and_counted() -> None:
    shelf = Shelf()
    behind = WriteBehind(SourceLevel(shelf, 1.0), linger_seconds=60.0)
    for _ in range(WAITING_MAX + 3):
        behind.put(answer())
    assert (len(behind), behind.dropped) == (WAITING_MAX, 3)
    shelf.may_go_on.set()
    await until(lambda: not len(behind))
    await behind.close()
    assert shelf.batches == [BATCH_MAX] * (WAITING_MAX // BATCH_MAX)


async def test_bytes_are_bounded_as_well() -> None:
    behind = WriteBehind(SourceLevel(Shelf(), 1.0), linger_seconds=60.0)
    for _ in range(100):
        behind.put(answer(bytes(1 << 20)))
    assert behind.dropped > 30
    assert len(behind) + behind.dropped == 100


async def test_few_wait_a_moment_for_others_and_closing_writes_them() -> None:
    shelf = Shelf()
    shelf.may_go_on.set()
    behind = WriteBehind(SourceLevel(shelf, 1.0), linger_seconds=0.01)
    behind.put(answer())
    behind.put(answer())
    await until(lambda: shelf.batches == [2])
    late = WriteBehind(SourceLevel(shelf, 1.0), linger_seconds=3_600.0)
    late.put(answer())
    await asyncio.sleep(0)
    await late.close()
    assert shelf.batches == [2, 1]


async def test_a_store_that_takes_nothing_is_said_once_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shelf = Shelf()
    shelf.may_go_on.set()
    shelf.broken = True
    level = SourceLevel(shelf, 1.0)
    for _ in range(5):
        await level.keep([answer(), answer()])
    assert (level.write_failures, level.written) == (10, 0)
    assert caplog.text.count("takes no answers") == 1
    assert level.state is BreakerState.CLOSED  # It is read as before.


async def test_a_store_that_hangs_is_asked_by_a_few_at_once() -> None:
    shelf = Shelf()
    level = SourceLevel(shelf, 60.0)
    asked = [asyncio.create_task(level.find(CacheKey("value", "1", str(n)), "-")) for n in range(20)]  # fmt: skip
    await until(lambda: level.skipped == 20 - ASKED_MAX)
    shelf.may_go_on.set()
    assert await asyncio.gather(*asked) == [None] * 20
    assert level.misses == ASKED_MAX
