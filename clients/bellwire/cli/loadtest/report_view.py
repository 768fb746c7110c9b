"""The report as a table that is Markdown at the same time, and what it means below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table

from bellwire.cli.loadtest.bottleneck import Part
from bellwire.cli.loadtest.level_run import Interval
from bellwire.cli.loadtest.plan import LoadPlan
from bellwire.cli.loadtest.report import JudgedLevel, Report
from bellwire.cli.output import Style
from bellwire.cli.units import counted_text

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "interval_json",
    "interval_text",
    "print_report",
    "report_table",
    "start_json",
    "start_text",
]

Cell = Callable[[JudgedLevel], str]

_COLUMNS: Final[tuple[tuple[str, Cell], ...]] = (
    ("TPS offered", lambda level: f"{level.result.offered_tps:,.0f}"),
    ("achieved", lambda level: f"{level.result.achieved_tps:,.0f}"),
    ("p50 ms", lambda level: _ms(level, "p50")),
    ("p95", lambda level: _ms(level, "p95")),
    ("p99", lambda level: _ms(level, "p99")),
    ("p99.9", lambda level: _ms(level, "p99.9")),
    ("max", lambda level: _ms(level, "max")),
    ("lost", lambda level: f"{level.result.lost:,}"),
    ("dup", lambda level: f"{level.result.duplicates:,}"),
    ("order", lambda level: f"{level.result.out_of_order:,}"),
    ("CPU s pub/coord/sub", lambda level: _cpu(level)),
    ("% core", lambda level: _cores(level)),
    ("RSS MB", lambda level: f"{level.result.coordinator_rss_bytes_max / 1e6:,.0f}"),
    ("bottleneck", lambda level: level.bottleneck.part.value),
    ("verdict", lambda level: "met" if level.is_met else "MISSED"),
)
TABLE_WIDTH: Final = 160  # Of a table with a row a level.


def report_table(report: Report) -> Table:
    """Return one row per level: for pipes, files and wide terminals."""
    table = Table(box=box.MARKDOWN, header_style=Style.FAINT, pad_edge=True)
    for heading, _ in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for level in report.levels:
        style = None if level.is_met else Style.WARN
        table.add_row(*(cell(level) for _, cell in _COLUMNS), style=style)
    return table


def narrow_table(report: Report) -> Table:
    """Return the same with one column per level."""
    table = Table(box=box.MARKDOWN, header_style=Style.FAINT, pad_edge=True)
    (heading, cell), *rest = _COLUMNS
    table.add_column(heading, no_wrap=True)
    for level in report.levels:
        style = None if level.is_met else Style.WARN
        table.add_column(cell(level), justify="right", style=style)
    for heading, cell in rest:
        table.add_row(heading, *(cell(level) for level in report.levels))
    return table


def print_report(report: Report, out: Console) -> None:
    """Print the table, what was missed and why, and the verdict."""
    if not report.levels:
        out.print("interrupted before anything was measured", style=Style.WARN)
        return
    if not out.is_terminal:
        out.width = max(out.width, TABLE_WIDTH)
    is_wide = out.width >= TABLE_WIDTH
    out.print(report_table(report) if is_wide else narrow_table(report))
    out.print()
    for level in report.levels:
        for line in _lines(level):
            out.print(line, markup=False, soft_wrap=True)
    out.print(_verdict(report), style=Style.GOOD if report.is_met else Style.WARN, soft_wrap=True)


def _lines(level: JudgedLevel) -> list[str]:
    result = level.result
    head = f"{result.offered_tps:,.0f} TPS:"
    lines = [f"{head} missed {missed}" for missed in level.missed]
    if level.bottleneck.part is not Part.NONE:
        lines.append(f"{head} bottleneck {level.bottleneck.part}: {level.bottleneck.reason}")
    if result.scheduled > result.sent and not result.interrupted:
        lines.append(f"{head} {result.scheduled - result.sent:,} messages were not sent in time")
    if result.failed:
        lines.append(f"{head} {result.failed:,} messages were not acknowledged: {result.error}")
    if level.growth is not None:
        lines.append(f"{head} RSS of the coordinator {level.growth.text}")
    if result.interrupted:
        lines.append(f"{head} interrupted after {result.seconds:,.1f} s")
    return lines


def _verdict(report: Report) -> str:
    met = sum(level.is_met for level in report.levels)
    text = f"{met} of {len(report.levels)} levels met"
    if len(report.levels) == 1:
        text = "met" if met else "missed"
    return f"{text} (interrupted)" if report.interrupted else text


def start_text(plan: LoadPlan) -> str:
    """Return the line that says what is measured."""
    if plan.recording is not None:
        load = f"{plan.recording.path.name} at {plan.levels[0].rate:g} ×"
    else:
        load = f"{plan.payload_bytes:,} bytes a message"
    parts = (
        counted_text(plan.publishers, "publisher"),
        counted_text(plan.subscribers, "subscriber"),
        load,
        f"acknowledged when {plan.ack_word}",
        f"each level {plan.levels[0].seconds:g} s",
        plan.server or "a coordinator of its own",
    )
    return ", ".join(parts)


def start_json(plan: LoadPlan, topic: str) -> dict[str, object]:
    """Return the same for machines."""
    return {
        "event": "start",
        "server": plan.server,
        "topic": topic,
        "partitions": plan.partitions,
        "publishers": plan.publishers,
        "subscribers": plan.subscribers,
        "payload_bytes": None if plan.recording else plan.payload_bytes,
        "recording": str(plan.recording.path) if plan.recording else None,
        "rate": plan.levels[0].rate if plan.recording else None,
        "ack": plan.ack_word,
        "tps": [round(level.tps, 3) for level in plan.levels],
        "level_seconds": plan.levels[0].seconds,
        "warm_up_seconds": plan.levels[0].warm_up_seconds,
        "limits": {limit.name: limit.text for limit in plan.limits},
        "soak": plan.is_soak,
    }


def interval_text(interval: Interval) -> str:
    """Return the line of a soak's interval."""
    latency = interval.latency
    figures = "no message came"
    if latency.count:
        p50, p99 = latency.percentile(50) / 1e6, latency.percentile(99) / 1e6
        figures = f"p50 {p50:,.2f} ms, p99 {p99:,.2f} ms, max {latency.max_ns / 1e6:,.2f} ms"
    return (
        f"{interval.elapsed_seconds:8,.0f} s  {interval.delivered / interval.seconds:9,.0f} TPS  "
        f"{figures}  RSS {interval.coordinator.rss_bytes / 1e6:,.1f} MB"
    )


