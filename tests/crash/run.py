"""Kill a real coordinator, its publishers and subscribers: `python tests/crash/run.py --rounds 200 --seed 7`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

# Run as a script, this folder would be first on the path and hide the package `tests.crash`.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.crash.conductor import Conductor  # noqa: E402
from tests.crash.plan import Plan  # noqa: E402
from tests.crash.verdict import judge  # noqa: E402

VIOLATIONS_SHOWN = 20


def main(arguments: list[str]) -> int:
    """Run a plan, print its verdict, and return 1 when something must not have happened."""
    defaults = Plan()
    parser = argparse.ArgumentParser(prog="crash", description=__doc__)
    parser.add_argument("--rounds", type=int, default=defaults.rounds)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument(
        "--rate", type=float, default=defaults.rate, help="per publisher and second"
    )
    parser.add_argument(
        "--level",
        choices=("RECEIVED", "PERSISTED"),
        default=defaults.level,
        help="RECEIVED is taken for PERSISTED: losses must be found",
    )
    parser.add_argument(
        "--log",
        choices=("memory", "sqlite"),
        default=defaults.log,
        help="memory forgets all: losses must be found",
    )
    parser.add_argument("--orderly", action="store_true", help="SIGTERM the coordinator instead")
    parser.add_argument("--slow-disk", action="store_true", help="make each commit take longer")
    parser.add_argument("--folder", type=Path, help="keep recordings, logs and data here")
    options = parser.parse_args(arguments)
    plan = Plan(
        rounds=options.rounds,
        seed=options.seed,
        rate=options.rate,
        level=options.level,
        log=options.log,
        orderly=options.orderly,
        slow_disk=options.slow_disk,
    )
    if options.folder is not None:
        options.folder.mkdir(parents=True)
        return _run(plan, options.folder)
    with tempfile.TemporaryDirectory(prefix="bellwire-crash-") as folder:
        return _run(plan, Path(folder))


def _run(plan: Plan, folder: Path) -> int:
    began = time.monotonic()
    asyncio.run(Conductor(plan, folder).run())
    ran = time.monotonic()
    verdict = judge(folder)
    for violation in verdict.violations[:VIOLATIONS_SHOWN]:
        print(violation)
    print(f"seed {plan.seed}, {ran - began:.0f} s, checked in {time.monotonic() - ran:.0f} s")
    print(verdict.text())
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
