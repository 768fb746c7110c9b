"""Run the simulation: `make simulate SEEDS=2000`, or replay one seed with `--seed N --verbose`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

# Run as a script, this folder would be first on the path and hide the package `tests.simulation`.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.simulation.world import Result, run_seed  # noqa: E402


def main(arguments: list[str]) -> int:
    """Run seeds and return 1 when one of them shows a violation."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--verbose", action="store_true", help="print everything that happens")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a violation")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    started = time.perf_counter()
    results: list[Result] = []
    for seed in seeds:
        result = run_seed(seed, verbose=options.verbose)
        results.append(result)
        for violation in result.violations[:5]:
            print(f"seed {seed}: {violation}")
        if result.violations and not options.keep_going:
            print(f"replay: python tests/simulation/run.py --seed {seed} --verbose")
            break
    print(summary(results, time.perf_counter() - started))
    return 1 if any(result.violations for result in results) else 0


def summary(results: list[Result], seconds: float) -> str:
    """Return what all runs came to, on two lines."""
    faults: Counter[str] = Counter()
    for result in results:
        faults.update(result.faults)
    kinds = ", ".join(f"{kind} {count}" for kind, count in faults.most_common())
    return (
        f"faults: {kinds}\n"
        f"{len(results):,} seeds, {sum(r.messages for r in results):,} messages, "
        f"{sum(r.deliveries for r in results):,} deliveries, {faults.total():,} faults, "
        f"{sum(len(r.violations) for r in results):,} violations, "
        f"{sum(r.seconds for r in results):,.0f} virtual s in {seconds:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
