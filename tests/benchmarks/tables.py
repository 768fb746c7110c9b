"""The tables of a result, as plain strings: the terminal and the Markdown page show the same."""

from dataclasses import dataclass, field
from typing import Final

from tests.benchmarks.cells import ABSENT, ALONE, columns_for, number, ratio
from tests.benchmarks.peers import PEERS, SERVERS
from tests.benchmarks.scenario import SCENARIOS, Beside, Levels, Scenario, Study
from tests.benchmarks.summary import Document, Measurement, Row, summarise
from tests.benchmarks.targets import Verdict, judge, judge_study

RATIOS_BELOW: Final = (
    100  # Bounds are either ratios or messages per second; no ratio gets this far.
)
BESIDE_RATIO: Final = "p99 × alone"


@dataclass(slots=True)
class Table:
    """Title, column heads, rows of cells, and remarks to stand below."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    scenario: str = ""
    """What it shows; empty for the table of targets and those of studies."""


def tables_of(document: Document) -> list[Table]:
    """Give one table per scenario that was run, and the targets."""
    summary = summarise(document)
    tables = [
        _scenario_table(SCENARIOS[name], summary[name], document["missing"])
        for name in SCENARIOS
        if name in summary
    ]
    verdicts = judge(summary)
    for name, measurements in studies_of(document).items():
        found, judged = _study(name, measurements)
        found[0].notes += _missing(SCENARIOS[name], document["missing"])
        tables += found
        verdicts += judged
    return [*tables, _target_table(verdicts)] if verdicts else tables


def studies_of(document: Document) -> dict[str, list[Measurement]]:
    """Give the measurements of each study that was run."""
    found: dict[str, list[Measurement]] = {}
    for measurement in document["measurements"]:
        if isinstance(SCENARIOS.get(measurement["scenario"]), Study):
            found.setdefault(measurement["scenario"], []).append(measurement)
    return found


def _study(name: str, measurements: list[Measurement]) -> tuple[list[Table], list[Verdict]]:
    from tests.benchmarks.studies import load_study

    study, title = load_study(name), SCENARIOS[name].title
    good = [each for each in measurements if "error" not in each]
    tables = study.tables(title, good) if good else [Table(title, ("system",))]
    tables[0].notes += [
        f"{title_of(each['peer'])}: failed: {each['error']}"
        for each in measurements
        if "error" in each
    ]
    return tables, judge_study(name, study.figures(good)) if good else []


def _scenario_table(scenario: Scenario, rows: list[Row], missing: dict[str, str]) -> Table:
    columns = columns_for(scenario)
    title = f"{scenario.title}, µs" if columns.in_microseconds else scenario.title
    table = Table(
        title, ("system", *columns.heads, *_ratio_heads(scenario, rows)), scenario=scenario.name
    )
    for row in rows:
        title = title_of(row.peer)
        level = f" at {number(int(row.variant))}/s" if isinstance(scenario, Levels) else ""
        table.notes += [f"{title}{level}: {note}" for note in _notes(row)]
        if row.rounds:
            table.rows.append((title, *columns.cells(row), *_ratios(scenario, row, rows)))
    table.notes += _missing(scenario, missing)
    return table


def _missing(scenario: Scenario, missing: dict[str, str]) -> list[str]:
    return [
        f"{title_of(peer)} is missing: {reason}"
        for peer, reason in missing.items()
        if peer in scenario.suite.peers
    ]


def _ratio_heads(scenario: Scenario, rows: list[Row]) -> tuple[str, ...]:
    if isinstance(scenario, Beside):
        return (BESIDE_RATIO,)
    return tuple(head for head, _ in _measured_ratios(scenario, rows))


def _measured_ratios(scenario: Scenario, rows: list[Row]) -> list[tuple[str, str]]:
    """Give the ratios to those systems that took part: the others' columns would be empty."""
    took_part = {row.peer for row in rows}
    return [(head, peer) for head, peer in scenario.suite.ratios if peer in took_part]


def _ratios(scenario: Scenario, row: Row, rows: list[Row]) -> list[str]:
    if isinstance(scenario, Beside):
        alone = next(each for each in rows if (each.peer, each.variant) == (row.peer, ALONE))
        return [ABSENT if row is alone else ratio(row.p99_ratio_to(alone))]
    by_peer = {(each.peer, each.variant): each for each in rows}
    others = (by_peer.get((peer, row.variant)) for _, peer in _measured_ratios(scenario, rows))
    return [
        ABSENT if other is None or other is row else ratio(row.ratio_to(other)) for other in others
    ]


def _notes(row: Row) -> list[str]:
    notes = [f"failed: {failure}" for failure in row.failures]
    if row.saturated:
        taken = number(row.taken_per_second)
        notes.append(f"saturated, took {taken} messages/s; the latency is that of the backlog")
    if row.unsent:
        notes.append(f"{row.unsent:,} messages were not sent before the run was cut off")
    if row.duplicates:
        notes.append(f"{row.duplicates:,} messages came twice")
    return notes


def _target_table(verdicts: list[Verdict]) -> Table:
    table = Table("Targets (shown, never enforced)", ("target", "lane", "bound", "measured", ""))
    words = {True: "met", False: "MISSED", None: "not measured"}
    for target, lane, measured, met in verdicts:
        sign, times = "≤" if target.at_most else "≥", " ×" if target.relative_to else ""
        shown = ABSENT if measured is None else f"{_bound(measured)}{times}"
        bound = f"{sign} {_bound(target.bound)}{times}"
        table.rows.append((target.title, lane, bound, shown, words[met]))
    return table


def title_of(peer: str) -> str:
    """Give the name of a system for people."""
    systems = PEERS | SERVERS
    return systems[peer].title if peer in systems else peer


def _bound(value: float) -> str:
    return f"{value:.2f}" if value < RATIOS_BELOW else number(value)
