"""Upkeep of a store: small files become large ones, old days small, and the oldest go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from bellwire.sink.contents import topics_in
from bellwire.sink.engine import distinct_rows, open_engine, read_files
from bellwire.sink.errors import SinkWriteError
from bellwire.sink.folder import StoreFolder, is_whole, publish_file, sync
from bellwire.sink.refresh import days_to_refresh, refresh_day, remove_dropped
from bellwire.sink.upkeep_plan import Merge, plan_upkeep
from bellwire.sink.writer import copy_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from bellwire.sink.settings import SinkSettings

__all__ = ["UpkeepReport", "run_upkeep"]


@dataclass(slots=True)
class UpkeepReport:
    """What was done.

    Attributes:
        merged_files: Files that became fewer.
        made_files: Files they became.
        rows: Rows in those.
        duplicates: Rows left out because their message was there already.
        bytes_before: Of the files that are gone.
        bytes_after: Of those made.
        dropped_days: Days that were too old.
        refreshed_days: Days of materialised views computed, each table by itself.
        damaged: Files set apart because they could not be read.
    """

    merged_files: int = 0
    made_files: int = 0
    rows: int = 0
    duplicates: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    dropped_days: int = 0
    refreshed_days: int = 0
    damaged: tuple[Path, ...] = ()

    @property
    def did_something(self) -> bool:
        """True when the store has changed."""
        return bool(self.made_files or self.dropped_days or self.refreshed_days or self.damaged)


def run_upkeep(folder: StoreFolder, settings: SinkSettings, today: date) -> UpkeepReport:
    """Do what is to do, one file after the other; the caller holds the store's lock.

    A new file is visible before those it replaces are gone. A reader in between, or after a crash there, finds
    rows twice and leaves the second out, as it does with all days that are more than one file.

    Raises:
        SinkWriteError: The disk took no more; what was done until then stays done.
    """
    import duckdb

    report = UpkeepReport()
    try:
        damaged = [file.path for file in folder.files() if not is_whole(file.path)]
        report.damaged = tuple(folder.set_apart(path) for path in damaged)
        plan = plan_upkeep(folder.files(), today, settings)
        for day in plan.dropped:
            _drop_day(folder, day)
            report.dropped_days += 1
        if plan.merges:
            with _engine(folder, settings) as engine:
                for merge in plan.merges:
                    _merge(folder, engine, merge, report)
        _refresh(folder, settings, today, report)
    except (OSError, duckdb.Error) as error:
        raise SinkWriteError(
            f"upkeep of {folder.root} stopped: {str(error).partition(chr(10))[0]}"
        ) from error
    return report


def _refresh(
    folder: StoreFolder, settings: SinkSettings, today: date, report: UpkeepReport
) -> None:
    files = folder.files()
    if report.dropped_days:
        remove_dropped(folder, files)
    stale = days_to_refresh(folder, files, today)
    if not stale:
        return
    with _engine(folder, settings) as engine:
        for table, day in stale:
            refresh_day(folder, engine, table, day, files, settings.codec)
            report.refreshed_days += 1


@contextmanager
def _engine(folder: StoreFolder, settings: SinkSettings) -> Iterator[DuckDBPyConnection]:
    spill = folder.aside / "upkeep"
    spill.mkdir(exist_ok=True)
    engine = open_engine(settings.memory_bytes, spill)
    try:
        yield engine
    finally:
        engine.close()


def _merge(
    folder: StoreFolder, engine: DuckDBPyConnection, merge: Merge, report: UpkeepReport
) -> None:
    paths = [file.path for file in merge.files]
    aside = folder.aside / f"merge-{merge.day}-{merge.level}-{merge.stored_ns}.parquet"
    rows = distinct_rows(f"SELECT * EXCLUDE (day) FROM ({read_files(paths)})")
    try:
        copy_rows(engine, rows, aside, merge.codec, topics_in(engine, paths))
        count = _rows_in(engine, aside)
        place = folder.place(merge.day, merge.level, merge.stored_ns, count)
        bytes_before = sum(path.stat().st_size for path in paths)
        publish_file(aside, place)
    finally:
        aside.unlink(missing_ok=True)
    _remove(path for path in paths if path != place)
    report.merged_files += len(paths)
    report.made_files += 1
    report.rows += count
    report.duplicates += merge.rows - count
    report.bytes_before += bytes_before
    report.bytes_after += place.stat().st_size


def _rows_in(engine: DuckDBPyConnection, path: Path) -> int:
    found = engine.execute("SELECT num_rows FROM parquet_file_metadata(?)", [str(path)]).fetchone()
    assert found is not None
    return int(found[0])


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink()


def _drop_day(folder: StoreFolder, day: date) -> None:
    """Remove a day: its name first, so that no reader finds a part of it."""
    doomed = folder.place(day, 0, 0, 0).parent
    moved = folder.aside / f"dropped-{day.isoformat()}"
    doomed.rename(moved)
    sync(folder.messages)
    for path in moved.iterdir():
        path.unlink()
    moved.rmdir()
