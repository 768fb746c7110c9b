"""The SQLite store: one folder, one writing connection, one reading one, checkpoints beside them."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Final

from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import DeadLetterRecord, Record, Snapshot
from bellwire.coordinator.log.sqlite import snapshot
from bellwire.coordinator.log.sqlite.checkpointer import Checkpointer
from bellwire.coordinator.log.sqlite.connection import (
    PAGE_BYTES,
    SYNCHRONOUS,
    Pragmas,
    checkpoint,
    open_error,
    open_for_reading,
    open_for_writing,
    transaction,
    write_error,
)
from bellwire.coordinator.log.sqlite.folder import DataFolder, sync_folder
from bellwire.coordinator.log.sqlite.reader import Reader
from bellwire.coordinator.log.sqlite.schema import prepare
from bellwire.coordinator.log.sqlite.writer import Writer, pages_of
from bellwire.coordinator.log.store import DeadLetterQuery
from bellwire.wire.errors import (
    BellwireError,
    DataFolderError,
    InternalError,
    StoreFullError,
    StoreReadOnlyError,
)

_logger = logging.getLogger(__name__)

CHECKPOINT_PAGES: Final = 4_000  # 16 MiB; see checkpointer.py for what larger ones cost.
WAL_FACTOR: Final = (
    4  # The log's file may keep this many times a checkpoint: overwriting beats growing.
)


class SqliteStore:
    """A `Store` in a folder: `bellwire.db` in WAL mode, every commit synced, held by `LOCK`.

    Args:
        path: Data folder; made when it is missing.
        checkpoint_pages: Pages of 4 KiB in the write-ahead log before they are copied back.
        synchronous: FULL, or NORMAL to see in a test what that loses.
        exclusive_locking: Work without shared memory, for file systems that cannot map it. Then reads
            wait for commits, checkpoints are part of commits, and no other process can look inside.
    """

    durable = True
    kafka_cluster = ""
    outage = None  # A disk answers, be it with an error.

    def __init__(
        self,
        path: str | Path,
        *,
        checkpoint_pages: int = CHECKPOINT_PAGES,
        synchronous: str = "FULL",
        exclusive_locking: bool = False,
    ) -> None:
        if synchronous not in SYNCHRONOUS:
            raise ValueError(f"synchronous is {synchronous!r}, one of {SYNCHRONOUS} is needed")
        self._folder = DataFolder(path)
        self.path = str(self._folder.path)
        self._exclusive = exclusive_locking
        self._checkpoint_pages = checkpoint_pages
        self._pragmas = Pragmas(
            synchronous=synchronous,
            checkpoint_pages=checkpoint_pages if exclusive_locking else 0,
            wal_bytes_max=checkpoint_pages * PAGE_BYTES * WAL_FACTOR,
            exclusive=exclusive_locking,
        )
        self._turn = threading.Lock()  # Of the writing connection.
        self._connection: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._checkpointer: Checkpointer | None = None
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._broken: StoreReadOnlyError | None = None

    # ------------------------------------------------------------ open and close

    def load(self) -> Snapshot:
        """Lock the folder, recover and check what it holds; see `Store.load`."""
        self._folder.lock()
        try:
            return self._open()
        except sqlite3.Error as error:
            self._release()
            raise open_error(error, self._folder.database) from error
        except BaseException:
            self._release()
            raise

    def _open(self) -> Snapshot:
        database = self._folder.database
        is_new = self._folder.make_database()
        connection = self._connection = open_for_writing(database, self._pragmas)
        prepare(connection, database)
        if is_new:
            sync_folder(self._folder.path)
        # What a crash left in the write-ahead log was perhaps never synced: it is before it is shown.
        checkpoint(connection, "PASSIVE")
        found, evictions = snapshot.load(connection)
        snapshot.mark_opened(connection, found.incarnation)
        self._writer = Writer(connection, evictions, found.last_dead_letter_id)
        if not self._exclusive:
            self._reading = open_for_reading(database)
            self._checkpointer = Checkpointer(
                database, self._pragmas, self._checkpoint_pages, self._checkpoint_failed
            )
        self._reader = Reader(self._reading or connection, database)
        return found

    def give_up(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Note the clean end, copy the write-ahead log back, and let others have the folder."""
        with self._turn:
            try:
                if self._checkpointer is not None:
                    self._checkpointer.stop()
                if self._connection is not None and self._broken is None:
                    with suppress(
                        sqlite3.Error
                    ):  # What was committed stays; the next start recovers.
                        snapshot.mark_closed(self._connection)
                        self._connection.execute("PRAGMA busy_timeout = 0")  # A backup may go on.
                        checkpoint(self._connection, "TRUNCATE")
            finally:
                self._release()

    def _release(self) -> None:
        for connection in (self._reading, self._connection):
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        if self._checkpointer is not None:
            self._checkpointer.close_file()
        self._connection = self._reading = self._checkpointer = None
        self._writer = self._reader = None
        self._folder.unlock()

    # ------------------------------------------------------------ write

    def write(self, records: Sequence[Record]) -> None:
        """Write all records in one synced transaction; see `Store.write`."""
        with self._turn:
            if self._broken is not None:
                # A new one each time: an error that is raised again and again collects tracebacks.
                raise StoreReadOnlyError(self._broken.message, metadata=self._broken.metadata)
            if self._connection is None or self._writer is None:
                raise DataFolderError(f"store in {self.path} is not open: call load() first")
            try:
                if self._checkpointer is not None:
                    self._checkpointer.take_last_step(self._connection)
                with transaction(self._connection):
                    self._writer.apply(records)
            except sqlite3.Error as error:
                raise self._failed(write_error(error, self._folder.database)) from error
            except Exception as error:
                raise self._failed(_bug(error)) from error
        if self._checkpointer is not None:
            self._checkpointer.wrote(pages_of(records))

    def _failed(self, error: BellwireError) -> BellwireError:
        if isinstance(error, StoreReadOnlyError):
            self._broken = error
            return error
        if isinstance(error, StoreFullError) and self._checkpointer is not None:
            self._checkpointer.hurry()
        if self._writer is not None:
            try:
                self._writer.rolled_back()
            except (sqlite3.Error, BellwireError) as doubt:
                self._broken = StoreReadOnlyError(f"{self.path} is in doubt ({doubt}): restart")
                return self._broken
        return error

    def _checkpoint_failed(self, error: Exception) -> None:
        """A sync that failed may have lost what it should have written: no later one can tell."""
        if isinstance(error, sqlite3.Error):
            failure = write_error(error, self._folder.database)
        else:
            failure = StoreReadOnlyError(
                f"{self._folder.database} could not be synced ({error}): what is on the disk is in doubt, "
                "nothing durable is accepted until a restart; check the disk",
                metadata={"path": str(self._folder.database), "cause": str(error)},
            )
        if isinstance(failure, StoreReadOnlyError):
            self._broken = failure
            _logger.error("checkpoint failed: %s", failure.message)
        else:
            _logger.warning("checkpoint put off: %s", failure.message)

    # ------------------------------------------------------------ read

    def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return neighbouring entries; see `Store.read`."""
        with self._reading_turn():
            return self._opened().read(log_id, offset, bytes_max)

    def find_time(self, log_id: int, first: int, last: int, time_ns: int) -> int:
        """Return the first entry that reaches a time; see `Store.find_time`."""
        with self._reading_turn():
            return self._opened().find_time(log_id, first, last, time_ns)

    def dead_letters(self, query: DeadLetterQuery) -> list[DeadLetterRecord]:
        """Return dead letters in the order of their ids."""
        with self._reading_turn():
            return self._opened().dead_letters(query)

    def count_dead_letters(self, query: DeadLetterQuery) -> tuple[int, int]:
        """Return how many match, and the greatest id of them."""
        with self._reading_turn():
            return self._opened().count_dead_letters(query)

    def disk_bytes(self) -> int:
        """Return the size of the database and of the files beside it."""
        return sum(file.stat().st_size for file in self._folder.files())

    def _opened(self) -> Reader:
        if self._reader is None:
            raise DataFolderError(f"store in {self.path} is not open: call load() first")
        return self._reader

    def _reading_turn(self) -> threading.Lock | nullcontext[None]:
        return self._turn if self._exclusive else nullcontext()


def _bug(error: Exception) -> InternalError:
    return InternalError(
        f"records could not be put into rows ({type(error).__name__}: {error}): nothing was stored; "
        "please report it",
        metadata={"cause": type(error).__name__},
    )
