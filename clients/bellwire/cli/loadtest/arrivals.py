"""What came of what one publisher sent: received, twice, out of order."""

from __future__ import annotations

from typing import Final

from bellwire.cli.loadtest.ranges import Range, Ranges

__all__ = ["Arrivals", "Lane"]

Lane = tuple[str, int]
"""Topic and partition: what the bus keeps in order."""

# Each gap costs about 100 bytes. A stream with more is broken, and its oldest gaps are given up.
GAPS_MAX: Final = 100_000


class Arrivals:
    """Accounts for the messages of one publisher at one subscriber, by their sequence numbers.

    A number that came before is a duplicate. One that comes after a higher one of its partition is
    out of order; over partitions no order is promised. What never came is missing, and whether it is
    lost depends on whether its publisher was told that the coordinator has it.
    """

    __slots__ = ("_gaps_max", "_highest", "_received", "duplicates", "given_up", "out_of_order")

    def __init__(self, gaps_max: int = GAPS_MAX) -> None:
        self.duplicates = 0
        self.out_of_order = 0
        self.given_up = 0
        """Missing messages of gaps that are no longer kept; should they come, they are duplicates."""
        self._received = Ranges()
        self._highest: dict[Lane, int] = {}
        self._gaps_max = gaps_max

    def note(self, sequence: int, lane: Lane) -> None:
        """Count one message."""
        if not self._received.add(sequence):
            self.duplicates += 1
            return
        if sequence < self._highest.get(lane, 0):
            self.out_of_order += 1
            return
        self._highest[lane] = sequence
        if self._received.range_count > self._gaps_max:
            self.given_up += self._received.fill_first_gap()

    @property
    def received(self) -> int:
        """Distinct messages so far."""
        return len(self._received) - self.given_up

    def missing(self, sent: int) -> list[Range]:
        """Return what has not come of the first `sent` messages, without what was given up."""
        return self._received.missing(sent)
