"""The schema: its tables, its version, and whether a file is one of ours."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from bellwire.coordinator.log.sqlite.connection import transaction
from bellwire.coordinator.log.sqlite.rows import META, Meta
from bellwire.wire.errors import DataCorruptError, SchemaVersionError

SCHEMA_VERSION: Final = 1  # Kept in `PRAGMA user_version`.
APPLICATION_ID: Final = 0x424C5752  # "BLWR", kept in `PRAGMA application_id`.

INCARNATION: Final = "incarnation"
LAST_DEAD_LETTER: Final = "last_dead_letter"  # Greatest id ever given.
CLEAN: Final = "clean"  # 1 while the store is closed and was closed properly.

# Keys are declared with the rows (WITHOUT ROWID), so an append is one insert into one tree.
TABLES: Final = (
    """CREATE TABLE entries (
        log_id INTEGER NOT NULL, base_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        stored_bytes INTEGER NOT NULL, last_time_ns INTEGER NOT NULL, admitted_ns INTEGER NOT NULL,
        principal TEXT NOT NULL, batch BLOB NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (log_id, base_offset)) WITHOUT ROWID, STRICT""",
    """CREATE TABLE topics (
        name TEXT NOT NULL PRIMARY KEY, settings BLOB NOT NULL, log_ids BLOB NOT NULL,
        checksum INTEGER NOT NULL) WITHOUT ROWID, STRICT""",
    """CREATE TABLE segments (
        log_id INTEGER NOT NULL, base_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        entries INTEGER NOT NULL, stored_bytes INTEGER NOT NULL, last_time_ns INTEGER NOT NULL,
        last_admitted_ns INTEGER NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (log_id, base_offset)) WITHOUT ROWID, STRICT""",
    """CREATE TABLE evictions (
        log_id INTEGER NOT NULL PRIMARY KEY, low_offset INTEGER NOT NULL,
        checksum INTEGER NOT NULL) WITHOUT ROWID, STRICT""",
    """CREATE TABLE producers (
        log_id INTEGER NOT NULL, producer_id INTEGER NOT NULL, epoch INTEGER NOT NULL,
        next_sequence INTEGER NOT NULL, recent BLOB NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (log_id, producer_id)) WITHOUT ROWID, STRICT""",
    """CREATE TABLE producer_names (
        name TEXT NOT NULL PRIMARY KEY, producer_id INTEGER NOT NULL, epoch INTEGER NOT NULL,
        checksum INTEGER NOT NULL) WITHOUT ROWID, STRICT""",
    """CREATE TABLE subscriptions (
        name TEXT NOT NULL PRIMARY KEY, patterns TEXT NOT NULL, ordering INTEGER NOT NULL,
        overflow_policy INTEGER NOT NULL, max_attempts INTEGER NOT NULL,
        checksum INTEGER NOT NULL) WITHOUT ROWID, STRICT""",
    """CREATE TABLE cursors (
        subscription TEXT NOT NULL, log_id INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        open_runs BLOB NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (subscription, log_id)) WITHOUT ROWID, STRICT""",
    """CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
        offset INTEGER NOT NULL, log_id INTEGER NOT NULL, subscription TEXT NOT NULL,
        cause INTEGER NOT NULL, reason TEXT NOT NULL, attempts INTEGER NOT NULL,
        time_ns INTEGER NOT NULL, key TEXT NOT NULL, message BLOB NOT NULL,
        checksum INTEGER NOT NULL) STRICT""",
    "CREATE INDEX dead_letters_by_topic ON dead_letters (topic, id)",
    """CREATE TABLE results (
        scope TEXT NOT NULL, request_id TEXT NOT NULL, digest BLOB NOT NULL, response BLOB NOT NULL,
        expire_ns INTEGER NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (scope, request_id)) WITHOUT ROWID, STRICT""",
    "CREATE INDEX results_by_expiry ON results (expire_ns)",
    """CREATE TABLE meta (
        name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL,
        checksum INTEGER NOT NULL) WITHOUT ROWID, STRICT""",
)


def prepare(connection: sqlite3.Connection, database: Path) -> None:
    """Make the tables in an empty database; of another one check that it is ours.

    Raises:
        SchemaVersionError: It is of a newer version; nothing was changed.
        DataCorruptError: It is another program's, or only a part of ours.
    """
    if check(connection, database):
        return
    with transaction(connection):
        for statement in TABLES:
            connection.execute(statement)
        for one in (Meta(INCARNATION, 0), Meta(LAST_DEAD_LETTER, 0), Meta(CLEAN, 1)):
            connection.execute(META.upsert, META.row(one))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def check(connection: sqlite3.Connection, database: Path) -> bool:
    """Tell whether a database holds our tables; False when it is empty.

    Raises:
        SchemaVersionError, DataCorruptError: See `prepare`.
    """
    version = number(connection, "PRAGMA user_version")
    application = number(connection, "PRAGMA application_id")
    tables = number(connection, "SELECT count(*) FROM sqlite_schema")
    if application == 0 and version == 0 and tables == 0:
        return False
    if application != APPLICATION_ID or version < 1:
        raise DataCorruptError(
            f"{database} is an SQLite database, but not one of Bellwire's "
            f"(application id {application:#010x}, ours is {APPLICATION_ID:#010x}): "
            "run `bellwire doctor` on the folder, or name another one",
            metadata={"path": str(database)},
        )
    if version > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{database} has schema version {version}, this Bellwire knows up to {SCHEMA_VERSION}: "
            "start the newer Bellwire that wrote it; nothing was changed",
            metadata={"found": str(version), "known": str(SCHEMA_VERSION)},
        )
    return True


def number(connection: sqlite3.Connection, statement: str) -> int:
    """Return the one number a statement gives."""
    with closing(connection.execute(statement)) as cursor:
        return int(cursor.fetchone()[0])
