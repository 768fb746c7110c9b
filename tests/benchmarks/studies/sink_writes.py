"""Rows a second that are safe on the disk: the analytic sink's files beside what one would write instead."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

from tests.benchmarks.cells import number
from tests.benchmarks.disk import kept_bytes
from tests.benchmarks.figure import Figure
from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.process import Reply, Workplace
from tests.benchmarks.scenario import Durations
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table

from bellwire.client import Message, new_message
from bellwire.client.received import Batch
from bellwire.sink import ParquetWriter, SinkSettings
from bellwire.sink.columns import COLUMNS, Row, day_of, rows_of
from bellwire.sink.folder import StoreFolder
from bellwire.trading.v1.signal_pb2 import Signal

SINK: Final = "Bellwire's sink: a Parquet file"
DUCKDB: Final = "DuckDB table, executemany"
SQLITE: Final = "SQLite, executemany, synchronous FULL"
BESIDE_DUCKDB: Final = "beside DuckDB"
BATCH_ROWS: Final = SinkSettings().batch_rows
TURNS: Final = 3  # In each round, by turns, so that the machine's slow seconds hit all of them.
ROWS_POOL: Final = 20  # Batches made beforehand; each is written under new times.
SYMBOLS: Final = tuple(f"SYM{index}" for index in range(50))

Write = Callable[[Sequence[Row]], object]


class SinkStudy:
    """Writes the same rows, 500 at a time, each write on the disk before the next."""

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Write with each in turn."""
        del peer
        return await asyncio.to_thread(_measure, durations.load_seconds / TURNS, workplace)

    def headline(self, measurement: Measurement) -> str:
        """Give the sink's own rate."""
        return f"{measurement['writes'][SINK]['rows_per_second']:,.0f} rows/s"

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table."""
        heads = ("system", "rows/s", "× DuckDB", "write p50 ms", "p99 ms", "disk B/row")
        table = Table(f"{title}, {BATCH_ROWS} rows a write", heads)
        for system in SYSTEMS:
            rate, p50, p99, size = (
                median(float(each["writes"][system][key]) for each in measurements)
                for key in ("rows_per_second", "p50_ms", "p99_ms", "disk_bytes_per_row")
            )
            times = _beside_duckdb(system, measurements)
            table.rows.append(
                (system, number(rate), f"{times:.2f}", f"{p50:.1f}", f"{p99:.1f}", number(size))
            )
        table.notes.append(
            "one writer, no bus in between; a sink's file is compressed, clustered and synced before it is"
            " renamed into its place; the size is before compaction"
        )
        return [table]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give how many times as many rows as into a table of DuckDB."""
        return [Figure(BESIDE_DUCKDB, "local disk", _beside_duckdb(SINK, measurements))]

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give nothing."""
        del measurements
        return []


def _beside_duckdb(system: str, measurements: Sequence[Measurement]) -> float:
    return median(_rate(system, each) / _rate(DUCKDB, each) for each in measurements)


def _rate(system: str, measurement: Measurement) -> float:
    return float(measurement["writes"][system]["rows_per_second"])


def batches_of_rows(count: int) -> list[list[Row]]:
    """Make batches of seeded signals, as rows."""
    random = Random(5)
    now_ns = time.time_ns()
    return [
        list(
            rows_of(Batch(_signals(random), "signals.bench", 0, at * BATCH_ROWS, _Nobody()), now_ns)
        )
        for at in range(count)
    ]


def _signals(random: Random) -> list[Message]:
    messages = []
    for _ in range(BATCH_ROWS):
        symbol = random.choice(SYMBOLS)
        signal = Signal(
            signal_id=f"{random.getrandbits(64):016x}",
            strategy_id="tactical",
            symbol=symbol,
            target_qty=str(random.randint(1, 100) * 1_000),
            strength=random.random(),
            confidence=random.random(),
            decision_time_unix_nano=time.time_ns(),
            decision_px=f"{1 + random.random() / 10:.5f}",
        )
        messages.append(
            new_message(
                data=signal.SerializeToString(),
                type=Signal.DESCRIPTOR.full_name,
                key=symbol,
                source=f"agents/rules-{random.randrange(4)}",
            )
        )
    return messages


class _Nobody:
    def settle(self, *_arguments: Any) -> None:
        raise AssertionError("nothing is settled here")


def _measure(seconds: float, workplace: Workplace) -> Reply:
    batches = batches_of_rows(ROWS_POOL)
    took: dict[str, list[int]] = {system: [] for system in SYSTEMS}
    with ExitStack() as stack:
        writes: dict[str, Write] = {}
        for system, open_writer in SYSTEMS.items():
            folder = workplace.directory / open_writer.__name__
            writes[system] = stack.enter_context(open_writer(folder))
        for turn in range(TURNS):
            for system in list(SYSTEMS)[turn:] + list(SYSTEMS)[:turn]:
                took[system] += _timed(writes[system], batches, seconds)
        return {"writes": {system: _figures(system, took[system], workplace) for system in SYSTEMS}}


def _timed(write: Write, batches: Sequence[Sequence[Row]], seconds: float) -> list[int]:
    took, end_ns = [], time.monotonic_ns() + round(seconds * 1e9)
    while (began_ns := time.monotonic_ns()) < end_ns or not took:
        write(batches[len(took) % len(batches)])
        took.append(time.monotonic_ns() - began_ns)
    return took


def _figures(system: str, took: Sequence[int], workplace: Workplace) -> Reply:
    histogram = LatencyHistogram.of(took)
    rows = len(took) * BATCH_ROWS
    folder = workplace.directory / SYSTEMS[system].__name__
    return {
        "rows": rows,
        "rows_per_second": rows / (sum(took) / 1e9),
        "p50_ms": histogram.percentile(50) / 1e6,
        "p99_ms": histogram.percentile(99) / 1e6,
        "disk_bytes_per_row": kept_bytes(folder) / rows,
    }


@contextmanager
def _parquet(folder: Path) -> Iterator[Write]:
    writer = ParquetWriter(StoreFolder(folder), SinkSettings())
    try:
        yield lambda rows: writer.write(day_of(rows[0]), rows)
    finally:
        writer.close()


@contextmanager
def _duckdb(folder: Path) -> Iterator[Write]:
    import duckdb

    folder.mkdir()
    with duckdb.connect(str(folder / "messages.duckdb")) as connection:
        columns = ", ".join(f'"{each.name}" {each.list_type}' for each in COLUMNS)
        connection.execute(f"CREATE TABLE messages ({columns})")
        insert = f"INSERT INTO messages VALUES ({', '.join('?' * len(COLUMNS))})"

        def write(rows: Sequence[Row]) -> None:
            connection.begin()
            connection.executemany(insert, [tuple(row) for row in rows])
            connection.commit()

        yield write


@contextmanager
def _sqlite(folder: Path) -> Iterator[Write]:
    folder.mkdir()
    connection = sqlite3.connect(folder / "messages.sqlite")
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        columns = ", ".join(f'"{each.name}"' for each in COLUMNS)
        connection.execute(f"CREATE TABLE messages ({columns})")
        insert = f"INSERT INTO messages VALUES ({', '.join('?' * len(COLUMNS))})"

        def write(rows: Sequence[Row]) -> None:
            connection.executemany(insert, rows)
            connection.commit()

        yield write
    finally:
        connection.close()


SYSTEMS: Final = {SINK: _parquet, DUCKDB: _duckdb, SQLITE: _sqlite}
STUDY: Final = SinkStudy()
