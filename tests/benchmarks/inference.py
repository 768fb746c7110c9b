"""What the tactical network costs in process: `python tests/benchmarks/inference.py`.

`make bench BENCH_ARGS="--only inference"` runs it several times and makes a table of it.

One thread on one core asks the engine that agents serve with, in floats and in 8 bits by turns: row by row for the
latency, in batches of 64 and 256 for the throughput. Each turn begins with the other engine; the figures are medians
over the turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    for library in ("OMP", "OPENBLAS", "MKL"):  # Read when numpy is imported.
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.machine import REPOSITORY
from tests.benchmarks.tactical_models import KINDS, Rows, observations

from bellwire.agents.inference import Engine
from bellwire.agents.inference.engines import EngineSettings, load_engine, warm_up
from bellwire.agents.inference.model import read_manifest

BATCHES: Final = (64, 256)
TURNS: Final = 9  # An odd number, so that the median is a turn that happened.
INPUTS: Final = 16  # Batches asked for in turn, so that none is always in the cache.
WRITE_SECONDS_MAX: Final = 60.0
PERCENTS: Final = (50, 99)

Cell = dict[str, float]


def write_models(folder: Path) -> None:
    """Have another process write the models, so that this one never loads what writes them.

    Raises:
        CalledProcessError, TimeoutExpired: It could not.
    """
    command = [sys.executable, "-m", "tests.benchmarks.tactical_models", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=WRITE_SECONDS_MAX)


def load(folder: Path) -> Engine:
    """Load one version and warm it up."""
    engine = load_engine(folder, read_manifest(folder), EngineSettings())
    warm_up(engine, (1, *BATCHES))
    return engine


def latencies_ns(engine: Engine, batches: Sequence[Rows], seconds: float) -> list[int]:
    """Ask for one batch after another and return what each took."""
    clock, infer, took = time.perf_counter_ns, engine.infer, []
    until = clock() + round(seconds * 1e9)
    ended = began = clock()
    while ended < until:
        rows = batches[len(took) % len(batches)]
        began = clock()
        infer(rows)
        ended = clock()
        took.append(ended - began)
    return took


def turn(engine: Engine, inputs: dict[int, list[Rows]], seconds: float) -> Cell:
    """Measure one engine once."""
    alone = LatencyHistogram.of(latencies_ns(engine, inputs[1], seconds))
    cell = {f"p{percent}_us": alone.percentile(percent) / 1e3 for percent in PERCENTS}
    for rows in BATCHES:
        took = latencies_ns(engine, inputs[rows], seconds)
        cell[f"rows_per_second_{rows}"] = rows * len(took) / (sum(took) / 1e9)
    return cell


def in_order(number: int) -> Sequence[str]:
    """Return who is first in that turn, and who follows."""
    return KINDS if number % 2 == 0 else KINDS[::-1]


def measure(folder: Path, seconds: float, turns: int) -> dict[str, Cell]:
    """Return medians over the turns by version.

    Args:
        folder: Where the models are.
        seconds: Of each load of each turn.
        turns: How often everything is measured.
    """
    engines = {kind: load(folder / kind) for kind in KINDS}
    inputs = {rows: [observations(rows, s) for s in range(INPUTS)] for rows in (1, *BATCHES)}
    found: dict[str, list[Cell]] = {kind: [] for kind in KINDS}
    for number in range(turns):
        for kind in in_order(number):
            found[kind].append(turn(engines[kind], inputs, seconds))
    return {
        kind: {
            **{key: median(each[key] for each in cells) for key in cells[0]},
            "file_bytes": (folder / kind / engines[kind].manifest.file).stat().st_size,
        }
        for kind, cells in found.items()
    }


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description="Measure the tactical network in process.")
    parser.add_argument("--seconds", type=float, default=0.2, help="of each load of each turn")
    parser.add_argument("--turns", type=int, default=TURNS, help="of each version")
    parser.add_argument("--json", type=Path, help="also write it there")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # The first core has the interrupts.
    with tempfile.TemporaryDirectory(prefix="bellwire-inference-") as folder:
        write_models(Path(folder))
        found = measure(Path(folder), options.seconds, options.turns)
    for kind, cell in found.items():
        print(f"{kind:<12}", "  ".join(f"{name} {value:,.1f}" for name, value in cell.items()))
    if options.json:
        options.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
