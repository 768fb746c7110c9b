"""Runs one measurement: broker, subscriber and publisher as processes, told what to do in turn."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.disk import kept_bytes, written_bytes
from tests.benchmarks.peers.peer import DATA_FOLDER
from tests.benchmarks.process import MeasurementError, Reply, Worker, Workplace
from tests.benchmarks.scenario import (
    Beside,
    ColumnFlood,
    Commit,
    Durations,
    Latency,
    Levels,
    Scenario,
    Study,
    Throughput,
)
from tests.benchmarks.usage import family, measured_usage

__all__ = ["Measurement", "MeasurementError", "measure"]

NANOSECONDS_PER_SECOND: Final = 1e9
Load = Latency | Throughput | ColumnFlood | Commit


async def measure(
    peer: str,
    scenario: Scenario,
    durations: Durations,
    *,
    folder: Path | None = None,
    profile_directory: Path | None = None,
) -> Reply:
    """Measure one system under one scenario.

    Args:
        peer: The system.
        scenario: The load.
        durations: How long.
        folder: Where brokers keep their files; None = the system's folder for temporary files.
        profile_directory: Where to leave profiles; None = run without a profiler.

    Raises:
        MeasurementError: A process failed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as name:
        workplace = Workplace(Path(name), profile_directory)
        if isinstance(scenario, Beside):
            from tests.benchmarks.beside import measure_beside

            return await measure_beside(peer, scenario, durations, workplace)
        if isinstance(scenario, Study):
            from tests.benchmarks.studies import load_study

            return await load_study(scenario.name).measure(peer, durations, workplace)
        if isinstance(scenario, Levels):
            from tests.benchmarks.levels import measure_levels

            return await measure_levels(peer, scenario, durations, workplace)
        async with workplace.worker("broker", peer) as broker:
            address = broker.about["address"]
            reading = {"address": address, **_columns_of(scenario)}
            limit = {**reading, "batch_messages_max": scenario.batch_messages_max}
            async with (
                workplace.worker("subscriber", peer, **reading) as subscriber,
                workplace.worker("publisher", peer, **limit) as publisher,
            ):
                measurement = Measurement(
                    scenario, broker, publisher, subscriber, workplace.directory / DATA_FOLDER
                )
                await measurement.phase(durations.warm_up_seconds)
                return await measurement.phase(durations.load_seconds)


@dataclass(slots=True)
class Measurement:
    """Applies phases of load to three running processes."""

    load: Load
    broker: Worker
    publisher: Worker
    subscriber: Worker
    data: Path
    _sent: int = 0

    async def phase(self, seconds: float) -> Reply:
        """Apply one phase and wait until everything has arrived or is lost."""
        timed = isinstance(self.load, Latency)
        await self.subscriber.do("begin", first_sequence=self._sent, timed=timed)
        wire_before = await self._wire()
        disk_before = self._disk()
        with measured_usage((self.publisher, self.broker, self.subscriber)) as usage:
            published = await self._publish(seconds)
            received = await self.subscriber.do("finish", expected=published["sent"])
        self._sent += published["sent"]
        wire = {
            side: _difference(after, wire_before[side])
            for side, after in (await self._wire()).items()
        }
        result = _result(published, received, usage, wire)
        if isinstance(self.load, ColumnFlood):
            _count_rows(result, self.load.rows_per_message)
        if self.load.suite.durable:
            result["disk"] = {
                kind: None if after is None or before is None else after - before
                for (kind, after), before in zip(
                    self._disk().items(), disk_before.values(), strict=True
                )
            }
            result |= {"commits": (await self.publisher.do("commits"))["commits"]}
        return result

    async def _publish(self, seconds: float) -> Reply:
        first = self._sent
        match self.load:
            case Latency(rate_per_second=rate):
                return await self.publisher.do("paced", first=first, rate=rate, seconds=seconds)
            case Throughput() | ColumnFlood():
                return await self.publisher.do("flood", first=first, seconds=seconds)
            case Commit():
                return await self.publisher.do("one_by_one", first=first, seconds=seconds)

    async def _wire(self) -> dict[str, list[int] | None]:
        return {
            worker.role: (await worker.do("wire"))["tcp"]
            for worker in (self.publisher, self.subscriber)
        }

    def _disk(self) -> dict[str, int | None]:
        return {
            "kept_bytes": kept_bytes(self.data),
            "written_bytes": written_bytes(family(self.broker.pid)),
        }


def _columns_of(scenario: Load) -> dict[str, object]:
    if not isinstance(scenario, ColumnFlood):
        return {}
    names = ("rows_per_message", "builds_book", "narrow")
    return {name: getattr(scenario, name) for name in names}


def _count_rows(result: Reply, rows_per_message: int) -> None:
    """Let what was counted in messages say rows; all messages have the same number of them."""
    for key in ("sent", "received", "lost", "duplicates", "messages_per_second"):
        result[key] *= rows_per_message
    result["rows_per_message"] = rows_per_message


def _difference(after: list[int] | None, before: list[int] | None) -> dict[str, int] | None:
    if after is None or before is None:
        return None
    return {"sent": after[0] - before[0], "received": after[1] - before[1]}


def _result(published: Reply, received: Reply, usage: Reply, wire: Reply) -> Reply:
    result: Reply = {
        "sent": published["sent"],
        "received": received["received"],
        "lost": published["sent"] - received["received"],
        "duplicates": received["duplicates"],
        "out_of_order": received["out_of_order"],
        "processes": usage,
        "wire": wire,
        "seconds": round(published["seconds"], 6),
    }
    if "acknowledged" in published:
        result["acknowledged"] = published["acknowledged"]
        return result
    seconds = max(received["last_ns"] - published["start_ns"], 1) / NANOSECONDS_PER_SECOND
    if "unsent" not in published:
        result["seconds"] = round(seconds, 6)
        result["messages_per_second"] = round(received["received"] / seconds)
    else:
        # A publisher that nothing acknowledges is done early, however long the backlog behind it.
        result["drained_seconds"] = round(seconds, 6)
        result["unsent"] = published["unsent"]
        result["offered_per_second"] = published["offered_per_second"]
        result["generator_late"] = published["generator_late"]
        result["from_intended"] = received.get("from_intended")
        result["from_began"] = received.get("from_began")
    return result
