"""Restores: a backup into a data folder, row by row, with new names for its logs.

Offsets given out after the backup are given out again after the restore, to other messages. A client that
remembers a position would take the new message for one it has seen, and skip it. So every log gets a new
log_id, which tells clients that positions of the old one mean nothing any more (`Position.log_id`).
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from secrets import randbits
from typing import Any, Final, cast

from bellwire.coordinator.log.memory import LOG_ID_BITS
from bellwire.coordinator.log.sqlite import rows
from bellwire.coordinator.log.sqlite.backup import partial, reading, sync_file
from bellwire.coordinator.log.sqlite.connection import (
    Pragmas,
    checkpoint,
    one_state,
    open_error,
    open_for_writing,
    transaction,
)
from bellwire.coordinator.log.sqlite.doctor import examine
from bellwire.coordinator.log.sqlite.findings import Report
from bellwire.coordinator.log.sqlite.folder import (
    DATABASE_NAME,
    SIDE_SUFFIXES,
    DataFolder,
    sync_folder,
)
from bellwire.coordinator.log.sqlite.schema import prepare
from bellwire.coordinator.log.sqlite.table import Row, Table
from bellwire.wire.errors import DataCorruptError, DataFolderError

REPLACED: Final = (
    "replaced"  # Folder, with a number, that a forced restore moves the old data into.
)
_TABLES: Final[tuple[Table[Any], ...]] = (
    rows.TOPICS,
    rows.ENTRIES,
    rows.SEGMENTS,
    rows.EVICTIONS,
    rows.PRODUCERS,
    rows.PRODUCER_NAMES,
    rows.SUBSCRIPTIONS,
    rows.CURSORS,
    rows.DEAD_LETTERS,
    rows.RESULTS,
    rows.META,
)


def restore(
    source: str | Path, path: str | Path, *, force: bool = False, keep_log_ids: bool = False
) -> Report:
    """Restore a backup, or the data folder of a stopped or running coordinator, into a data folder.

    Args:
        force: Move what the folder holds aside, into a folder `replaced-N` within it.
        keep_log_ids: Only where nothing was published since the source was written, as when a stopped
            coordinator moves to another machine: clients then go on where they were.

    Returns:
        What the doctor says of what was restored.

    Raises:
        DataLockedError: A coordinator works in the folder; `force` does not help.
        DataFolderError: There is no such backup, or the folder holds data already, or cannot be written.
        SchemaVersionError: The backup is of a newer version.
        DataCorruptError: The backup is damaged; the folder is as it was.
    """
    given = Path(source).absolute()
    database = given / DATABASE_NAME if given.is_dir() else given
    if not database.is_file():
        raise DataFolderError(
            f"{database} does not exist: name a backup or a data folder",
            metadata={"path": str(given)},
        )
    folder = DataFolder(path)
    folder.lock()
    try:
        if folder.files() and not force:
            raise DataFolderError(
                f"data folder {folder.path} holds data already: name another one, "
                "or force it to be moved aside",
                metadata={"path": str(folder.path)},
            )
        return _restore(database, folder, keep_log_ids=keep_log_ids)
    finally:
        folder.unlock()


def _restore(database: Path, folder: DataFolder, *, keep_log_ids: bool) -> Report:
    with partial(folder.database) as unfinished:
        try:
            with reading(database) as connection, one_state(connection):
                _copy(connection, unfinished, keep_log_ids=keep_log_ids)
            report = examine(unfinished)
        finally:
            for suffix in SIDE_SUFFIXES:
                unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)
        if not report.is_healthy:
            raise DataCorruptError(
                f"{database} is damaged, nothing was restored: {report.errors[0]}",
                metadata={"path": str(database), "errors": str(len(report.errors))},
            )
        _move_aside(folder)
        unfinished.rename(folder.database)
        sync_folder(folder.path)
    report.path = str(folder.path)
    return report


def _copy(source: sqlite3.Connection, unfinished: Path, *, keep_log_ids: bool) -> None:
    """Copy every row that is what was written, and fail at the first that is not."""
    with _written(unfinished) as target:
        log_ids = {} if keep_log_ids else _new_log_ids(source)
        with transaction(target):
            for table in _TABLES:
                target.executemany(table.upsert, _renamed(source, table, log_ids))


class _written:
    """A new database to be filled: closed, synced and without side files at the end."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection = open_for_writing(self._file, Pragmas(synchronous="NORMAL"))
            prepare(self._connection, self._file)
        except sqlite3.Error as error:
            raise open_error(error, self._file) from error
        return self._connection

    def __exit__(self, kind: object, *_: object) -> None:
        with closing(self._connection):
            if kind is None:
                checkpoint(self._connection, "TRUNCATE")
                self._connection.execute("PRAGMA journal_mode = DELETE")
        if kind is None:
            sync_file(self._file)


def _renamed(
    source: sqlite3.Connection, table: Table[Any], log_ids: dict[int, int]
) -> Iterator[Row]:
    named = table.columns.index("log_id") if "log_id" in table.columns else None
    for row in source.execute(table.select + table.order):
        values = table.verified(row)
        if table is rows.TOPICS:
            topic = rows.TOPICS.record(row)
            renamed = tuple(log_ids.get(one, one) for one in topic.log_ids)
            yield rows.TOPICS.row(replace(topic, log_ids=renamed))
            continue
        if named is not None:
            log_id = cast(int, values[named])
            values[named] = log_ids.get(log_id, log_id)
        yield (*values, table.checksum(values))


def _new_log_ids(source: sqlite3.Connection) -> dict[int, int]:
    """Give every log of a topic a new id; in the same order, so that rows are appended."""
    old = sorted(
        log_id
        for (log_ids,) in source.execute("SELECT log_ids FROM topics")
        for (log_id,) in struct.iter_unpack("<Q", log_ids)
    )
    new: set[int] = set()
    while len(new) < len(old):
        new.add(randbits(LOG_ID_BITS) or 1)
    return dict(zip(old, sorted(new), strict=True))


def _move_aside(folder: DataFolder) -> None:
    files = folder.files()
    if not files:
        return
    number = 1
    while (aside := folder.path / f"{REPLACED}-{number}").exists():
        number += 1
    aside.mkdir(mode=0o700)
    for file in files:  # The database last: until then the old store is where it was.
        file.rename(aside / file.name)
    sync_folder(aside)
    sync_folder(folder.path)
