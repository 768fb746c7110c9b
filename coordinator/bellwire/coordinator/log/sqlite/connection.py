"""Connections: how a database file is opened, and what SQLite's errors mean to us."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bellwire.wire.errors import (
    BellwireError,
    DataCorruptError,
    DataFolderError,
    StoreBusyError,
    StoreFullError,
    StoreReadOnlyError,
)

PAGE_BYTES: Final = 4_096  # Larger pages made commits of 20 kB batches slower, not faster.
FULL_RETRY_SECONDS: Final = 1.0  # Somebody has to make room first.
BUSY_SECONDS: Final = 5.0  # Only another program can make us wait, such as the sqlite3 shell.
CACHE_KIB: Final = 8_192  # Room for the pages of one large group, so that none are spilled early.
SYNCHRONOUS: Final = ("NORMAL", "FULL", "EXTRA")
_PRIMARY: Final = 0xFF  # SQLite's extended codes keep the primary one in the low byte.


@dataclass(frozen=True, slots=True)
class Pragmas:
    """How a connection that writes is set up.

    Attributes:
        synchronous: FULL syncs each commit; NORMAL loses acknowledged commits at a power failure.
        checkpoint_pages: Pages after which SQLite itself copies the write-ahead log back, within the
            commit that reaches them; 0 = never.
        wal_bytes_max: What the write-ahead log's file shrinks to once it starts over.
        exclusive: Do without shared memory: one connection only, for file systems that cannot map it.
    """

    synchronous: str = "FULL"
    checkpoint_pages: int = 0
    wal_bytes_max: int = -1
    exclusive: bool = False


def open_for_writing(database: Path, pragmas: Pragmas) -> sqlite3.Connection:
    """Open a database, making it when it is missing.

    Raises:
        sqlite3.Error: It cannot be opened, or is no database.
        DataFolderError: Its file system cannot do what a write-ahead log needs.
    """
    connection = _connect(database, "rwc")
    with closing_on_error(connection):
        if pragmas.exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # Before the first access.
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise DataFolderError(
                f"{database} cannot be used with a write-ahead log, its file system gave mode {mode!r}: "
                "give a folder on a local disk",
                metadata={"path": str(database)},
            )
        connection.execute(f"PRAGMA synchronous = {pragmas.synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {pragmas.checkpoint_pages}")
        connection.execute(f"PRAGMA journal_size_limit = {pragmas.wal_bytes_max}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        # Some builds overwrite what is deleted with zeros: eviction would write all of it once more.
        connection.execute("PRAGMA secure_delete = OFF")
    return connection


def open_for_reading(database: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """Open a database that is never changed through this connection.

    Args:
        immutable: Nobody else changes it either, and what its write-ahead log holds is not looked at.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    connection = _connect(database, "ro&immutable=1" if immutable else "ro")
    with closing_on_error(connection):
        connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(database: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{database.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # Transactions begin where we say so.
        check_same_thread=False,  # Opened by one thread, used by another: SQLite is built serialized.
    )


@contextmanager
def closing_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Close a connection that could not be set up."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is executed inside, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # The first error is the one to tell.
                connection.execute("ROLLBACK")
        raise


@contextmanager
def one_state(connection: sqlite3.Connection) -> Iterator[None]:
    """Let everything read inside be of one moment, between two commits."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")


def checkpoint(connection: sqlite3.Connection, mode: str) -> tuple[int, int]:
    """Copy the write-ahead log back; return its pages and how many of them are copied now."""
    with closing(connection.execute(f"PRAGMA wal_checkpoint({mode})")) as cursor:
        _, pages, copied = cursor.fetchone()
    return int(pages), int(copied)


def write_error(error: sqlite3.Error, database: Path) -> BellwireError:
    """Return what a failed transaction means."""
    code = getattr(error, "sqlite_errorcode", 0)
    metadata = {"path": str(database), "cause": str(error)}
    if code & _PRIMARY == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return StoreFullError(
            f"the disk of {database.parent} is full: nothing was stored; free some space and it goes on",
            metadata=metadata,
            retry_delay_seconds=FULL_RETRY_SECONDS,
        )
    if code & _PRIMARY in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusyError(
            f"another program has been writing to {database} for {BUSY_SECONDS:g} s: "
            "nothing was stored; end its transaction",
            metadata=metadata,
        )
    return StoreReadOnlyError(
        f"{database} could not be written ({error}): what is on the disk is in doubt, "
        "nothing durable is accepted until a restart; check the disk",
        metadata=metadata,
    )


def open_error(error: sqlite3.Error, database: Path) -> BellwireError:
    """Return what a database that cannot be opened or read means."""
    code = getattr(error, "sqlite_errorcode", 0)
    metadata = {"path": str(database), "cause": str(error)}
    if code & _PRIMARY in (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
    ):
        return DataFolderError(
            f"data folder {database.parent} cannot be used ({error}): "
            "give a folder on a writable disk with free space that no other program uses",
            metadata=metadata,
        )
    return DataCorruptError(
        f"{database} cannot be read ({error}): run `bellwire doctor {database.parent}`, "
        "then restore a backup",
        metadata=metadata,
    )
