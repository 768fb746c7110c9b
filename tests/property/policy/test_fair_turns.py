"""Turns among several: nobody who has something waits for longer than the others take."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from bellwire.policy.fair_turns import FairTurns


class Source:
    def __init__(self, held: list[int]) -> None:
        self.held = deque(held)

    def take(self) -> int | None:
        return self.held.popleft() if self.held else None


SOURCES = st.lists(st.lists(st.integers(1, 9), max_size=8), min_size=1, max_size=5)


@given(SOURCES)
def test_all_is_taken_once_and_each_in_its_order(held: list[list[int]]) -> None:
    turns: FairTurns[Source] = FairTurns()
    sources = [Source(items) for items in held]
    for source in sources:
        turns.add(source)
    taken: dict[int, list[int]] = {number: [] for number in range(len(sources))}
    for _ in range(sum(map(len, held))):
        before = [len(source.held) for source in sources]
        item = turns.take(Source.take)
        assert item is not None
        (number,) = [n for n, source in enumerate(sources) if len(source.held) != before[n]]
        taken[number].append(item)
    assert turns.take(Source.take) is None
    assert [taken[number] for number in range(len(sources))] == held


@given(SOURCES, st.data())
def test_who_has_something_is_taken_from_once_before_anybody_is_twice(
    held: list[list[int]], data: st.DataObject
) -> None:
    turns: FairTurns[int] = FairTurns()
    for number in range(len(held)):
        turns.add(number)
    waiting: dict[int, int] = {}
    for _ in range(30):
        ready = data.draw(st.sets(st.sampled_from(range(len(held)))))

        def ask(number: int, ready: set[int] = ready) -> int | None:
            return number + 1 if number in ready else None

        taken = turns.take(ask)
        assert (taken is None) == (not ready)
        if taken is None:
            continue
        for number in ready - {taken - 1}:
            waiting[number] = waiting.get(number, 0) + 1
        for number in set(waiting) - (ready - {taken - 1}):
            del waiting[number]
        assert all(count < len(held) for count in waiting.values())


def test_one_that_left_is_not_asked() -> None:
    turns: FairTurns[int] = FairTurns()
    for number in (1, 2):
        turns.add(number)
    turns.remove(1)
    turns.remove(1)
    assert list(turns) == [2]
    assert len(turns) == 1
    assert [turns.take(lambda number: number) for _ in range(2)] == [2, 2]
