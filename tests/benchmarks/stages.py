"""Where a message's microseconds go: `make stages`, or `python tests/benchmarks/stages.py --help`.

Calls the functions of the product one after another for batches of several sizes, measures the bare
transports under it with frames of the same weight, and sets the sum beside the latency end to end.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

# Run as a script, this folder would be first on the path and hide the package `tests.benchmarks`.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.benchmarks import machine
from tests.benchmarks.conductor import MeasurementError
from tests.benchmarks.markdown_page import PageError
from tests.benchmarks.page_section import write_section
from tests.benchmarks.peers import FLOORS
from tests.benchmarks.scenario import Durations
from tests.benchmarks.stage_parts import TRANSPORT_OF
from tests.benchmarks.stage_table import render_stages
from tests.benchmarks.stage_timing import (
    Figures,
    batches_for,
    time_end_to_end,
    time_floor,
    time_paced_steps,
    time_steps,
)

BATCH_SIZES = (1, 10, 100, 1_000)
QUICK_SHARE = 0.1
SECTION = "stages"


def main(arguments: list[str]) -> int:
    """Run the command and give its exit status."""
    options = _parse(arguments)
    try:
        if options.markdown:
            write_section(SECTION, options.markdown, render_stages)
            return 0
        document = json.loads(options.show.read_text()) if options.show else measure_all(options)
    except (PageError, MeasurementError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, PageError | OSError) else 1
    print(render_stages(document))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=1) + "\n")
        print(f"written: {options.json}")
    return 0


def measure_all(options: argparse.Namespace) -> Figures:
    """Measure steps, floors and the whole; give the result document."""
    share = QUICK_SHARE if options.quick else 1.0
    durations = Durations(0.3, 0.5 if options.quick else 3.0)
    document: Figures = {
        "format": 1,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": machine.describe_command("stages.py"),
        "commit": machine.describe_commit(),
        "machine": machine.describe_machine(),
        "versions": machine.describe_versions(),
        "sizes": [],
        "end_to_end": [],
    }
    for size in options.sizes:
        _progress(f"batches of {size}")
        figures = time_steps(size, batches_for(size, share))
        figures["floors"] = []
        for name in () if options.no_transports else FLOORS:
            _progress(f"batches of {size}: {FLOORS[name].title}")
            floor = time_floor(name, figures["frame_bytes"]["delivery"], durations)
            figures["floors"].append(floor)
        document["sizes"].append(figures)
    _progress("single messages, 1 ms apart")
    document["paced"] = time_paced_steps(share)
    for name in () if options.no_transports else TRANSPORT_OF:
        _progress(f"end to end: {name}")
        document["end_to_end"].append(time_end_to_end(name, durations))
    return document


def _progress(what: str) -> None:
    print(f"measuring {what}", file=sys.stderr)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/benchmarks/stages.py", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a short look at everything, half a minute")
    add("--sizes", type=int, nargs="+", default=BATCH_SIZES, metavar="N", help="messages a batch")
    add("--no-transports", action="store_true", help="only the functions: no other processes")
    add("--json", type=Path, metavar="FILE", help="also write the result to a file")
    add("--show", type=Path, metavar="RESULT", help="print an earlier result; measure nothing")
    add("--markdown", type=Path, metavar="RESULT", help="write it into docs/profiling.md")
    options = parser.parse_args(arguments)
    if not all(1 <= size <= 1_000 for size in options.sizes):
        parser.error("--sizes: a batch holds 1 to 1,000 messages")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
