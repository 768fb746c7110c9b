"""What the tactical network costs in process, in floats and in 8 bits."""

import json
from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.benchmarks.figure import Figure
from tests.benchmarks.inference import BATCHES, TURNS
from tests.benchmarks.one_run import run_once
from tests.benchmarks.process import Reply, Workplace
from tests.benchmarks.scenario import DURATIONS_DEFAULT, Durations
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table
from tests.benchmarks.tactical_models import FP32, INT8, KINDS

LATENCY: Final = "p99 µs"
RATE: Final = "obs/s"
JUDGED_BATCH: Final = BATCHES[0]
SECONDS_SHARE: Final = 10  # There are six loads in each turn.
TURNS_SHORT: Final = 3
SECONDS_MAX: Final = 120.0
BYTES_PER_KB: Final = 1e3


class InferenceStudy:
    """Runs `tests/benchmarks/inference.py` in a process of its own."""

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Run it once."""
        del peer
        short = durations.load_seconds < DURATIONS_DEFAULT.load_seconds
        result = workplace.directory / "inference.json"
        await run_once(
            "inference",
            *("tests/benchmarks/inference.py", "--json", str(result)),
            *("--seconds", str(durations.load_seconds / SECONDS_SHARE)),
            *("--turns", str(TURNS_SHORT if short else TURNS)),
            seconds_max=SECONDS_MAX,
            workplace=workplace,
            failed="the network could not be measured",
        )
        found: Reply = json.loads(result.read_text())
        return {"inference": found}

    def headline(self, measurement: Measurement) -> str:
        """Give what 8 bits carry, and the tail of one row."""
        rate = _cell([measurement], INT8, _rate_key(JUDGED_BATCH))
        return f"{INT8} {rate:,.0f} obs/s at {JUDGED_BATCH}, p99 {_p99([measurement], INT8):.1f} µs"

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table."""
        heads = ("p50 µs", "p99 µs", *(f"obs/s at {rows}" for rows in BATCHES))
        table = Table(f"{title}, in process, one thread", ("network", *heads, "file, KB", "× fp32"))
        for kind in KINDS:
            latency = (f"{_cell(measurements, kind, f'p{p}_us'):.1f}" for p in (50, 99))
            rates = (f"{_cell(measurements, kind, _rate_key(rows)):,.0f}" for rows in BATCHES)
            size = f"{_cell(measurements, kind, 'file_bytes') / BYTES_PER_KB:,.0f}"
            ratio = f"{_ratio(measurements, kind):.2f}"
            table.rows.append((kind, *latency, *rates, size, ratio))
        table.notes.append(
            "420 numbers and a position → three actors and a critic, one product each way; p50 and p99 of"
            " one row through the engine that agents serve with; by turns, medians over them;"
            f" × fp32: obs/s at {JUDGED_BATCH}, round by round"
        )
        return [table]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give the tail of one row of both, and what 8 bits carry."""
        rate = _cell(measurements, INT8, _rate_key(JUDGED_BATCH))
        return [
            *(Figure(LATENCY, f"in process, {kind}", _p99(measurements, kind)) for kind in KINDS),
            Figure(RATE, f"in process, {INT8}, batches of {JUDGED_BATCH}", rate),
        ]

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give nothing."""
        del measurements
        return []


def _rate_key(rows: int) -> str:
    return f"rows_per_second_{rows}"


def _cell(measurements: Sequence[Measurement], kind: str, key: str) -> float:
    return median(float(each["inference"][kind][key]) for each in measurements)


def _p99(measurements: Sequence[Measurement], kind: str) -> float:
    return _cell(measurements, kind, "p99_us")


def _ratio(measurements: Sequence[Measurement], kind: str) -> float:
    key = _rate_key(JUDGED_BATCH)
    return median(_cell([each], kind, key) / _cell([each], FP32, key) for each in measurements)


STUDY: Final = InferenceStudy()
