"""The life of `bellwire sink`: open the store, announce, write until a signal, say what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bellwire.cli.faults import UsageFault
from bellwire.cli.output import Style, console, error_console, print_json
from bellwire.cli.serving import SignalGate
from bellwire.cli.session import run_async
from bellwire.cli.units import bytes_text
from bellwire.sink import (
    AnalyticStoreError,
    AnalyticStoreLockedError,
    ParquetWriter,
    RowWriter,
    SinkEvents,
    SinkRunner,
    SinkTotals,
)
from bellwire.sink.folder import StoreFolder
from bellwire.sink.upkeep import UpkeepReport, run_upkeep

if TYPE_CHECKING:
    from bellwire.client import ClientSettings
    from bellwire.sink import SinkSettings, SinkWriteError
    from bellwire.sink.columns import Row

__all__ = ["SinkPlan", "run_sink"]


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """What one `bellwire sink` does."""

    address: str
    client: ClientSettings
    sink: SinkSettings

    @property
    def place(self) -> str:
        """Where rows go, for people."""
        if self.sink.bigquery:
            return f"BigQuery table {self.sink.bigquery}"
        return str(Path(self.sink.store).absolute())


@dataclass(frozen=True, slots=True)
class _Store:
    """What rows are written with, and who looks after them then; None = nobody has to."""

    writer: RowWriter
    upkeep: Callable[[datetime], UpkeepReport] | None = None


def run_sink(plan: SinkPlan, *, as_json: bool) -> None:
    """Write until told to stop.

    Raises:
        UsageFault: When the store cannot be used.
    """
    events = _JsonEvents(plan) if as_json else _Lines(plan)
    try:
        store = _big_query(plan, events) if plan.sink.bigquery else _folder(plan, events)
    except (AnalyticStoreError, AnalyticStoreLockedError) as error:
        raise UsageFault(error.message) from error
    try:
        run_async(lambda: _sink(plan, store, events))
    finally:
        store.writer.close()


def _folder(plan: SinkPlan, events: _Lines) -> _Store:
    folder = StoreFolder(Path(plan.place))
    writer = ParquetWriter(folder, plan.sink)
    for path in writer.set_apart:
        events.damaged(path)

    def upkeep(now: datetime) -> UpkeepReport:
        return run_upkeep(folder, plan.sink, now.date())

    return _Store(writer, upkeep)


def _big_query(plan: SinkPlan, events: _Lines) -> _Store:
    from bellwire.sink.bigquery import BigQueryWriter
    from bellwire.sink.bigquery.table import TableName

    table = TableName.parse(plan.sink.bigquery)
    endpoint = plan.sink.bigquery_endpoint
    return _Store(BigQueryWriter(table, endpoint, columns_changed=events.columns_changed))


async def _sink(plan: SinkPlan, store: _Store, events: _Lines) -> None:
    from bellwire.client import connect

    gate = SignalGate()
    gate.install()
    async with connect(plan.address, plan.client) as client:
        runner = SinkRunner(client, plan.sink, store.writer, upkeep=store.upkeep, events=events)
        work = asyncio.create_task(runner.run())
        stop = asyncio.create_task(gate.wait())
        try:
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
            runner.stop()
            events.stopped(await work)
        finally:
            for task in (work, stop):
                task.cancel()
            await asyncio.gather(work, stop, return_exceptions=True)


class _Lines(SinkEvents):
    """Lines for people: the beginning, the end, and what is wrong."""

    def __init__(self, plan: SinkPlan) -> None:
        self._plan = plan
        self._failing = False

    def ready(self, known: int) -> None:
        out = console()
        sink = self._plan.sink
        out.print(
            f"{', '.join(sink.topics)} → {self._plan.place}",
            style=Style.NAME,
            soft_wrap=True,
            markup=False,
        )
        out.print(
            f"subscription {sink.subscription}, {known:,} messages known; Ctrl-C writes what waits and stops",
            style=Style.FAINT,
            soft_wrap=True,
            markup=False,
        )

    def wrote(self, rows: int) -> None:
        if self._failing:
            self._failing = False
            error_console().print(
                f"the store takes rows again ({rows:,} written)", style=Style.GOOD
            )

    def refused(self, row: Row, reason: str) -> None:
        error_console().print(
            f"dead letter {row.topic}/{row.partition}@{row.offset}: {reason}",
            style=Style.BAD,
            soft_wrap=True,
            markup=False,
        )

    def columns_changed(self, columns: Sequence[str]) -> None:
        """Tell that the table has changed."""
        error_console().print(
            f"the table has changed; written from now on: {', '.join(columns)}",
            style=Style.WARN,
            soft_wrap=True,
            markup=False,
        )

    def write_failed(self, error: SinkWriteError, waiting: int, retry_seconds: float) -> None:
        self._failing = True
        error_console().print(
            f"{error.message}; {waiting:,} rows wait, not accepted; next try in {retry_seconds:.1f} s",
            style=Style.WARN,
            soft_wrap=True,
            markup=False,
        )

    def upkept(self, report: UpkeepReport) -> None:
        for path in report.damaged:
            self.damaged(path)
        if report.made_files:
            console().print(
                f"compacted {report.merged_files} files into {report.made_files}: {report.rows:,} rows, "
                f"{bytes_text(report.bytes_before)} → {bytes_text(report.bytes_after)}, "
                f"{report.duplicates} duplicates left out",
                style=Style.FAINT,
                soft_wrap=True,
                markup=False,
            )
        if report.dropped_days:
            console().print(f"dropped {report.dropped_days} old days", style=Style.FAINT)

    def upkeep_failed(self, error: SinkWriteError) -> None:
        error_console().print(error.message, style=Style.WARN, soft_wrap=True, markup=False)

    def damaged(self, path: Path) -> None:
        """Tell of a file that was set apart."""
        error_console().print(
            f"damaged file set apart: {path}", style=Style.BAD, soft_wrap=True, markup=False
        )

    def stopped(self, totals: SinkTotals) -> None:
        """Tell what was done."""
        unit = "writes" if self._plan.sink.bigquery else "files"
        refused = f", {totals.refused:,} dead letters" if totals.refused else ""
        console().print(
            f"stopped: {totals.rows:,} rows in {totals.files:,} {unit}, "
            f"{totals.duplicates:,} duplicates left out{refused}",
            style=Style.FAINT,
            soft_wrap=True,
        )


class _JsonEvents(_Lines):
    """One JSON object an event, for machines; each is flushed at once."""

    def ready(self, known: int) -> None:
        sink = self._plan.sink
        print_json(
            {
                "event": "ready",
                "store": self._plan.place,
                "topics": list(sink.topics),
                "subscription": sink.subscription,
                "known": known,
            }
        )

    def wrote(self, rows: int) -> None:
        print_json({"event": "wrote", "rows": rows})

    def refused(self, row: Row, reason: str) -> None:
        print_json(
            {
                "event": "refused",
                "topic": row.topic,
                "partition": row.partition,
                "offset": row.offset,
                "reason": reason,
            }
        )

    def columns_changed(self, columns: Sequence[str]) -> None:
        """Tell that the table has changed."""
        print_json({"event": "columns_changed", "columns": list(columns)})

    def write_failed(self, error: SinkWriteError, waiting: int, retry_seconds: float) -> None:
        print_json(
            {
                "event": "write_failed",
                "error": error.message,
                "rows_waiting": waiting,
                "retry_seconds": round(retry_seconds, 3),
            }
        )

    def upkept(self, report: UpkeepReport) -> None:
        print_json(
            {
                "event": "upkept",
                "merged_files": report.merged_files,
                "made_files": report.made_files,
                "rows": report.rows,
                "duplicates": report.duplicates,
                "bytes_before": report.bytes_before,
                "bytes_after": report.bytes_after,
                "dropped_days": report.dropped_days,
                "refreshed_days": report.refreshed_days,
                "damaged": [str(path) for path in report.damaged],
            }
        )

    def upkeep_failed(self, error: SinkWriteError) -> None:
        print_json({"event": "upkeep_failed", "error": error.message})

    def damaged(self, path: Path) -> None:
        """Tell of a file that was set apart."""
        print_json({"event": "damaged", "file": str(path)})

    def stopped(self, totals: SinkTotals) -> None:
        """Tell what was done."""
        print_json(
            {
                "event": "stopped",
                "rows": totals.rows,
                "files": totals.files,
                "duplicates": totals.duplicates,
                "refused": totals.refused,
                "failed_writes": totals.failed_writes,
                "settle_failures": totals.settle_failures,
            }
        )
