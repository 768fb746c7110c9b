"""How long a killed agent is away, with and without a warm spare."""

import asyncio
import json
import sys
from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.benchmarks.cells import ABSENT
from tests.benchmarks.figure import Figure
from tests.benchmarks.process import REPOSITORY, MeasurementError, Reply, Workplace
from tests.benchmarks.scenario import DURATIONS_DEFAULT, Durations
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table

COLD: Final = "cold"
WARM: Final = "warm spare"
TIMES: Final = ("min", "p50", "max")
KILLS: Final = 15
KILLS_SHORT: Final = 2
SECONDS_MAX: Final = 300.0
LAST_LINES: Final = 5
MILLIS: Final = 1e3
BYTES_PER_MB: Final = 1e6


class RestartStudy:
    """Runs `tests/benchmarks/restart.py` in a process of its own."""

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Run it once."""
        del peer
        short = durations.load_seconds < DURATIONS_DEFAULT.load_seconds
        result, log = workplace.directory / "restart.json", workplace.directory / "restart.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("tests/benchmarks/restart.py", "--json", str(result)),
                *("--kills", str(KILLS_SHORT if short else KILLS)),
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
            raise MeasurementError(f"restarts could not be measured, status {status}:\n{last}")
        found: Reply = json.loads(result.read_text())
        return {"restart": found}

    def headline(self, measurement: Measurement) -> str:
        """Give how long the slowest agent is away with a spare."""
        return f"READY again {_slowest([measurement]) * MILLIS:,.0f} ms after kill -9, with a spare"

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table."""
        heads = ("agent", "start", *TIMES, "the spare's memory, MB")
        table = Table(f"{title}, ms from kill -9 to READY", heads)
        for agent, ways in measurements[0]["restart"].items():
            for way in ways:
                times = (f"{_seconds(measurements, agent, way, t) * MILLIS:,.0f}" for t in TIMES)
                spare = _seconds(measurements, agent, way, "spare_rss_bytes")
                memory = f"{spare / BYTES_PER_MB:,.0f}" if spare else ABSENT
                table.rows.append((agent, way, *times, memory))
        kills = next(iter(measurements[0]["restart"].values()))[COLD]["kills"]
        table.notes.append(
            f"{kills} kills of each in each round; the wait before a restart is 1 ms here, and is "
            "0 to 100 ms at random by default"
        )
        return [table]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give how long the slowest agent is away with a spare."""
        return [Figure(WARM, "kill -9 to READY", _slowest(measurements))]

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give nothing."""
        del measurements
        return []


def _seconds(measurements: Sequence[Measurement], agent: str, way: str, key: str) -> float:
    return median(float(each["restart"][agent][way][key]) for each in measurements)


def _slowest(measurements: Sequence[Measurement]) -> float:
    agents = measurements[0]["restart"]
    return max(_seconds(measurements, agent, WARM, "p50") for agent in agents)


STUDY: Final = RestartStudy()