def interval_json(interval: Interval) -> dict[str, object]:
    """Return an interval for machines."""
    latency = interval.latency
    p50 = latency.percentile(50) / 1e3 if latency.count else None
    p99 = latency.percentile(99) / 1e3 if latency.count else None
    return {
        "event": "interval",
        "elapsed_seconds": round(interval.elapsed_seconds, 3),
        "achieved_tps": round(interval.delivered / interval.seconds, 1),
        "latency_us_p50": p50,
        "latency_us_p99": p99,
        "latency_us_max": latency.max_ns / 1e3 if latency.count else None,
        "coordinator_rss_bytes": interval.coordinator.rss_bytes,
    }


def _ms(level: JudgedLevel, name: str) -> str:
    microseconds = level.result.latency_us(name)
    if microseconds is None:
        return "–"
    value = microseconds / 1e3
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _cpu(level: JudgedLevel) -> str:
    result = level.result
    costs = (result.publishers, result.coordinator, result.subscribers)
    return "/".join(f"{cost.cpu_seconds:.1f}" for cost in costs)


def _cores(level: JudgedLevel) -> str:
    result = level.result
    costs = (result.publishers, result.coordinator, result.subscribers)
    return "/".join(f"{cost.core_share_max:.0%}".removesuffix("%") for cost in costs)
