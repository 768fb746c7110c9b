"""The data folder: made when it is missing, and held by one coordinator at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from bellwire.wire.errors import DataFolderError, DataLockedError

DATABASE_NAME: Final = "bellwire.db"
LOCK_NAME: Final = "LOCK"
SIDE_SUFFIXES: Final = ("-wal", "-shm")  # Files SQLite keeps beside a database.
FOLDER_MODE: Final = 0o700  # What agents say to each other is nobody else's business.
FILE_MODE: Final = 0o600
_PID_BYTES_MAX: Final = 32


class DataFolder:
    """A folder that holds one store."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.database = self.path / DATABASE_NAME
        self.lock_file = self.path / LOCK_NAME
        self._lock_fd = -1

    def files(self) -> list[Path]:
        """Return the database's files that exist, the database itself last."""
        names = [f"{DATABASE_NAME}{suffix}" for suffix in SIDE_SUFFIXES] + [DATABASE_NAME]
        return [self.path / name for name in names if (self.path / name).exists()]

    def make_database(self) -> bool:
        """Make an empty file for the database, readable by its owner only; False when there is one."""
        try:
            fd = os.open(self.database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE)
        except FileExistsError:
            return False
        except OSError as error:
            raise self._unusable("cannot be written", error) from None
        os.close(fd)
        return True

    def lock(self) -> None:
        """Make the folder when it is missing and hold it until `unlock` or the process ends.

        Raises:
            DataLockedError: Another process, or another store of this one, holds it.
            DataFolderError: It is no folder, or cannot be written.
        """
        self._make()
        try:
            fd = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise self._unusable("cannot be written", error) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._held_by_another(fd) from None
        except OSError as error:
            os.close(fd)
            raise self._unusable("cannot be locked", error) from None
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(fd)
            raise self._unusable("cannot be written", error) from None
        self._lock_fd = fd

    def unlock(self) -> None:
        """Let others have the folder."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)  # The kernel drops the lock with its last descriptor.
            self._lock_fd = -1

    def holder(self) -> str | None:
        """Return the process id of whoever holds the folder, None when nobody does."""
        try:
            fd = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid_in(fd)
        except OSError:
            return None
        finally:
            os.close(fd)
        return None

    def _make(self) -> None:
        try:
            if not self.path.exists():
                self.path.mkdir(mode=FOLDER_MODE, parents=True)
                sync_folder(self.path.parent)
        except OSError as error:
            raise self._unusable("cannot be made", error) from None
        if not self.path.is_dir():
            raise DataFolderError(
                f"{self.path} is a file, a data folder is needed: name another path",
                metadata={"path": str(self.path)},
            )

    def _held_by_another(self, fd: int) -> DataLockedError:
        pid = _pid_in(fd)
        os.close(fd)
        return DataLockedError(
            f"data folder {self.path} is in use by process {pid}: stop it, or use another folder",
            metadata={"path": str(self.path), "pid": pid},
        )

    def _unusable(self, what: str, error: OSError) -> DataFolderError:
        return DataFolderError(
            f"data folder {self.path} {what}: {error.strerror or error}; "
            "give a folder on a writable disk that this user owns",
            metadata={"path": str(self.path), "cause": str(error.strerror or error)},
        )


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _pid_in(fd: int) -> str:
    return os.pread(fd, _PID_BYTES_MAX, 0).decode(errors="replace").strip() or "unknown"
