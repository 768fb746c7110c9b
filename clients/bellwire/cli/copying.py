"""Back a store up and restore it, and print what the doctor says of the copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bellwire.cli.examining import findings_lines, report_json, verdict
from bellwire.cli.faults import DATA_FAULTS, ExitCode, UsageFault
from bellwire.cli.output import Style, console, print_json
from bellwire.cli.units import bytes_text, count_text, counted_text, duration_text

if TYPE_CHECKING:
    from bellwire.coordinator.log.sqlite import Report

__all__ = ["back_up", "contents_text", "restore_to"]


def back_up(data: Path, target: Path, *, as_json: bool) -> ExitCode:
    """Write a backup and print what is in it; FAILURE when what was copied is damaged.

    Raises:
        UsageFault: There is no store, or the target cannot be written.
        DataCorruptError: The store is too damaged to be copied.
    """
    from bellwire.coordinator.log.sqlite import backup

    report, seconds = _timed(lambda: backup(data, target))
    if as_json:
        print_json({"source": str(data.absolute()), "seconds": seconds, **report_json(report)})
    else:
        _print(f"backed up {data.absolute()}", report, seconds)
    return ExitCode.OK if report.is_healthy else ExitCode.FAILURE


def restore_to(
    backup: Path, data: Path, *, force: bool, keep_log_ids: bool, as_json: bool
) -> ExitCode:
    """Make a data folder of a backup and print what is in it.

    Raises:
        UsageFault: There is no such backup, or the folder cannot be used.
        DataCorruptError: The backup is damaged; nothing was restored.
    """
    from bellwire.coordinator.log.sqlite import restore

    report, seconds = _timed(lambda: restore(backup, data, force=force, keep_log_ids=keep_log_ids))
    if as_json:
        print_json({"source": str(backup.absolute()), "seconds": seconds, **report_json(report)})
        return ExitCode.OK
    _print(f"restored {backup.absolute()}", report, seconds)
    if not keep_log_ids:
        console().print(
            "logs have new ids: named subscriptions go on, readers that remember offsets begin anew",
            style=Style.FAINT,
        )
    return ExitCode.OK


def _timed(work: Callable[[], Report]) -> tuple[Report, float]:
    began = time.monotonic()
    try:
        report = work()
    except DATA_FAULTS as error:
        raise UsageFault(error.message) from error
    return report, time.monotonic() - began


def _print(done: str, report: Report, seconds: float) -> None:
    out = console()
    out.print(f"{done} to {report.path} in {duration_text(seconds)}", markup=False, soft_wrap=True)
    out.print(contents_text(report), markup=False, soft_wrap=True)
    for line in findings_lines(report, with_info=False):
        out.print(line, soft_wrap=True)
    out.print(verdict(report))


def contents_text(report: Report) -> str:
    """Say what a store holds, in one line."""
    messages = sum(summary.messages for summary in report.logs)
    stored = sum(summary.stored_bytes for summary in report.logs)
    rows = [f"{count_text(count)} {what}" for what, count in report.counts.items()]
    head = f"{counted_text(messages, 'message')} ({bytes_text(stored)})"
    return ", ".join([f"{head} in {counted_text(len(report.logs), 'log')}", *rows])
