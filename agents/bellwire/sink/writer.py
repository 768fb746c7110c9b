"""Rows into Parquet files that are either there and durable, or not there at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bellwire.sink.columns import (
    CLUSTERED_BY,
    COLUMNS,
    IDENTITY,
    SCHEMA_VERSION,
    Identity,
    Row,
)
from bellwire.sink.contents import CONTENT_KEY
from bellwire.sink.engine import codec_options, open_engine, quoted, read_files, text
from bellwire.sink.errors import AnalyticStoreError, SinkWriteError
from bellwire.sink.folder import StoreFolder, is_whole, publish_file

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from bellwire.sink.settings import SinkSettings

__all__ = ["VERSION_KEY", "ParquetWriter", "RowWriter", "copy_rows"]

VERSION_KEY: Final = "bellwire_schema"

ROW_GROUP_ROWS: Final = (
    30_720  # Fifteen of DuckDB's vectors: small enough that a symbol skips most of a day.
)
# Rows stored before that are not among those a crash can bring again.
RECENT_SECONDS: Final = 2 * 86_400
NANOS: Final = 1_000_000_000


class RowWriter(Protocol):
    """Where rows go: Parquet files here, a table of a warehouse elsewhere."""

    def recent_identities(self, count_max: int) -> Sequence[Identity]:
        """Return the identities stored last, oldest first; at most `count_max`."""

    def write(self, day: date, rows: Sequence[Row]) -> Mapping[Identity, str]:
        """Make rows durable; return those that can never be, each with the reason.

        When it raises, none of them can be seen, or the same rows again add only what is missing.

        Raises:
            SinkWriteError: It could not; trying again may help.
        """

    def close(self) -> None:
        """Give everything back."""


class ParquetWriter:
    """Writes files into an analytic store, of which it is the only writer while it is open."""

    def __init__(self, folder: StoreFolder, settings: SinkSettings) -> None:
        """Lock the folder and clear what a crash has left.

        Raises:
            AnalyticStoreError: The folder cannot be used.
            AnalyticStoreLockedError: Another sink works in it.
        """
        import duckdb  # noqa: F401 - Its absence is told now, not when the first rows are to be written.

        self._folder = folder
        self._settings = settings
        self._lock = folder.lock()
        try:
            self.swept = folder.sweep()
            self.set_apart = [
                folder.set_apart(file.path) for file in folder.files() if not is_whole(file.path)
            ]
        except OSError as error:
            os.close(self._lock)
            raise AnalyticStoreError(
                f"analytic store {folder.root} cannot be cleared up ({error.strerror}): "
                "look at its rights and its disk"
            ) from error
        self._engine: DuckDBPyConnection | None = None

    def recent_identities(self, count_max: int) -> Sequence[Identity]:
        """Return the identities stored last, oldest first; at most `count_max`."""
        files = self._folder.files()
        since_ns = max((file.stored_ns for file in files), default=0) - RECENT_SECONDS * NANOS
        recent = [file.path for file in files if file.stored_ns >= since_ns]
        if not recent:
            return []
        names = ", ".join(quoted(name) for name in IDENTITY)
        found = self._opened().execute(
            f"SELECT {names} FROM ({read_files(recent)}) ORDER BY stored_time DESC LIMIT {count_max}"
        )
        return [(topic, source, id_) for topic, source, id_ in reversed(found.fetchall())]

    def write(self, day: date, rows: Sequence[Row]) -> Mapping[Identity, str]:
        """Make rows durable as one file, which refuses none; when it raises none of them can be seen.

        Raises:
            SinkWriteError: The disk took them not; nothing of them is left behind.
        """
        import duckdb

        stored_ns = max(row.stored_time for row in rows)
        while (place := self._folder.place(day, 0, stored_ns, len(rows))).exists():
            stored_ns += 1  # The clock was set back, or stood still: no file replaces another.
        aside = self._folder.aside / f"write-{place.name}"
        try:
            self._copy(rows, aside)
            publish_file(aside, place)
        except (OSError, duckdb.Error) as error:
            self._discard(aside)
            raise SinkWriteError(
                f"{len(rows)} rows cannot be written to {self._folder.root}: {_why(error)}"
            ) from error
        return {}

    def _copy(self, rows: Sequence[Row], aside: Path) -> None:
        engine = self._opened()
        engine.execute(_INSERT, [list(values) for values in zip(*rows, strict=True)])
        try:
            content: dict[str, set[str]] = {}
            for row in rows:
                content.setdefault(row.topic, set()).add(row.type)
            copy_rows(engine, "SELECT * FROM pending", aside, self._settings.codec, content)
        finally:
            engine.execute("DROP TABLE IF EXISTS pending")

    def _opened(self) -> DuckDBPyConnection:
        if self._engine is None:
            self._engine = open_engine(self._settings.memory_bytes, self._folder.aside)
        return self._engine

    def _discard(self, aside: Path) -> None:
        """Leave nothing behind, and begin with a fresh engine: this one's state is in doubt."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        aside.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the engine and let other sinks in."""
        if self._engine is not None:
            self._engine.close()
        os.close(self._lock)


def copy_rows(
    engine: DuckDBPyConnection,
    rows: str,
    aside: Path,
    codec: str,
    content: dict[str, set[str]],
) -> None:
    """Write the rows of a query to a file, clustered, with what it holds in its metadata."""
    order = ", ".join(quoted(name) for name in CLUSTERED_BY)
    listed = json.dumps({topic: sorted(types) for topic, types in sorted(content.items())})
    engine.execute(
        f"COPY (SELECT * FROM ({rows}) ORDER BY {order}) TO {text(str(aside))} "
        f"(FORMAT parquet, {codec_options(codec)}, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, "
        f"KV_METADATA {{{VERSION_KEY}: '{SCHEMA_VERSION}', {CONTENT_KEY}: {text(listed)}}})"
    )


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).partition("\n")[0]


_UNNESTED: Final = ", ".join(
    f'unnest(?::{column.list_type}[]) AS "{column.name}"' for column in COLUMNS
)
_MADE: Final = ", ".join(
    column.of_list.format(quoted(column.name)) + f' AS "{column.name}"' for column in COLUMNS
)
_INSERT: Final = f"CREATE OR REPLACE TEMP TABLE pending AS SELECT {_MADE} FROM (SELECT {_UNNESTED})"
