"""How many requests a second the inference batcher answers, by clients, loop and engine."""

import asyncio
import json
import sys
from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.benchmarks.figure import Figure
from tests.benchmarks.inference_batcher import CLIENTS, ENGINES, LOOPS
from tests.benchmarks.process import REPOSITORY, MeasurementError, Reply, Workplace
from tests.benchmarks.scenario import Durations
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table

TRIVIAL: Final = "trivial"
ORT: Final = "ONNX Runtime fp32"
JUDGED_CLIENTS: Final = "64"
SECONDS_SHARE: Final = 3  # There are a dozen loads.
SECONDS_MAX: Final = 120.0
LAST_LINES: Final = 5


class InferenceBatcherStudy:
    """Runs `tests/benchmarks/inference_batcher.py` in a process of its own."""

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Run it once."""
        del peer
        directory = workplace.directory
        result, log = directory / "inference_batcher.json", directory / "inference_batcher.log"
        seconds = durations.load_seconds / SECONDS_SHARE
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "tests/benchmarks/inference_batcher.py",
                *("--json", str(result), "--seconds", str(seconds)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=REPOSITORY,
            )
            try:
                status = await asyncio.wait_for(process.wait(), SECONDS_MAX)
            except TimeoutError:
                process.kill()
                status = await process.wait()
        if status != 0:
            last = "\n".join(log.read_text().splitlines()[-LAST_LINES:])
            raise MeasurementError(f"the batcher could not be measured, status {status}:\n{last}")
        found: Reply = json.loads(result.read_text())
        return {"batcher": found}

    def headline(self, measurement: Measurement) -> str:
        """Give what the batcher itself carries."""
        rate = _cell([measurement], TRIVIAL, "uvloop", JUDGED_CLIENTS, "requests_per_second")
        return f"{rate:,.0f} req/s at {JUDGED_CLIENTS} clients, uvloop, {TRIVIAL} engine"

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table."""
        heads = ("engine, loop, clients", "req/s", "p50 µs", "p99 µs", "rows a batch")
        table = Table(f"{title}, one row a request", heads)
        for engine in ENGINES:
            for loop in LOOPS:
                for clients in map(str, CLIENTS):
                    rate, p50, p99, rows = (
                        _cell(measurements, engine, loop, clients, each)
                        for each in ("requests_per_second", "p50_us", "p99_us", "batch_rows")
                    )
                    name = f"{engine}, {loop}, {clients}"
                    cells = (f"{rate:,.0f}", f"{p50:,.0f}", f"{p99:,.0f}", f"{rows:.1f}")
                    table.rows.append((name, *cells))
        table.notes.append(
            "closed loop, clients and batcher on one thread; latency from `infer` to its answer"
        )
        return [table]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give the rate at 64 clients on uvloop, of each engine."""
        return [
            Figure(
                key,
                "in process, uvloop",
                _cell(measurements, key, "uvloop", JUDGED_CLIENTS, "requests_per_second"),
            )
            for key in (TRIVIAL, ORT)
        ]

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give nothing."""
        del measurements
        return []


def _cell(
    measurements: Sequence[Measurement], engine: str, loop: str, clients: str, key: str
) -> float:
    return median(float(each["batcher"][engine][loop][clients][key]) for each in measurements)


STUDY: Final = InferenceBatcherStudy()
