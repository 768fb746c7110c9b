"""The snapshot: everything a coordinator needs to go on, read and checked when a store is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, TypeVar

from bellwire.coordinator.log.records import Snapshot
from bellwire.coordinator.log.sqlite import rows
from bellwire.coordinator.log.sqlite.connection import one_state, transaction
from bellwire.coordinator.log.sqlite.rows import META, Eviction, Meta
from bellwire.coordinator.log.sqlite.schema import CLEAN, INCARNATION, LAST_DEAD_LETTER
from bellwire.coordinator.log.sqlite.table import Table
from bellwire.wire.errors import DataCorruptError

R = TypeVar("R")

# Entries are left out: they are many, and checked when they are read.
CHECKED_TABLES: Final = (
    "topics",
    "segments",
    "evictions",
    "producers",
    "producer_names",
    "subscriptions",
    "cursors",
    "dead_letters",
    "results",
    "meta",
)


def load(connection: sqlite3.Connection) -> tuple[Snapshot, Sequence[Eviction]]:
    """Return what the store holds, and which evicted entries still take room.

    Raises:
        DataCorruptError: A row is not what was written, or rows are missing.
        sqlite3.Error: The database cannot be read.
    """
    with one_state(connection):
        for table in CHECKED_TABLES:
            _check_shape(connection, table)
        meta = {one.name: one.value for one in _all(connection, META)}
        for name in (INCARNATION, LAST_DEAD_LETTER, CLEAN):
            if name not in meta:
                raise META.corrupt((name,))
        snapshot = Snapshot(
            topics=_all(connection, rows.TOPICS),
            segments=_all(connection, rows.SEGMENTS),
            producers=_all(connection, rows.PRODUCERS),
            producer_names=_all(connection, rows.PRODUCER_NAMES),
            subscriptions=_all(connection, rows.SUBSCRIPTIONS),
            cursors=_all(connection, rows.CURSORS),
            results=_all(connection, rows.RESULTS),
            dead_letters=_dead_letters(connection),
            last_dead_letter_id=meta[LAST_DEAD_LETTER],
            incarnation=meta[INCARNATION] + 1,
            after_crash=not meta[CLEAN],
        )
        return snapshot, _all(connection, rows.EVICTIONS)


def mark_opened(connection: sqlite3.Connection, incarnation: int) -> None:
    """Write down that the store is open; without `mark_closed` the next opening follows a crash."""
    with transaction(connection):
        for one in (Meta(INCARNATION, incarnation), Meta(CLEAN, 0)):
            connection.execute(META.upsert, META.row(one))


def mark_closed(connection: sqlite3.Connection) -> None:
    """Write down that the store was closed."""
    with transaction(connection):
        connection.execute(META.upsert, META.row(Meta(CLEAN, 1)))


def _all(connection: sqlite3.Connection, table: Table[R]) -> list[R]:
    return list(map(table.record, connection.execute(table.select + table.order)))


def _check_shape(connection: sqlite3.Connection, table: str) -> None:
    """Rows carry their own checksums; that none is missing, only the trees' shapes can tell."""
    found = connection.execute(f"PRAGMA integrity_check({table})").fetchone()[0]
    if found != "ok":
        problem = str(found).splitlines()[-1]  # Above it stands which database, and we have one.
        raise DataCorruptError(
            f"table {table} is damaged ({problem}): run `bellwire doctor` on the data folder, "
            "then restore a backup",
            metadata={"table": table, "cause": problem},
        )


def _dead_letters(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT topic, count(*) FROM dead_letters GROUP BY topic"))
