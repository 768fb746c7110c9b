"""The checkpointer: copies the write-ahead log back on a thread of its own, so that commits need not.

SQLite's own checkpoint runs inside the commit that reaches its bound and syncs everything it copied: at
20,000 pages that one commit took 60 ms. Here the copying (PASSIVE, which blocks nobody) and the sync of the
database run beside the commits; what is left is what was written meanwhile, and the writer takes that last
step itself between two commits, because the write-ahead log starts over only when all of it is copied. The
smaller the portions the shorter a commit waits for the disk: at 1,000 to 5,000 pages the slowest of thousands
of commits took 5 to 11 ms.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bellwire.coordinator.log.sqlite.connection import Pragmas, checkpoint, open_for_writing

ROUNDS: Final = 2  # The second copies what came during the first: little is left for the writer.
BEHIND_FACTOR: Final = 4  # When so many times the bound were written, commits wait for the copying.
BEHIND_SECONDS_MAX: Final = 5.0  # But not for ever: a disk this slow fails the commits themselves.


class Checkpointer:
    """Keeps the write-ahead log near a bound while one writer goes on writing.

    Args:
        pages_max: Pages in the write-ahead log before it is copied back.
        on_error: Told when the database cannot be synced; called on the checkpointer's thread.
    """

    def __init__(
        self,
        database: Path,
        pragmas: Pragmas,
        pages_max: int,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._connection = open_for_writing(database, pragmas)
        # Closed after every connection of this process: closing any descriptor of a file drops all the
        # POSIX locks the process has on it, SQLite's too.
        self._fd = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
        self._pages_max = pages_max
        self._on_error = on_error
        self._pages = 0  # Written since the log last started over; an estimate.
        self._copied = threading.Event()  # Set: the last step is the writer's.
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="bellwire-checkpointer", daemon=True)
        self._thread.start()

    def wrote(self, pages: int) -> None:
        """Take note of pages written; called by the writer after each commit."""
        self._pages += pages
        if self._pages >= self._pages_max:
            self._wake.set()

    def hurry(self) -> None:
        """Copy now, whatever was written: the disk is full and the log may start over."""
        self._wake.set()

    def take_last_step(self, writer: sqlite3.Connection) -> None:
        """Copy the rest before the next transaction, when it is time; called by the writer.

        Raises:
            sqlite3.Error: The database cannot be written.
        """
        if self._pages >= BEHIND_FACTOR * self._pages_max:
            self._copied.wait(BEHIND_SECONDS_MAX)
        if not self._copied.is_set():
            return
        pages, copied = checkpoint(writer, "PASSIVE")
        # Where a slow reader keeps the log from starting over, the next try comes half a portion later.
        self._pages = 0 if copied >= pages else self._pages_max // 2
        self._copied.clear()

    def stop(self) -> None:
        """End the thread and close its connection; `close_file` comes after all connections."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        self._connection.close()

    def close_file(self) -> None:
        """Close the descriptor of the database."""
        os.close(self._fd)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._stopping:
                return
            if self._copied.is_set():
                continue  # The writer has not come by yet.
            try:
                self._copy()
            except (sqlite3.Error, OSError) as error:
                self._on_error(error)
            self._copied.set()

    def _copy(self) -> None:
        for _ in range(ROUNDS):
            checkpoint(self._connection, "PASSIVE")
            os.fdatasync(self._fd)
