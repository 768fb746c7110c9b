"""The tables of a result, as plain strings: the terminal and the Markdown page show the same."""

from dataclasses import dataclass, field
from typing import Final

from tests.benchmarks.peers import PEERS
from tests.benchmarks.scenario import SCENARIOS, Latency
from tests.benchmarks.summary import CLIENT_ROLES, ROLES, Document, Row, Spread, summarise
from tests.benchmarks.targets import REFERENCE, Verdict, judge

ABSENT: Final = "–"
RATIOS: Final = {"× NATS": REFERENCE, "× unary": "grpc_unary"}


@dataclass(slots=True)
class Table:
    """Title, column heads, rows of cells, and remarks to stand below."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


LATENCY_COLUMNS: Final = (
    *("system", "p50 (rounds)", "p95", "p99", "p99.9", "max", "n", "lost"),
    *("from send", "late p50 / p99", *RATIOS),
)
THROUGHPUT_COLUMNS: Final = (
    *("system", "msg/s (rounds)", "lost", "CPU µs/msg", "RSS MB", "wire B/msg", *RATIOS),
)
MICROSECONDS_SHOWN_BELOW: Final = 100_000  # From here on milliseconds are easier to read.
RATIOS_BELOW: Final = (
    100  # Bounds are either ratios or messages per second; no ratio gets this far.
)


def tables_of(document: Document) -> list[Table]:
    """Give one table per scenario that was run, and the targets."""
    summary = summarise(document)
    tables = [
        _scenario_table(name, summary[name], document) for name in SCENARIOS if name in summary
    ]
    verdicts = judge(summary)
    return [*tables, _target_table(verdicts)] if verdicts else tables


def header_of(document: Document) -> list[tuple[str, str]]:
    """Give what a number needs beside it: command, commit, machine, versions, method."""
    machine, settings = document["machine"], document["settings"]
    hardware = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    return [
        ("taken", f"{document['taken_at']}, load average {machine['load_average_at_start']}"),
        ("others", _others(document)),
        ("command", document["command"]),
        ("commit", document["commit"]),
        ("machine", f"{hardware}, {machine['kernel']}"),
        ("versions", ", ".join(f"{key} {value}" for key, value in document["versions"].items())),
        (
            "method",
            f"{settings['rounds']} alternating rounds, {settings['load_seconds']:g} s of load after"
            f" {settings['warm_up_seconds']:g} s of warm-up, {settings['payload_bytes']}-byte"
            " payloads; medians over the rounds (least–most); p99.9 and max over all rounds"
            " together; ratios round by round",
        ),
    ]


def _others(document: Document) -> str:
    good = [each for each in document["measurements"] if "error" not in each]
    if not good:
        return "not measured"
    share = Spread.of(each["processes"]["others"]["cpu_share"] for each in good)
    return (
        f"{share.median:.0%} of the machine's CPU time went to anything else while measuring (median;"
        f" {share.low:.0%}–{share.high:.0%})"
    )


def _scenario_table(name: str, rows: list[Row], document: Document) -> Table:
    scenario = SCENARIOS[name]
    paced = isinstance(scenario, Latency)
    title = f"{scenario.title}, µs" if paced else scenario.title
    table = Table(title, LATENCY_COLUMNS if paced else THROUGHPUT_COLUMNS)
    by_peer = {row.peer: row for row in rows}
    for row in rows:
        title = title_of(row.peer)
        table.notes += [f"{title}: {note}" for note in _notes(row)]
        if row.rounds:
            ratios = (_ratio(row, by_peer.get(peer)) for peer in RATIOS.values())
            cells = _latency_cells(row) if paced else _throughput_cells(row)
            table.rows.append((title, *cells, *ratios))
    missing = document["missing"].items()
    table.notes += [f"{title_of(peer)} is missing: {reason}" for peer, reason in missing]
    return table


def _notes(row: Row) -> list[str]:
    notes = [f"failed: {failure}" for failure in row.failures]
    if row.saturated:
        taken = _number(row.taken_per_second)
        notes.append(f"saturated, took {taken} messages/s; the latency is that of the backlog")
    if row.unsent:
        notes.append(f"{row.unsent:,} messages were not sent before the run was cut off")
    if row.duplicates:
        notes.append(f"{row.duplicates:,} messages came twice")
    return notes


def _latency_cells(row: Row) -> tuple[str, ...]:
    figures = row.latency
    assert figures is not None
    p50, low, high = map(_time, figures.p50)
    return (
        p50 if low == high else f"{p50} ({low}–{high})",
        *map(_time, (figures.p95.median, figures.p99.median, figures.p999, figures.max)),
        *(f"{row.messages:,}", f"{row.lost:,}", _time(figures.began_p50)),
        f"{_time(figures.late_p50)} / {_time(figures.late_p99)}",
    )


def _throughput_cells(row: Row) -> tuple[str, ...]:
    assert row.spread is not None
    wire = [row.wire_bytes[role] for role in CLIENT_ROLES]
    rate, low, high = map(_number, row.spread)
    return (
        rate if low == high else f"{rate} ({low}–{high})",
        f"{row.lost:,}",
        " + ".join(f"{row.cpu_us[role]:.1f}" for role in ROLES),
        "/".join(f"{row.rss_bytes[role] / 1e6:.0f}" for role in ROLES),
        "/".join(ABSENT if each is None else f"{each:.0f}" for each in wire),
    )


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
    return PEERS[peer].title if peer in PEERS else peer


def _ratio(row: Row, other: Row | None) -> str:
    ratio = None if other is None or other is row else row.ratio_to(other)
    return ABSENT if ratio is None else f"{ratio.median:.2f}"


def _time(microseconds: float) -> str:
    if microseconds < MICROSECONDS_SHOWN_BELOW:
        return _number(microseconds)
    return f"{_number(microseconds / 1_000)} ms"


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _bound(value: float) -> str:
    return f"{value:.2f}" if value < RATIOS_BELOW else _number(value)
