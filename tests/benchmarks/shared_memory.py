"""Large columnar batches between two processes: is shared memory worth a dependency?

`make shared-memory`, or `shared_memory.py --help`, in an environment of its own
(requirements/shared_memory.txt): updates a second flat out, and one-way latency at a fixed rate, for rows of
five int64 columns over iceoryx2, over a Unix socket, and through the public API of the bus.
"""

import argparse
import asyncio
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Run as a script, this folder would be first on the path and hide the package `tests.benchmarks`.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.benchmarks import machine
from tests.benchmarks.markdown_page import PageError
from tests.benchmarks.page_section import write_section
from tests.benchmarks.process import REPOSITORY, MeasurementError, Worker
from tests.benchmarks.shared_memory_carriers import CARRIERS
from tests.benchmarks.shared_memory_table import render_shared_memory

# Rows of a batch, and batches a second where latency is measured: half a million rows a second is what every
# carrier here takes without a backlog.
ROWS = {1_000: 500.0, 10_000: 50.0, 100_000: 5.0}
ROUNDS_DEFAULT = 3
WARM_UP_SECONDS = 0.3
READY_SECONDS_MAX = 20.0
ANSWER_SECONDS_MAX = 60.0
LINE_BYTES_MAX = 16 << 20  # Every latency of a phase.
SECTION = "shared-memory"
Figures = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Run the command and give its exit status."""
    options = _parse(arguments)
    try:
        if options.markdown:
            write_section(SECTION, options.markdown, render_shared_memory)
            return 0
        document = json.loads(options.show.read_text()) if options.show else measure_all(options)
    except (PageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(render_shared_memory(document))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=1) + "\n")
        print(f"written: {options.json}")
    return 1 if any("error" in each for each in document["measurements"]) else 0


def measure_all(options: argparse.Namespace) -> Figures:
    """Measure every carrier with every size in alternating rounds; give the result document."""
    rounds = options.rounds or (1 if options.quick else ROUNDS_DEFAULT)
    seconds = 0.5 if options.quick else 3.0
    has_iceoryx2 = importlib.util.find_spec("iceoryx2") is not None
    names = [name for name in CARRIERS if has_iceoryx2 or not name.startswith("iceoryx2")]
    versions = machine.describe_versions()
    if has_iceoryx2:
        versions["iceoryx2"] = importlib.metadata.version("iceoryx2")
    document: Figures = {
        "format": 1,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": machine.describe_command("shared_memory.py"),
        "commit": machine.describe_commit(),
        "machine": machine.describe_machine(),
        "versions": versions,
        "settings": {"rounds": rounds, "load_seconds": seconds},
        "missing": []
        if has_iceoryx2
        else ["iceoryx2: not installed; see requirements/shared_memory.in"],
        "measurements": [],
    }
    for number in range(rounds):
        for rows in ROWS:
            turn = number % len(names)
            for name in (*names[turn:], *names[:turn]):
                found: Figures = {"round": number + 1, "rows": rows, "carrier": name}
                try:
                    found |= asyncio.run(measure_one(name, rows, seconds))
                except MeasurementError as error:
                    found["error"] = str(error)
                document["measurements"].append(found)
                print({k: v for k, v in found.items() if k != "ns"}, file=sys.stderr)
    return document


async def measure_one(carrier: str, rows: int, seconds: float) -> Figures:
    """Give updates a second flat out, and latency percentiles at the rate of the size.

    Raises:
        MeasurementError: A process failed, or something was lost.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            address = str(folder / "s")
            if carrier == "bellwire":
                address = f"unix://{address}"
                serve = ("-m", "bellwire.cli", "serve", "--json", "--listen", address)
                await stack.enter_async_context(_started(folder, "broker", serve))
            elif carrier.startswith("iceoryx2"):
                address = folder.name  # A service has a name of its own, not a path.
            both = [
                await stack.enter_async_context(_worker(folder, role, carrier, address))
                for role in ("subscriber", "publisher")
            ]
            await _phase(*both, rows=rows, seconds=WARM_UP_SECONDS, rate=None)
            flat_out = await _phase(*both, rows=rows, seconds=seconds, rate=None)
            paced = await _phase(*both, rows=rows, seconds=seconds, rate=ROWS[rows])
    took = (flat_out["last_ns"] - flat_out["start_ns"]) / 1e9
    ordered = paced["ns"]
    return {
        "updates_per_second": round(flat_out["updates"] * rows / took),
        "sent": flat_out["sent"],
        **{f"p{at}_us": ordered[(len(ordered) - 1) * at // 100] / 1e3 for at in (50, 95, 99)},
    }


async def _phase(subscriber: Worker, publisher: Worker, **load: object) -> Figures:
    sent = await _ask(publisher, load)
    got = await _ask(subscriber, {"expected": sent["sent"]})
    if got["updates"] != sent["sent"] or not got["ns"]:
        raise MeasurementError(f"{sent['sent']} updates sent, {got['updates']} received")
    return sent | got


async def _ask(worker: Worker, request: Figures) -> Figures:
    assert worker.process.stdin is not None
    worker.process.stdin.write(json.dumps(request).encode() + b"\n")
    return await worker.answer(ANSWER_SECONDS_MAX)


def _worker(folder: Path, role: str, carrier: str, address: str) -> Any:
    described = json.dumps({"role": role, "carrier": carrier, "address": address})
    return _started(folder, role, ("-m", "tests.benchmarks.shared_memory_worker", described))


@asynccontextmanager
async def _started(folder: Path, role: str, arguments: tuple[str, ...]) -> AsyncIterator[Worker]:
    """Run Python with these arguments until left; entered when it has said its first line."""
    log = folder / f"{role}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=LINE_BYTES_MAX,
            cwd=REPOSITORY,
            env={
                key: value for key, value in os.environ.items() if not key.startswith("BELLWIRE_")
            },
        )
    worker = Worker(role, {}, process, log)
    try:
        worker.about = await worker.answer(READY_SECONDS_MAX)
        yield worker
    finally:
        assert process.stdin is not None
        process.stdin.close()
        if role == "broker":
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), READY_SECONDS_MAX)
        except TimeoutError:
            process.kill()
            await process.wait()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/benchmarks/shared_memory.py", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, metavar="N", help=f"rounds (default {ROUNDS_DEFAULT})")
    add("--quick", action="store_true", help="one brief round: does everything work?")
    add("--json", type=Path, metavar="FILE", help="also write the result to a file")
    add("--show", type=Path, metavar="RESULT", help="print an earlier result; measure nothing")
    add("--markdown", type=Path, metavar="RESULT", help="write it into docs/profiling.md")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: 1 is the least")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
