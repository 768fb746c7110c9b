"""Brings the materialised views up to date: days that are over and have changed are computed again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from bellwire.sink.contents import topics_in
from bellwire.sink.daily import DAILY_TABLES, DailyTable, daily_place, stale_days
from bellwire.sink.engine import codec_options, quoted, text
from bellwire.sink.folder import DataFile, StoreFolder, by_day, day_named, publish_file
from bellwire.sink.views import TYPE_SCHEMA, messages_view, type_views

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["days_to_refresh", "refresh_day", "remove_dropped"]


def days_to_refresh(
    folder: StoreFolder, files: Sequence[DataFile], today: date
) -> Sequence[tuple[DailyTable, date]]:
    """Return what is to compute, the oldest day first."""
    return sorted(
        ((table, day) for table in DAILY_TABLES for day in stale_days(folder, table, files, today)),
        key=lambda found: found[1],
    )


def refresh_day(
    folder: StoreFolder,
    engine: DuckDBPyConnection,
    table: DailyTable,
    day: date,
    files: Sequence[DataFile],
    codec: str,
) -> None:
    """Compute one day of a table and make it visible; the answer it replaces goes.

    A day without the payload types it needs has an empty answer, which is kept like any other.
    """
    days = by_day(files)
    read = [
        file
        for back in range(table.days_back + 1)
        for file in days.get(day - timedelta(days=back), ())
    ]
    topics = topics_in(engine, [file.path for file in read])
    wanted = {"": set(table.needs), **topics}
    engine.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(TYPE_SCHEMA)}")
    for view in (messages_view(read), *type_views(wanted)):
        engine.execute(view.create(replace=True))
    place = daily_place(folder, table, day, days)
    aside = folder.aside / f"daily-{table.name}-{day.isoformat()}.parquet"
    try:
        engine.execute(
            f"COPY ({table.of_days([day])}) TO {text(str(aside))} (FORMAT parquet, {codec_options(codec)})"
        )
        publish_file(aside, place)
    finally:
        aside.unlink(missing_ok=True)
    for other in place.parent.iterdir():
        if other != place:
            other.unlink()


def remove_dropped(folder: StoreFolder, files: Sequence[DataFile]) -> None:
    """Remove the answers of days whose messages are gone."""
    days = by_day(files)
    for table in DAILY_TABLES:
        for found in (folder.daily / table.name).glob("day=*"):
            if day_named(found.name) not in days:
                shutil.rmtree(found)
