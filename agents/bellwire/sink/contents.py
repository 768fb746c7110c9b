"""Which topics and payload types the files of a store hold, as their metadata tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.sink.engine import read_files, text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["CONTENT_KEY", "topics_in"]

CONTENT_KEY: Final = "bellwire_topics"  # JSON: the payload types of each topic in the file.


def topics_in(engine: DuckDBPyConnection, paths: Sequence[Path]) -> dict[str, set[str]]:
    """Return the topics in these files, each with its payload types.

    It reads the files' metadata; only of those that do not tell, their rows.
    """
    if not paths:
        return {}
    topics: dict[str, set[str]] = {}
    listed = ", ".join(text(str(path)) for path in paths)
    found = engine.execute(
        f"SELECT file_name, decode(value) FROM parquet_kv_metadata([{listed}]) WHERE decode(key) = ?",
        [CONTENT_KEY],
    ).fetchall()
    told: set[str] = set()
    for file_name, value in found:
        content = json.loads(value)
        told.add(file_name)
        for topic, types in content.items():
            topics.setdefault(topic, set()).update(types)
    silent = [path for path in paths if str(path) not in told]
    if silent:
        _add_rows_of(engine, silent, topics)
    return topics


def _add_rows_of(
    engine: DuckDBPyConnection, paths: Iterable[Path], topics: dict[str, set[str]]
) -> None:
    for topic, type_ in engine.execute(
        f"SELECT DISTINCT topic, type FROM ({read_files(paths)}) WHERE topic IS NOT NULL"
    ).fetchall():
        topics.setdefault(topic, set()).add(type_ or "")
