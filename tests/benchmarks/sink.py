"""What the subscriber does with each message: count it, and in a latency run time it."""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tests.benchmarks.payload import HEADER

UNPACK: Final = HEADER.unpack_from


class Arrivals:
    """Counts distinct sequence numbers from `first` on, duplicates, and arrivals out of order."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.duplicates = 0
        self.out_of_order = 0
        self._next = first
        self._early: set[int] = set()

    def note(self, sequence: int) -> None:
        """Count one message; numbers below `first` belong to an earlier phase and are ignored."""
        if sequence == self._next and not self._early:
            self._next += 1
        else:
            self._note_unexpected(sequence)

    def note_all(self, sequences: Iterable[int]) -> None:
        """Count messages as `note` does, cheaper for many in order."""
        expected, early = self._next, self._early
        for sequence in sequences:
            if sequence == expected and not early:
                expected += 1
            else:
                self._next = expected
                self._note_unexpected(sequence)
                expected = self._next
        self._next = expected

    @property
    def received(self) -> int:
        """Distinct messages so far."""
        return self._next - self.first + len(self._early)

    def _note_unexpected(self, sequence: int) -> None:
        if sequence < self._next or sequence in self._early:
            self.duplicates += sequence >= self.first
            return
        if sequence > self._next:
            self.out_of_order += 1
        self._early.add(sequence)
        while self._next in self._early:
            self._early.remove(self._next)
            self._next += 1


class Sink:
    """Takes decoded payloads from a peer's subscriber, phase after phase.

    `take` and `take_all` run for every message of every peer and are charged to it as CPU of its
    subscriber, so they cost as little as they can and differ only in how many they are given.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self.begin(0, timed=False)

    def begin(self, first_sequence: int, *, timed: bool) -> None:
        """Start a phase whose messages are numbered from `first_sequence`."""
        self.arrivals = Arrivals(first_sequence)
        self.from_intended_ns = array("q")
        self.from_began_ns = array("q")
        self.last_ns = 0
        self._timed = timed
        self._expected: int | None = None
        self._complete = asyncio.Event()

    def take(self, payload: bytes) -> None:
        """Account for a payload that was decoded just now."""
        now_ns = self.last_ns = self._clock()
        stamp = UNPACK(payload)
        self.arrivals.note(stamp[0])
        if self._timed:
            self._time(stamp, now_ns)
        if self._expected is not None:
            self._check_complete(self._expected)

    def take_all(self, payloads: Sequence[bytes]) -> None:
        """Account for payloads that were decoded together just now."""
        now_ns = self.last_ns = self._clock()
        stamps = [UNPACK(payload) for payload in payloads]
        self.arrivals.note_all([stamp[0] for stamp in stamps])
        if self._timed:
            for stamp in stamps:
                self._time(stamp, now_ns)
        if self._expected is not None:
            self._check_complete(self._expected)

    async def wait_for(self, expected: int, *, quiet_seconds: float) -> None:
        """Return when `expected` messages have come, or none has for `quiet_seconds`."""
        self._expected = expected
        while self.arrivals.received < expected:
            before = self.arrivals.received
            try:
                await asyncio.wait_for(self._complete.wait(), quiet_seconds)
            except TimeoutError:
                if self.arrivals.received == before:
                    return

    def _time(self, stamp: tuple[int, int, int], now_ns: int) -> None:
        sequence, intended_ns, began_ns = stamp
        if sequence >= self.arrivals.first:
            self.from_intended_ns.append(now_ns - intended_ns)
            self.from_began_ns.append(now_ns - began_ns)

    def _check_complete(self, expected: int) -> None:
        if self.arrivals.received >= expected:
            self._complete.set()
