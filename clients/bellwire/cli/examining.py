"""Print what the doctor finds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from bellwire.cli.faults import ExitCode
from bellwire.cli.output import Style, console, harmless, plain_table, print_json
from bellwire.cli.units import bytes_text, count_text, counted_text

if TYPE_CHECKING:
    from bellwire.coordinator.log.sqlite.findings import Finding, LogSummary, Report

__all__ = ["examine_store", "findings_lines", "logs_table", "report_json", "verdict"]

STYLES: Final = {"error": Style.BAD, "warning": Style.WARN, "info": Style.FAINT}


def examine_store(path: Path, *, as_json: bool) -> ExitCode:
    """Examine and print; FAILURE when there is an error among the findings."""
    from bellwire.coordinator.log.sqlite import examine

    report = examine(path)
    if as_json:
        print_json(report_json(report))
    else:
        _print(report)
    return ExitCode.OK if report.is_healthy else ExitCode.FAILURE


def report_json(report: Report) -> dict[str, object]:
    """Return the report as one object."""
    return {
        "path": report.path,
        "healthy": report.is_healthy,
        "findings": [_finding_json(finding) for finding in report.findings],
        "findings_omitted": report.omitted,
        "logs": [_log_json(summary) for summary in report.logs],
        "rows": report.counts,
    }


def _finding_json(finding: Finding) -> dict[str, object]:
    return {
        "severity": finding.severity.value,
        "where": finding.where,
        "what": finding.what,
        "advice": finding.advice,
    }


def _log_json(summary: LogSummary) -> dict[str, object]:
    return {
        "log_id": summary.log_id,
        "name": summary.name,
        "first_offset": summary.first_offset,
        "next_offset": summary.next_offset,
        "entries": summary.entries,
        "messages": summary.messages,
        "stored_bytes": summary.stored_bytes,
        "unreadable_entries": summary.unreadable,
    }


def _print(report: Report) -> None:
    out = console()
    out.print(f"examined {report.path}", style=Style.FAINT, markup=False, soft_wrap=True)
    if report.logs:
        out.print(logs_table(report.logs))
    if report.counts:
        rows = ", ".join(f"{count_text(count)} {what}" for what, count in report.counts.items())
        out.print(rows, markup=False)
    for line in findings_lines(report):
        out.print(line, soft_wrap=True)
    out.print(verdict(report))


def logs_table(logs: list[LogSummary]) -> Table:
    """Return one line per log."""
    headings = ("log", "first offset", "next offset", "messages", "entries", "stored", "unreadable")
    table = plain_table(*headings, right=tuple(range(1, len(headings))))
    for summary in logs:
        unreadable = count_text(summary.unreadable)
        table.add_row(
            Text(harmless(summary.name), Style.NAME),
            "-" if summary.first_offset < 0 else count_text(summary.first_offset),
            count_text(summary.next_offset),
            count_text(summary.messages),
            count_text(summary.entries),
            bytes_text(summary.stored_bytes),
            f"[{Style.BAD}]{unreadable}[/]" if summary.unreadable else unreadable,
        )
    return table


def findings_lines(report: Report, *, with_info: bool = True) -> list[Text]:
    """Return what was found, each with what to do about it; of a copy nobody asks what is only worth knowing."""
    lines: list[Text] = []
    for finding in report.findings:
        severity = finding.severity.value
        if severity == "info" and not with_info:
            continue
        lines.append(
            Text.assemble(
                (severity, STYLES[severity]),
                f"  {harmless(finding.where)}: {harmless(finding.what)}",
            )
        )
        lines.append(Text(f"    {harmless(finding.advice)}", Style.FAINT))
    if report.omitted:
        lines.append(Text(f"and {count_text(report.omitted)} findings more", Style.WARN))
    return lines


def verdict(report: Report) -> Text:
    """Return the last line."""
    if report.is_healthy:
        return Text("healthy", Style.GOOD)
    return Text(f"not healthy: {counted_text(len(report.errors), 'error')}", Style.BAD)
