"""Random life of the settled bitmap against a plain set of what is open."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.flight import Handout, InFlight
from bellwire.coordinator.log.protocol import Entry

COUNT_MAX = 150  # Beyond two machine words.


def handout(first: int, count: int) -> Handout:
    """A delivery that is only counted: neither its cursor nor its entry is looked at."""
    nothing: Any = None
    cursor, entry = cast(Cursor, nothing), cast(Entry, nothing)
    return Handout(cursor, entry, first, first + count, 1, 0, 0, 0, 0, 0, 0)


def covered(runs: list[tuple[int, int]]) -> set[int]:
    """The indexes in runs."""
    return {index for first, last in runs for index in range(first, last)}


class BitmapMachine(RuleBasedStateMachine):
    """Ranges overlap, touch and repeat as they like."""

    @initialize(first=st.integers(0, 5), count=st.integers(1, COUNT_MAX) | st.just(64))
    def begin(self, first: int, count: int) -> None:
        self.flight = InFlight(handout(first, count))
        self.count = count
        self.open = set(range(count))

    @rule(first=st.integers(0, COUNT_MAX), length=st.integers(1, 12) | st.integers(1, COUNT_MAX))
    def settle(self, first: int, length: int) -> None:
        first %= self.count
        last = min(self.count, first + length)
        wanted = set(range(first, last))
        runs = self.flight.settle(first, last)
        self._check_runs(runs, self.open & wanted)
        self.open -= wanted

    @invariant()
    def what_is_open_is_what_was_not_settled(self) -> None:
        if not hasattr(self, "flight"):
            return
        assert self.flight.open_count == len(self.open)
        self._check_runs(self.flight.open_runs(), self.open)

    def teardown(self) -> None:
        """Settling everything gives exactly what was left, once."""
        if not hasattr(self, "flight"):
            return
        self._check_runs(self.flight.settle(0, self.count), self.open)
        assert self.flight.settle(0, self.count) == []
        assert (self.flight.open_count, self.flight.open_runs()) == (0, [])

    def _check_runs(self, runs: list[tuple[int, int]], expected: set[int]) -> None:
        assert covered(runs) == expected
        assert all(first < last for first, last in runs)
        # In order and as long as can be: between two runs something is missing.
        assert all(runs[at][1] < runs[at + 1][0] for at in range(len(runs) - 1))


TestSettledBitmap = BitmapMachine.TestCase
TestSettledBitmap.settings = settings(max_examples=150, stateful_step_count=25)
