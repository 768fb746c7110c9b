"""The usual tricks, one at a time, with and without: `make tricks`, or `tricks.py --help`.

For each trick and round: throughput in batches of at most 100 and latency at 1 and at 10 messages per ms,
without and with it right after one another, each round beginning with the other one. What is no gain above
3 % and above the differences between the rounds is rejected.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Run as a script, this folder would be first on the path and hide the package `tests.benchmarks`.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from google.protobuf.internal import api_implementation
from tests.benchmarks import machine, trick_micro
from tests.benchmarks.conductor import MeasurementError, measure
from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.markdown_page import PageError
from tests.benchmarks.page_section import write_section
from tests.benchmarks.scenario import SCENARIOS, Durations
from tests.benchmarks.trick_list import TRICKS, Trick
from tests.benchmarks.trick_table import render_tricks

# What the names of their figures begin with.
LOADS = {"throughput-100": "", "latency-1k": "", "latency-10k": "10k_"}
ROUNDS_DEFAULT = 5
DURATIONS = Durations(warm_up_seconds=0.5, load_seconds=2.0)
DURATIONS_QUICK = Durations(warm_up_seconds=0.4, load_seconds=0.5)
SECTION = "tricks"
Figures = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Run the command and give its exit status."""
    options = _parse(arguments)
    if options.list:
        for name, trick in TRICKS.items():
            print(
                f"{name:<22}{trick.title}{f'  (not here: {trick.missing})' * bool(trick.missing)}"
            )
        return 0
    try:
        if options.markdown:
            write_section(SECTION, options.markdown, render_tricks)
            return 0
        document = json.loads(options.show.read_text()) if options.show else try_all(options)
    except (PageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(render_tricks(document))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=1) + "\n")
        print(f"written: {options.json}")
    return 1 if any("error" in trick for trick in document["tricks"]) else 0


def try_all(options: argparse.Namespace) -> Figures:
    """Try the chosen tricks; give the result document."""
    rounds = options.rounds or (1 if options.quick else ROUNDS_DEFAULT)
    durations = DURATIONS_QUICK if options.quick else DURATIONS
    document: Figures = {
        "format": 1,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": machine.describe_command("tricks.py"),
        "commit": machine.describe_commit(),
        "machine": machine.describe_machine(),
        "versions": machine.describe_versions() | {"protobuf runs on": api_implementation.Type()},
        "settings": {"rounds": rounds, "load_seconds": durations.load_seconds},
        "tricks": [],
    }
    for name in options.only or (*TRICKS, trick_micro.NAME):
        if name == trick_micro.NAME:
            document["tricks"].append(try_pool(rounds))
        else:
            document["tricks"].append(try_one(TRICKS[name], rounds, durations))
    return document


def try_one(trick: Trick, rounds: int, durations: Durations) -> Figures:
    """Give the figures of every round, without and with the trick."""
    found: Figures = {"name": trick.name, "title": trick.title, "peer": trick.peer, "rounds": []}
    if trick.missing:
        return found | {"missing": trick.missing}
    try:
        for number in range(rounds):
            both: Figures = {}
            for load in LOADS:
                for with_it in _order(number):
                    side = both.setdefault("with" if with_it else "without", {})
                    side |= _measured(trick, load, durations, with_it=with_it)
            found["rounds"].append(both)
            print(f"{trick.name} round {number + 1}: {json.dumps(both)}", file=sys.stderr)
    except MeasurementError as error:
        return found | {"error": str(error)}
    return found


def try_pool(rounds: int) -> Figures:
    """Give the same for the object pool, which is measured within this process."""
    pairs = [trick_micro.time_pair(pooled_first=bool(number % 2)) for number in range(rounds)]
    return {
        "name": trick_micro.NAME,
        "title": trick_micro.TITLE,
        "peer": "",
        "rounds": [
            {"without": {"batch_us": without}, "with": {"batch_us": with_it}}
            for without, with_it in pairs
        ],
    }


def _order(number: int) -> Iterator[bool]:
    yield from (False, True) if number % 2 == 0 else (True, False)


def _measured(trick: Trick, load: str, durations: Durations, *, with_it: bool) -> Figures:
    if with_it:
        with trick.applied():
            result = asyncio.run(measure(trick.peer, SCENARIOS[load], durations))
    else:
        result = asyncio.run(measure(trick.peer, SCENARIOS[load], durations))
    if result["lost"]:
        raise MeasurementError(f"{trick.peer} lost {result['lost']} messages in {load}")
    if "messages_per_second" in result:
        return {"messages_per_second": result["messages_per_second"]}
    histogram = LatencyHistogram.from_json(result["from_intended"])
    return {f"{LOADS[load]}p{at}_us": histogram.percentile(at) / 1e3 for at in (50, 95)}


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/benchmarks/tricks.py", description=__doc__)
    add = parser.add_argument
    names = (*TRICKS, trick_micro.NAME)
    add("--only", nargs="+", choices=names, metavar="NAME", help=f"of: {', '.join(names)}")
    add("--rounds", type=int, metavar="N", help=f"rounds (default {ROUNDS_DEFAULT})")
    add("--quick", action="store_true", help="one brief round: does each trick work at all?")
    add("--list", action="store_true", help="name the tricks; measure nothing")
    add("--json", type=Path, metavar="FILE", help="also write the result to a file")
    add("--show", type=Path, metavar="RESULT", help="print an earlier result; measure nothing")
    add("--markdown", type=Path, metavar="RESULT", help="write it into docs/profiling.md")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: 1 is the least")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
