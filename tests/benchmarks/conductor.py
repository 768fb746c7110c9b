"""Runs one measurement: broker, subscriber and publisher as processes, told what to do in turn."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from tests.benchmarks.scenario import Durations, Latency, Scenario

REPOSITORY: Final = Path(__file__).parents[2]
READY_SECONDS_MAX: Final = 20.0
STOP_SECONDS_MAX: Final = 10.0
ANSWER_SECONDS_MAX: Final = 60.0  # Far above any phase; a hung peer must not hang the run.
ERROR_LINES_SHOWN: Final = 8
LINE_BYTES_MAX: Final = 4 << 20  # A histogram of a saturated run is some tens of kilobytes.

Reply = dict[str, Any]


class MeasurementError(Exception):
    """A process of a measurement failed; the text tells which, and its last lines of output."""


@dataclass(slots=True)
class Worker:
    """A started process of a measurement."""

    role: str
    about: Reply
    process: asyncio.subprocess.Process
    log: Path

    async def do(self, command: str, **arguments: object) -> Reply:
        """Send one command and await its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")
        return await self.answer(ANSWER_SECONDS_MAX)

    async def answer(self, seconds_max: float) -> Reply:
        """Await the next line of the process."""
        assert self.process.stdout is not None
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), seconds_max)
        except TimeoutError:
            raise MeasurementError(f"{self.role}: no answer within {seconds_max:g} s") from None
        if not line:
            last_lines = "\n".join(self.log.read_text().splitlines()[-ERROR_LINES_SHOWN:])
            raise MeasurementError(f"{self.role} ended unasked:\n{last_lines}")
        reply: Reply = json.loads(line)
        if "failed" in reply:
            raise MeasurementError(f"{self.role}: {reply['failed']}")
        return reply

    @property
    def pid(self) -> int:
        """Process that does the work: for a broker of another make not the worker itself."""
        pid: int = self.about.get("pid", self.process.pid)
        return pid


@asynccontextmanager
async def started_worker(
    role: str, peer: str, directory: Path, profile_directory: Path | None, **settings: object
) -> AsyncIterator[Worker]:
    """Start a worker process and wait until it is ready; end it afterwards."""
    description = {"role": role, "peer_name": peer, "directory": str(directory), **settings}
    if profile_directory is not None:
        description["profile_path"] = str(profile_directory / f"{peer}-{role}.pstats")
    log = directory / f"{role}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.benchmarks.worker", json.dumps(description)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=LINE_BYTES_MAX,
            cwd=REPOSITORY,
        )
    worker = Worker(role, {}, process, log)
    try:
        worker.about = await worker.answer(READY_SECONDS_MAX)
        yield worker
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()


async def measure(
    peer: str, scenario: Scenario, durations: Durations, profile_directory: Path | None = None
) -> Reply:
    """Measure one peer under one scenario; raises MeasurementError."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        async with started_worker("broker", peer, directory, profile_directory) as broker:
            address = broker.about["address"]
            limit = {"address": address, "batch_messages_max": scenario.batch_messages_max}
            async with (
                started_worker(
                    "subscriber", peer, directory, profile_directory, address=address
                ) as subscriber,
                started_worker(
                    "publisher", peer, directory, profile_directory, **limit
                ) as publisher,
            ):
                measurement = Measurement(scenario, broker, publisher, subscriber)
                await measurement.phase(durations.warm_up_seconds)
                return await measurement.phase(durations.load_seconds)


@dataclass(slots=True)
class Measurement:
    """Applies phases of load to three running processes."""

    scenario: Scenario
    broker: Worker
    publisher: Worker
    subscriber: Worker
    _sent: int = 0

    async def phase(self, seconds: float) -> Reply:
        """Apply one phase and wait until everything has arrived or is lost."""
        paced = isinstance(self.scenario, Latency)
        await self.subscriber.do("begin", first_sequence=self._sent, timed=paced)
        wire_before = await self._wire()
        with self._usage() as usage:
            if isinstance(self.scenario, Latency):
                rate = self.scenario.rate_per_second
                published = await self.publisher.do(
                    "paced", first=self._sent, rate=rate, seconds=seconds
                )
            else:
                published = await self.publisher.do("flood", first=self._sent, seconds=seconds)
            received = await self.subscriber.do("finish", expected=published["sent"])
        self._sent += published["sent"]
        wire = {
            side: _difference(after, wire_before[side])
            for side, after in (await self._wire()).items()
        }
        return _result(published, received, usage, wire)

    async def _wire(self) -> dict[str, list[int] | None]:
        return {
            worker.role: (await worker.do("wire"))["tcp"]
            for worker in (self.publisher, self.subscriber)
        }

    @contextmanager
    def _usage(self) -> Iterator[Reply]:
        workers = (self.publisher, self.broker, self.subscriber)
        processes = {worker.role: psutil.Process(worker.pid) for worker in workers}
        before = {role: _cpu_seconds(process) for role, process in processes.items()}
        machine_before = psutil.cpu_times()
        usage: Reply = {}
        yield usage
        machine_after = psutil.cpu_times()
        for role, process in processes.items():
            usage[role] = {
                "cpu_seconds": round(_cpu_seconds(process) - before[role], 3),
                "rss_bytes": process.memory_info().rss,
            }
        own = sum(used["cpu_seconds"] for used in usage.values())
        usage["others"] = {"cpu_share": _share_of_others(machine_before, machine_after, own)}


def _share_of_others(before: Any, after: Any, own_seconds: float) -> float:
    """Give the part of the machine's CPU time that was used and not by this measurement."""
    total: float = sum(after) - sum(before)
    idle: float = after.idle + after.iowait - before.idle - before.iowait
    return round(max(total - idle - own_seconds, 0.0) / max(total, 1e-9), 3)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


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
    }
    if "start_ns" in published:
        seconds = (received["last_ns"] - published["start_ns"]) / 1e9
        result["seconds"] = round(seconds, 6)
        result["messages_per_second"] = round(received["received"] / seconds)
    else:
        result["seconds"] = round(published["seconds"], 6)
        result["unsent"] = published["unsent"]
        result["offered_per_second"] = published["offered_per_second"]
        result["generator_late"] = published["generator_late"]
        result["from_intended"] = received.get("from_intended")
        result["from_began"] = received.get("from_began")
    return result
