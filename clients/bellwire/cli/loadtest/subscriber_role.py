"""A subscriber of a load test: takes deliveries and keeps account of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, cast

from bellwire.cli.loadtest.arrivals import Arrivals
from bellwire.cli.loadtest.histogram import LatencyHistogram
from bellwire.cli.loadtest.protocol import Begin, Finish, Json, Received, Since
from bellwire.cli.loadtest.stamp import STAMP, STAMP_BYTES
from bellwire.client import Batch

__all__ = ["Sink", "SubscriberRole"]

UNPACK: Final = STAMP.unpack_from


class Sink:
    """Counts and times the messages of one level; all others are somebody else's."""

    def __init__(self, run: int, level: int, publishers: int, measure_from_ns: int = 0) -> None:
        self.arrivals = [Arrivals() for _ in range(publishers)]
        self.last_ns = 0
        self._run = run
        self._level = level
        self._measure_from_ns = measure_from_ns
        self._received_before = 0
        self._total = LatencyHistogram()
        self._interval = LatencyHistogram()

    def take(self, payloads: Sequence[bytes], lane: tuple[str, int], now_ns: int) -> int:
        """Account for payloads that arrived now on one lane; return how many were ours."""
        latencies = []
        ours = 0
        for payload in payloads:
            if len(payload) < STAMP_BYTES:
                continue
            run, level, publisher, sequence, intended_ns = UNPACK(payload)
            if run != self._run or level != self._level:
                continue
            ours += 1
            self.arrivals[publisher].note(sequence, lane)
            if intended_ns >= self._measure_from_ns:
                latencies.append(now_ns - intended_ns)
        if ours:
            self.last_ns = now_ns
        if now_ns < self._measure_from_ns:
            self._received_before = self.received
        self._interval.add_all(latencies)
        return ours

    @property
    def received(self) -> int:
        """Distinct messages so far."""
        return sum(arrivals.received for arrivals in self.arrivals)

    @property
    def measured(self) -> int:
        """Distinct messages that arrived after the warm-up, whenever they were due."""
        return self.received - self._received_before

    def take_interval(self) -> LatencyHistogram:
        """Return the latencies since the last call."""
        interval, self._interval = self._interval, LatencyHistogram()
        self._total.merge(interval)
        return interval

    def total(self) -> LatencyHistogram:
        """Return all latencies so far."""
        self.take_interval()
        return self._total


class SubscriberRole:
    """Answers the commands of the conductor for one subscriber."""

    def __init__(self, run: int, publishers: int, dropped: Callable[[], int]) -> None:
        """Take the run, the number of its publishers, and who tells what the client saw dropped."""
        self._run = run
        self._publishers = publishers
        self._dropped = dropped
        self._arrived = asyncio.Event()
        self._error = ""
        self._sink = Sink(run, -1, publishers)
        self._dropped_before = 0
        self._received_before = 0

    def take(self, batch: Batch) -> None:
        """Account for a delivery."""
        now_ns = time.monotonic_ns()
        payloads = [message.data for message in batch.messages]
        if self._sink.take(payloads, (batch.topic, batch.partition), now_ns):
            self._arrived.set()

    def end(self, reason: str) -> None:
        """Note that nothing will come any more."""
        self._error = reason
        self._arrived.set()

    async def do(self, command: str, arguments: Json) -> Json:
        """Run `begin` (a level), ask for its `status`, or `finish` it."""
        if command == "begin":
            self._begin(**cast("Begin", arguments))
            return {}
        if command == "status":
            return {**self._status()}
        if command == "finish":
            return {**await self._finish(**cast("Finish", arguments))}
        raise ValueError(f"a subscriber cannot {command!r}")

    def _begin(self, *, level: int, measure_from_ns: int) -> None:
        self._dropped_before = self._dropped()
        self._received_before = 0
        self._sink = Sink(self._run, level, self._publishers, measure_from_ns)

    def _status(self) -> Since:
        since = self._sink.received - self._received_before
        self._received_before += since
        return {"received": since, "latency": self._sink.take_interval().to_json()}

    async def _finish(
        self, *, sent: Sequence[int], expected: int, quiet_seconds: float
    ) -> Received:
        """Wait for the rest and tell what came."""
        sink = self._sink
        await self._wait_for(expected, quiet_seconds)
        arrivals = list(zip(sink.arrivals, sent, strict=True))
        return {
            "received": sink.received,
            "measured": sink.measured,
            "missing": [account.missing(count) for account, count in arrivals],
            "given_up": sum(account.given_up for account, _ in arrivals),
            "duplicates": sum(account.duplicates for account, _ in arrivals),
            "out_of_order": sum(account.out_of_order for account, _ in arrivals),
            "dropped": self._dropped() - self._dropped_before,
            "last_ns": sink.last_ns,
            "error": self._error,
            "latency": sink.total().to_json(),
        }

    async def _wait_for(self, expected: int, quiet_seconds: float) -> None:
        while self._sink.received < expected and not self._error:
            self._arrived.clear()
            try:
                async with asyncio.timeout(quiet_seconds):
                    await self._arrived.wait()
            except TimeoutError:
                return
