"""What the cache of calls spares of a stream, and what a call takes from each level."""

import json
from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.benchmarks.cells import ABSENT
from tests.benchmarks.figure import Figure
from tests.benchmarks.one_run import run_once
from tests.benchmarks.process import Reply, Workplace
from tests.benchmarks.scenario import DURATIONS_DEFAULT, Durations
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table

KINDS: Final = ("not cacheable", "miss in both levels", "hit in memory", "hit in Redis")
PERCENTILES: Final = ("p50", "p95", "p99")
SPARED: Final = "spared"
BARS: Final = 300
CALLS: Final = 2_000
SHORT: Final = 10  # Divides both for a short look.
SECONDS_MAX: Final = 300.0


class CacheStudy:
    """Runs `tests/benchmarks/cache.py` in a process of its own."""

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Run it once."""
        del peer
        short = durations.load_seconds < DURATIONS_DEFAULT.load_seconds
        share = SHORT if short else 1
        result = workplace.directory / "cache.json"
        await run_once(
            "cache",
            *("tests/benchmarks/cache.py", "--json", str(result)),
            *("--bars", str(BARS // share), "--count", str(CALLS // share)),
            seconds_max=SECONDS_MAX,
            workplace=workplace,
            failed="the cache could not be measured",
        )
        found: Reply = json.loads(result.read_text())
        return {"cache": found}

    def headline(self, measurement: Measurement) -> str:
        """Give what is spared."""
        return f"{_spared([measurement]):.1%} of the calls reached no agent"

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table."""
        heads = ["answer", *(f"whole call {each}" for each in PERCENTILES), "cache alone p50"]
        table = Table(f"{title}, µs", tuple(heads))
        for kind in KINDS:
            whole = [f"{_micros(measurements, 'whole', kind, p):,.0f}" for p in PERCENTILES]
            by_itself = kind in measurements[0]["cache"]["alone"]
            alone = f"{_micros(measurements, 'alone', kind, 'p50'):,.0f}" if by_itself else ABSENT
            table.rows.append((kind, *whole, alone))
        calls, reached = (
            round(median(each["cache"][key] for each in measurements))
            for key in ("calls", "reached")
        )
        table.notes.append(
            f"stream of repeated questions: {calls:,} calls, {reached:,} reached the agent:"
            f" {_spared(measurements):.1%} did not"
        )
        return [table]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give the share of calls that reached no agent."""
        return [Figure(SPARED, "memory and Redis", _spared(measurements))]

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give nothing."""
        del measurements
        return []


def _micros(measurements: Sequence[Measurement], part: str, kind: str, percentile: str) -> float:
    return median(float(each["cache"][part][kind][percentile]) for each in measurements)


def _spared(measurements: Sequence[Measurement]) -> float:
    return 1 - median(
        float(each["cache"]["reached"]) / float(each["cache"]["calls"]) for each in measurements
    )


STUDY: Final = CacheStudy()
