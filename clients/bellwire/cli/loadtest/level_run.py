"""Applies one level of load and gathers what came of it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from bellwire.cli.loadtest.accounting import Outcome, result_of
from bellwire.cli.loadtest.histogram import LatencyHistogram
from bellwire.cli.loadtest.plan import Level, LoadPlan
from bellwire.cli.loadtest.protocol import Begin, Finish, Json, Publish, Published, Received, Since
from bellwire.cli.loadtest.result import LevelResult
from bellwire.cli.loadtest.rig import Rig
from bellwire.cli.loadtest.usage import (
    CoordinatorSample,
    machine_sample,
    sample_coordinator,
    worker_cpu_seconds,
)
from bellwire.cli.loadtest.worker_process import ask_all
from bellwire.client import BellwireError

__all__ = ["Interval", "LevelRun"]

# Enough for the commands to reach every worker before the first message is due.
LEAD_SECONDS: Final = 0.1
LEAD_SECONDS_PER_WORKER: Final = 0.01
# For the backlog of a saturated level to drain, as long as some of it keeps coming.
FINISH_SECONDS_MAX: Final = 600.0
# A saturated coordinator may answer late once; one that never does is gone. 5 s each by default.
UNANSWERED_MAX: Final = 2
NANOSECONDS_PER_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened since the last look."""

    elapsed_seconds: float
    """Since the level began."""
    seconds: float
    delivered: int
    """To the slowest subscriber, in this interval."""
    sent: int
    """Since the level began."""
    latency: LatencyHistogram
    coordinator: CoordinatorSample

    def then(self, later: Interval) -> Interval:
        """Return this interval and the one that follows it as one."""
        latency = LatencyHistogram()
        latency.merge(self.latency)
        latency.merge(later.latency)
        return replace(
            later,
            seconds=self.seconds + later.seconds,
            delivered=self.delivered + later.delivered,
            latency=latency,
        )


@dataclass(slots=True)
class LevelRun:
    """One level, from its first message to its last."""

    rig: Rig
    plan: LoadPlan
    level: Level
    stop: asyncio.Event
    on_interval: Callable[[Interval], None]
    samples: list[CoordinatorSample] = field(default_factory=list)
    unanswered: int = 0
    """Looks in a row that the coordinator did not answer."""

    async def run(self) -> LevelResult:
        """Apply the load; ends early, with what was measured, when `stop` is set.

        Raises:
            BellwireError: The coordinator went away.
            CommandError: A worker went away.
        """
        pids = [worker.pid for worker in self.rig.publishers + self.rig.subscribers]
        await self._sample_surely()
        machine_before, cpu_before = machine_sample(), worker_cpu_seconds(pids)
        published, start_ns = await self._apply()
        machine_after, cpu_after = machine_sample(), worker_cpu_seconds(pids)
        await self._sample_surely()
        received = await self._finish(published)
        machine_share = 0.0
        if machine_before is not None and machine_after is not None:
            machine_share = machine_after.busy_share_since(machine_before)
        return result_of(
            Outcome(
                self.level,
                start_ns,
                published,
                received,
                self.samples,
                [after - before for after, before in zip(cpu_after, cpu_before, strict=True)],
                machine_share,
                cores=os.cpu_count() or 1,
                interrupted=self.stop.is_set(),
            )
        )

    async def _apply(self) -> tuple[list[Published], int]:
        """Have the load published; return the answers and when it began."""
        level, rig = self.level, self.rig
        workers = len(rig.publishers) + len(rig.subscribers)
        lead_seconds = LEAD_SECONDS + workers * LEAD_SECONDS_PER_WORKER
        start_ns = time.monotonic_ns() + _nanoseconds(lead_seconds)
        begin: Begin = {
            "level": level.number,
            "measure_from_ns": start_ns + _nanoseconds(level.warm_up_seconds),
        }
        await ask_all(rig.subscribers, "begin", begin)
        seconds_max = (level.warm_up_seconds + level.seconds) * self.plan.settings.overrun_factor
        request: Publish = {
            "level": level.number,
            "start_ns": start_ns,
            "rate": level.rate if self.plan.recording else level.tps,
            "total": level.total,
            "give_up_ns": start_ns + _nanoseconds(seconds_max),
        }
        takes = lead_seconds + seconds_max + 2 * self.plan.client.timeout_seconds
        publishing = asyncio.create_task(ask_all(rig.publishers, "publish", request, takes=takes))
        try:
            await self._watch(publishing, start_ns)
            return cast("list[Published]", await publishing), start_ns
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)

    async def _watch(self, publishing: asyncio.Task[list[Json]], start_ns: int) -> None:
        """Look at everything once an interval until the publishers are done or told to stop."""
        stopping = asyncio.create_task(self.stop.wait())
        seconds = self.plan.settings.interval_seconds
        tick_at = start_ns + _nanoseconds(seconds)
        last_ns = start_ns
        try:
            while not publishing.done() and not stopping.done():
                left = max(0.0, (tick_at - time.monotonic_ns()) / NANOSECONDS_PER_SECOND)
                either: set[asyncio.Future[Any]] = {publishing, stopping}
                done, _ = await asyncio.wait(
                    either, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                if done:
                    break
                last_ns = await self._look(start_ns, last_ns)
                tick_at = max(tick_at, time.monotonic_ns()) + _nanoseconds(seconds)
            if stopping.done():
                await ask_all(self.rig.publishers, "stop")
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)

    async def _look(self, start_ns: int, last_ns: int) -> int:
        sample = await self._sample()
        if sample is None:
            return last_ns  # The next look covers this interval, too.
        sent = await ask_all(self.rig.publishers, "status")
        came = cast("list[Since]", await ask_all(self.rig.subscribers, "status"))
        now_ns = time.monotonic_ns()
        latency = LatencyHistogram()
        for reply in came:
            latency.merge(LatencyHistogram.from_json(reply["latency"]))
        self.on_interval(
            Interval(
                elapsed_seconds=(now_ns - start_ns) / NANOSECONDS_PER_SECOND,
                seconds=(now_ns - last_ns) / NANOSECONDS_PER_SECOND,
                delivered=min(reply["received"] for reply in came),
                sent=sum(cast("int", reply["sent"]) for reply in sent),
                latency=latency,
                coordinator=sample,
            )
        )
        return now_ns

    async def _sample(self) -> CoordinatorSample | None:
        """Ask the coordinator how it is; None where it is too busy to answer just now.

        Raises:
            BellwireError: It has not answered several times in a row.
        """
        try:
            sample = await sample_coordinator(self.rig.client.admin, self.rig.topic)
        except BellwireError:
            self.unanswered += 1
            if self.unanswered >= UNANSWERED_MAX:
                raise
            return None
        self.unanswered = 0
        self.samples.append(sample)
        return sample

    async def _sample_surely(self) -> None:
        """Ask once more when there is no answer; raises what `_sample` does."""
        while await self._sample() is None:
            pass

    async def _finish(self, published: list[Published]) -> list[Received]:
        """Let the subscribers wait for the rest."""
        request: Finish = {
            "sent": [reply["sent"] for reply in published],
            "expected": sum(reply["acknowledged"] for reply in published),
            "quiet_seconds": self.plan.settings.quiet_seconds,
        }
        answers = await ask_all(self.rig.subscribers, "finish", request, takes=FINISH_SECONDS_MAX)
        return cast("list[Received]", answers)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS_PER_SECOND)
