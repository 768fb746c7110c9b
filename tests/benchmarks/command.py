"""The command line of the benchmark."""

import argparse
import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from tests.benchmarks.header import header_of
from tests.benchmarks.histogram import HistogramJson, LatencyHistogram
from tests.benchmarks.markdown_page import PageError, update_page
from tests.benchmarks.peers import PEERS, SERVERS
from tests.benchmarks.scenario import (
    DURATIONS_DEFAULT,
    DURATIONS_QUICK,
    ROUNDS_DEFAULT,
    ROUNDS_QUICK,
    SCENARIOS,
    Study,
)
from tests.benchmarks.session import Plan, run_session, split_missing
from tests.benchmarks.studies import load_study
from tests.benchmarks.summary import Document, Measurement
from tests.benchmarks.tables import Table, tables_of

EXIT_OK = 0  # Also when a target is missed: figures inform, they do not fail.
EXIT_MEASUREMENT_FAILED = 1
EXIT_WRONG_ARGUMENT = 2
FILE_COLUMNS = 190  # Into a file or a pipe: wide enough for every table.

SYSTEMS: Final = (*PEERS, *SERVERS)


class NothingToMeasureError(Exception):
    """What was selected does not belong together, or is not installed."""


def main(arguments: list[str]) -> int:
    """Run the command and give its exit status."""
    options = _parse(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = FILE_COLUMNS
    try:
        return _run(console, options)
    except (PageError, NothingToMeasureError, OSError) as error:
        console.print(f"[red]error:[/red] {error}")
        return EXIT_WRONG_ARGUMENT


def _run(console: Console, options: argparse.Namespace) -> int:
    if options.markdown:
        update_page(options.markdown)
        return EXIT_OK
    if options.show:
        _print_document(console, json.loads(options.show.read_text()))
        return EXIT_OK
    for folder in (options.json and options.json.parent, options.profile, options.folder):
        if folder:  # Now, rather than after minutes of measuring.
            folder.mkdir(parents=True, exist_ok=True)
    document = _measure(console, options)
    _print_document(console, document)
    if options.json:
        options.json.write_text(json.dumps(document, separators=(",", ":")) + "\n")
        console.print(f"written: {options.json}")
    failed = any("error" in measurement for measurement in document["measurements"])
    return EXIT_MEASUREMENT_FAILED if failed else EXIT_OK


def select(names: Iterable[str], only: list[str]) -> list[str]:
    """Keep the names in `only`, or that begin with an entry of it; all of them when none does."""
    names = list(names)
    return [name for name in names if any(_means(each, name, names) for each in only)] or names


def select_scenarios(only: list[str]) -> list[str]:
    """Keep the scenarios in `only`; without one of them all, but for studies."""
    names = list(SCENARIOS)
    if any(_means(each, name, names) for each in only for name in names):
        return select(names, only)
    return [name for name in names if not isinstance(SCENARIOS[name], Study)]


def _means(entry: str, name: str, names: list[str]) -> bool:
    return name == entry if entry in names else name.startswith(entry)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/benchmarks/run.py",
        description="Measure latency and throughput of Bellwire beside NATS, Redis, plain grpc.aio,"
        " AutoGen, SLIM and LitServe, all started here and now. `make bench BENCH_ARGS=…` passes arguments on.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="one short round of everything, a few minutes")
    add(
        "--rounds",
        type=_positive,
        metavar="N",
        help=f"rounds (default {ROUNDS_DEFAULT}, with --quick {ROUNDS_QUICK})",
    )
    add(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="only these scenarios or systems, by the beginning of their names; repeatable;"
        f" scenarios: {', '.join(SCENARIOS)}; systems: {', '.join(SYSTEMS)}",
    )
    add(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="where brokers keep their files: the disk that PERSISTED is measured on (default: the"
        " system's folder for temporary files)",
    )
    add("--json", type=Path, metavar="FILE", help="also write the result to a file")
    add(
        "--profile",
        type=Path,
        metavar="FOLDER",
        help="run each process under cProfile and leave"
        " SYSTEM-ROLE.pstats there; the figures of such a run mean nothing",
    )
    add("--show", type=Path, metavar="RESULT", help="print an earlier result; measure nothing")
    add(
        "--markdown",
        type=Path,
        nargs="+",
        metavar="RESULT",
        help="write earlier results, kept inside the repository, and their plots into"
        " docs/benchmarks.md; measure nothing",
    )
    options = parser.parse_args(arguments)
    known = (*SCENARIOS, *SYSTEMS)
    for name in options.only:
        if not any(each.startswith(name) for each in known):
            parser.error(f"--only {name} matches nothing of: {', '.join(known)}")
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _measure(console: Console, options: argparse.Namespace) -> Document:
    scenarios = select_scenarios(options.only)
    wanted = {peer for name in scenarios for peer in SCENARIOS[name].suite.peers}
    peers, missing = split_missing([p for p in select(SYSTEMS, options.only) if p in wanted])
    for name, reason in missing.items():
        console.print(f"[yellow]missing[/yellow] {name}: {reason}")
    plan = Plan(
        scenarios=scenarios,
        peers=peers,
        rounds=options.rounds or (ROUNDS_QUICK if options.quick else ROUNDS_DEFAULT),
        durations=DURATIONS_QUICK if options.quick else DURATIONS_DEFAULT,
        folder=options.folder and options.folder.resolve(),
        profile_directory=options.profile and options.profile.resolve(),
    )
    if not plan.measurements:
        raise NothingToMeasureError(
            f"{', '.join(options.only)} leaves nothing to measure: systems here are"
            f" {', '.join(peers) or 'none'}, scenarios {', '.join(scenarios)}"
        )
    columns = (TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=plan.measurements)

        def on_measured(measurement: Measurement) -> None:
            progress.advance(task)
            progress.console.print(_line(measurement), highlight=False)

        return asyncio.run(run_session(plan, missing, on_measured))


def _line(measurement: Measurement) -> str:
    if "error" in measurement:
        figure = f"[red]failed[/red]: {measurement['error']}"
    elif isinstance(SCENARIOS.get(measurement["scenario"]), Study):
        figure = load_study(measurement["scenario"]).headline(measurement)
    elif "messages_per_second" in measurement:
        unit = "updates/s" if "rows_per_message" in measurement else "msg/s"
        figure = f"{measurement['messages_per_second']:,} {unit}"
    elif "variants" in measurement:
        figure = ", ".join(
            f"{variant} {_percentile(measured['from_intended'], 99)}"
            for variant, measured in measurement["variants"].items()
        )
    else:
        figure = _percentile(measurement.get("from_intended") or measurement["acknowledged"], 50)
    where = f"round {measurement['round']}  {measurement['scenario']:<24}{measurement['peer']:<18}"
    return f"{where}{figure}"


def _percentile(histogram: HistogramJson, percent: float) -> str:
    return (
        f"p{percent:g} {LatencyHistogram.from_json(histogram).percentile(percent) / 1_000:,.0f} µs"
    )


def _print_document(console: Console, document: Document) -> None:
    for key, value in header_of(document):
        console.print(f"[bold]{key:>9}[/bold]  {value}", highlight=False)
    for table in tables_of(document):
        console.print(_rich_table(table))


def _rich_table(table: Table) -> RichTable:
    rich = RichTable(
        title=table.title,
        title_justify="left",
        title_style="bold",
        caption="\n".join(table.notes) or None,
        caption_justify="left",
        box=SIMPLE_HEAD,
    )
    for number, column in enumerate(table.columns):
        rich.add_column(column, justify="right" if number else "left")
    for cells in table.rows:
        rich.add_row(*cells)
    return rich
