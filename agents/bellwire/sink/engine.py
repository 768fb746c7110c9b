"""DuckDB with bounds: what opens a connection, and how SQL names files and texts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.sink.columns import COLUMNS, IDENTITY

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "EMPTY_ROWS",
    "codec_options",
    "distinct_rows",
    "open_engine",
    "quoted",
    "read_files",
    "text",
]

EMPTY_ROWS: Final = "SELECT {} WHERE false".format(
    ", ".join(f'NULL::{column.sql_type} AS "{column.name}"' for column in COLUMNS)
)


def open_engine(
    memory_bytes: int, spill_folder: Path, *, threads: int = 1, spill_bytes: int | None = None
) -> DuckDBPyConnection:
    """Return an empty database in memory that loads nothing from outside and stays within bounds.

    Args:
        memory_bytes: What it may take; beyond, sorts and joins spill, and what cannot spill fails.
        spill_folder: Where they spill to; must exist.
        threads: Threads it computes with.
        spill_bytes: Most bytes spilled; None = what the disk has.
    """
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_bytes}B",
        "threads": threads,
        "temp_directory": str(spill_folder),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,  # A table is never a variable of ours.
    }
    if spill_bytes is not None:
        config["max_temp_directory_size"] = f"{spill_bytes}B"
    return duckdb.connect(":memory:", config=config)


def text(content: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + content.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def read_files(paths: Iterable[Path]) -> str:
    """Return a query of all rows in these files, with the columns of today.

    A column that an older file lacks is NULL there, and one that only a newer version knows comes along.
    """
    files = ", ".join(text(str(path)) for path in paths)
    rows = (
        f"SELECT * FROM read_parquet([{files}], union_by_name = true, hive_partitioning = true, "
        "hive_types = {'day': DATE})"
        if files
        else "SELECT NULL::DATE AS day WHERE false"
    )
    return f"({EMPTY_ROWS}) UNION ALL BY NAME ({rows})"


def distinct_rows(rows: str, *, also: str = "") -> str:
    """Return a query of the rows without those whose message is there already; the first in the log stays."""
    names = ", ".join([quoted(name) for name in IDENTITY] + ([also] if also else []))
    return (
        f"SELECT * FROM ({rows}) QUALIFY row_number() OVER "
        f'(PARTITION BY {names} ORDER BY admitted_time, "partition", "offset", stored_time) = 1'
    )


def codec_options(codec: str) -> str:
    """Return what COPY is told for a codec of the settings."""
    return _CODEC_OPTIONS[codec]


_CODEC_OPTIONS: Final = {
    "zstd": "COMPRESSION zstd",
    "zstd-9": "COMPRESSION zstd, COMPRESSION_LEVEL 9",
    "snappy": "COMPRESSION snappy",
    "lz4": "COMPRESSION lz4_raw",
    "none": "COMPRESSION uncompressed",
}
