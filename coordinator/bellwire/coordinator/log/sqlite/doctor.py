"""The doctor: examines a store read-only, running, stopped or damaged, and says what it finds."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from bellwire.coordinator.log.sqlite.connection import one_state, open_for_reading
from bellwire.coordinator.log.sqlite.examination import Examination
from bellwire.coordinator.log.sqlite.findings import Report, Severity
from bellwire.coordinator.log.sqlite.folder import DATABASE_NAME, DataFolder
from bellwire.coordinator.log.sqlite.schema import check
from bellwire.wire.errors import DataCorruptError, SchemaVersionError

PROBLEMS_MAX: Final = 100  # SQLite's own, as it finds them page by page.
_RESTORE: Final = "restore a backup with `bellwire restore`"
_PRIMARY: Final = 0xFF
_NO_SHARED_MEMORY: Final = (
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
)


def examine(path: str | Path) -> Report:
    """Return what is found in a data folder, or in a backup file; never changes either.

    Everything is read in one transaction, so a running coordinator's store is seen at one moment; its
    write-ahead log grows for as long as the examination takes.
    """
    given = Path(path).absolute()
    report = Report(str(given))
    database = given / DATABASE_NAME if given.is_dir() else given
    if not database.is_file():
        what = f"there is no {database.name}" if given.is_dir() else "there is no such file"
        report.add(Severity.ERROR, str(given), what, "name a data folder or a backup")
        return report
    for immutable in (False, True):
        if immutable:
            report.add(
                Severity.WARNING,
                str(database),
                "its disk is read-only or cannot map files: what its write-ahead log holds was not looked at",
                "copy it with the files beside it to a writable folder and look there",
            )
        try:
            with closing(open_for_reading(database, immutable=immutable)) as connection:
                _examine(connection, database, report)
        except sqlite3.Error as error:
            if not immutable and _needs_immutable(error):
                continue
            _report_unreadable(database, error, report)
        return report
    return report


def _examine(connection: sqlite3.Connection, database: Path, report: Report) -> None:
    with one_state(connection):
        if not _is_ours(connection, database, report):
            return
        for problem in _problems(connection):
            report.add(Severity.ERROR, str(database), problem, _RESTORE)
        is_open = DataFolder(database.parent).holder() is not None
        Examination(connection, report, is_open=is_open).run()


def _is_ours(connection: sqlite3.Connection, database: Path, report: Report) -> bool:
    try:
        if check(connection, database):
            return True
        report.add(Severity.INFO, str(database), "it is empty", "nothing to do")
    except SchemaVersionError as error:
        report.add(Severity.ERROR, str(database), error.message, "use that Bellwire's doctor")
    except DataCorruptError as error:
        report.add(Severity.ERROR, str(database), error.message, _RESTORE)
    return False


def _problems(connection: sqlite3.Connection) -> Sequence[str]:
    """Return what SQLite itself finds wrong with its pages."""
    found: list[str] = []
    try:
        for (text,) in connection.execute(f"PRAGMA integrity_check({PROBLEMS_MAX})"):
            found += [line for line in str(text).splitlines() if line != "ok"]
    except sqlite3.DatabaseError as error:
        found.append(f"its pages cannot all be checked ({error})")
    return found


def _needs_immutable(error: sqlite3.Error) -> bool:
    """A write-ahead log needs files beside the database, and shared memory, even for a reader."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code in _NO_SHARED_MEMORY or code & _PRIMARY in (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    )


def _report_unreadable(database: Path, error: sqlite3.Error, report: Report) -> None:
    holder = None
    with suppress(OSError):
        holder = DataFolder(database.parent).holder()
    if (
        holder is not None
        and getattr(error, "sqlite_errorcode", 0) & _PRIMARY == sqlite3.SQLITE_BUSY
    ):
        advice = f"process {holder} works in it alone (exclusive locking): stop it first"
    else:
        advice = _RESTORE
    report.add(Severity.ERROR, str(database), f"it cannot be read ({error})", advice)
