"""Materialised views: the usual questions answered a day at a time, and which of the answers still hold.

A day that is over is computed once and kept as a file, named by what it was computed from: the files of that day
(and of the day before, where the question looks back) and the SQL itself. When any of them changes, the name is
another one, and the day is computed again. Days without a valid file, today among them, are computed when asked.
So an answer is never old, and only costs what has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from bellwire.sink.engine import text
from bellwire.sink.folder import DataFile, StoreFolder, by_day, is_whole
from bellwire.sink.views import DAILY_SCHEMA, View

__all__ = ["DAILY_TABLES", "DailyTable", "daily_place", "daily_views", "stale_days"]

SIGNAL: Final = "bellwire.trading.v1.Signal"
EXECUTION: Final = "bellwire.trading.v1.ExecutionReport"
NAME_HEX_DIGITS: Final = 24


@dataclass(frozen=True, slots=True)
class DailyTable:
    """A question with an answer for each day.

    Attributes:
        name: Of the table, in schema `daily`.
        needs: Payload types; without one of them in the store there is no such table.
        days_back: Days before its own that an answer reads.
        sql: The question; `{days}` stands for a list of days.
    """

    name: str
    needs: tuple[str, ...]
    days_back: int
    sql: str

    def of_days(self, days: Iterable[date]) -> str:
        """Return the question for these days."""
        listed = ", ".join(f"DATE {text(day.isoformat())}" for day in days)
        return self.sql.format(days=listed)


DAILY_TABLES: Final = (
    DailyTable(
        "signals_by_agent",
        (SIGNAL,),
        0,
        """
        SELECT day, coalesce(nullif(agent_id, ''), source) AS agent, strategy_id, symbol,
            count(*) AS signals,
            count(*) FILTER (side = 'SIDE_BUY') AS buys,
            count(*) FILTER (side = 'SIDE_SELL') AS sells,
            avg(confidence) AS confidence_mean
        FROM trading.signal WHERE day IN ({days}) GROUP BY ALL
        """,
    ),
    DailyTable(
        "fills_by_symbol",
        (EXECUTION,),
        0,
        """
        SELECT day, symbol, adapter, count(*) AS fills, count(DISTINCT cl_ord_id) AS orders,
            sum(last_qty) AS quantity, sum(last_qty * last_px) AS notional, sum(commission) AS fees
        FROM trading.execution_report WHERE exec_type = 'EXEC_TYPE_TRADE' AND day IN ({days}) GROUP BY ALL
        """,
    ),
    DailyTable(
        "signal_to_fill",
        (SIGNAL, EXECUTION),
        1,
        """
        SELECT day, strategy_id, count(*) AS signals_filled, quantile_cont(ms, 0.5) AS ms_p50,
            quantile_cont(ms, 0.95) AS ms_p95, max(ms) AS ms_max
        FROM (
            SELECT fill.day, fill.signal_id, any_value(fill.strategy_id) AS strategy_id,
                (epoch_ns(min(fill.admitted_time)) - epoch_ns(min(signal.admitted_time))) / 1e6 AS ms
            FROM trading.execution_report AS fill JOIN trading.signal AS signal
                ON signal.signal_id = fill.signal_id AND signal.day BETWEEN fill.day - 1 AND fill.day
            WHERE fill.exec_type = 'EXEC_TYPE_TRADE' AND fill.signal_id <> '' AND fill.day IN ({days})
            GROUP BY fill.day, fill.signal_id
        ) GROUP BY ALL
        """,
    ),
)


def daily_place(
    folder: StoreFolder, table: DailyTable, day: date, days: Mapping[date, Sequence[DataFile]]
) -> Path:
    """Return where the answer of a day belongs that was computed from these files."""
    told = sha256(table.sql.encode())
    for back in range(table.days_back + 1):
        for file in days.get(day - timedelta(days=back), ()):
            told.update(f"\n{file.day}/{file.path.name}".encode())
    name = f"{told.hexdigest()[:NAME_HEX_DIGITS]}.parquet"
    return folder.daily / table.name / f"day={day.isoformat()}" / name


def _is_kept(place: Path) -> bool:
    """Tell whether an answer is there; a torn one is as good as none."""
    return place.exists() and is_whole(place)


def stale_days(
    folder: StoreFolder, table: DailyTable, files: Sequence[DataFile], today: date
) -> Sequence[date]:
    """Return the days that are over and have no valid answer."""
    days = by_day(files)
    return [
        day for day in days if day < today and not _is_kept(daily_place(folder, table, day, days))
    ]


def daily_views(
    folder: StoreFolder, files: Sequence[DataFile], types: Iterable[str]
) -> Sequence[View]:
    """Return the tables whose payload types are in the store: kept answers, and the others computed when asked."""
    days = by_day(files)
    known = set(types)
    made: list[View] = []
    for table in DAILY_TABLES:
        if not known.issuperset(table.needs):
            continue
        places = {day: daily_place(folder, table, day, days) for day in days}
        kept = {day: place for day, place in places.items() if _is_kept(place)}
        rest = [day for day in days if day not in kept]
        sql = table.of_days(rest or [date.min])
        if kept:
            listed = ", ".join(text(str(place)) for place in kept.values())
            sql = (
                f"({sql}) UNION ALL BY NAME "
                f"(SELECT * FROM read_parquet([{listed}], hive_partitioning = false))"
            )
        made.append(View(DAILY_SCHEMA, table.name, sql))
    return made
