"""The folder of the analytic store: where files stand, how they become visible, who may write.

STORE/LOCK                                      held by the sink that writes
STORE/messages/day=2026-11-21/L0-<ns>-<rows>.parquet    the files; L1, L2… are compacted, LS is a whole day
STORE/daily/<view>/day=2026-11-21/<of>.parquet  materialised views
STORE/aside/                                    written here first; emptied at start
STORE/damaged/                                  what could not be read, kept to be looked at
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from bellwire.sink.errors import AnalyticStoreError, AnalyticStoreLockedError

__all__ = ["SEALED", "DataFile", "StoreFolder", "is_whole", "publish_file"]

SEALED: Final = 99  # The level of a file that holds a whole day.
_NAME: Final = re.compile(
    r"L(?P<level>S|\d{1,2})-(?P<stored_ns>\d{1,20})-(?P<rows>\d{1,12})\.parquet"
)
_DAY: Final = re.compile(r"day=(\d{4}-\d{2}-\d{2})")
_MAGIC: Final = b"PAR1"
_FOOTER_BYTES: Final = 8  # Length of the metadata, and the magic again.


@dataclass(frozen=True, slots=True, order=True)
class DataFile:
    """A visible file, as its place and name tell.

    Attributes:
        day: Its rows were admitted on that day, UTC.
        level: 0 = as written, n = compacted n times, `SEALED` = the whole day.
        stored_ns: The latest row in it was stored then, nanoseconds since the Unix epoch.
        rows: Rows in it.
        path: Where it is.
    """

    day: date
    level: int
    stored_ns: int
    rows: int
    path: Path


class StoreFolder:
    """The layout of one analytic store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.messages = root / "messages"
        self.daily = root / "daily"
        self.aside = root / "aside"
        self.damaged = root / "damaged"
        self.lock_file = root / "LOCK"

    def lock(self) -> int:
        """Make the folder, and keep other sinks out until the descriptor returned is closed, or we die.

        Raises:
            AnalyticStoreError: The folder cannot be made or written.
            AnalyticStoreLockedError: Another sink works in it.
        """
        try:
            for folder in (self.messages, self.daily, self.aside):
                folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AnalyticStoreError(
                f"analytic store {self.root} cannot be written ({error.strerror}): "
                "name a folder that can, with --store"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise AnalyticStoreLockedError(
                f"another sink writes to {self.root}: stop it, or name another folder with --store"
            ) from None
        return lock

    def sweep(self) -> int:
        """Remove what was not finished when the last sink ended; return how many files that were."""
        left = list(self.aside.iterdir())
        for path in left:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        return len(left)

    def check_there(self) -> None:
        """Raise AnalyticStoreError when there is no store."""
        if not self.messages.is_dir():
            raise AnalyticStoreError(
                f"there is no analytic store at {self.root}: `bellwire sink --store {self.root}` makes one, "
                "or name another folder"
            )

    def files(self) -> Sequence[DataFile]:
        """Return the visible files in the order of their days; what is not named like one is left out."""
        return sorted(self._found())

    def _found(self) -> Iterable[DataFile]:
        for folder in self.messages.iterdir():
            day = day_named(folder.name)
            if day is None or not folder.is_dir():
                continue
            for path in folder.iterdir():
                found = _NAME.fullmatch(path.name)
                if found is not None:
                    level = SEALED if found["level"] == "S" else int(found["level"])
                    yield DataFile(day, level, int(found["stored_ns"]), int(found["rows"]), path)

    def place(self, day: date, level: int, stored_ns: int, rows: int) -> Path:
        """Return where a file of messages belongs."""
        word = "S" if level == SEALED else str(level)
        return self.messages / f"day={day.isoformat()}" / f"L{word}-{stored_ns}-{rows}.parquet"

    def set_apart(self, path: Path) -> Path:
        """Move a damaged file to where no query sees it, and return its new place."""
        self.damaged.mkdir(exist_ok=True)
        moved = self.damaged / f"{path.parent.name}-{path.name}"
        path.rename(moved)
        return moved


def day_named(name: str) -> date | None:
    """Return the day of a folder's name, or None when it is not the folder of one."""
    found = _DAY.fullmatch(name)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def by_day(files: Iterable[DataFile]) -> Mapping[date, Sequence[DataFile]]:
    """Return the files of each day, in the order given."""
    days: dict[date, list[DataFile]] = {}
    for file in files:
        days.setdefault(file.day, []).append(file)
    return days


def is_whole(path: Path) -> bool:
    """Tell whether a file begins and ends as a Parquet file does: a torn one does not.

    It reads twelve bytes; damage in between shows when it is read.

    Raises:
        OSError: It is not there, or cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return False
        size = file.seek(0, os.SEEK_END)
        if size < 2 * len(_MAGIC) + _FOOTER_BYTES:
            return False
        file.seek(-_FOOTER_BYTES, os.SEEK_END)
        footer = file.read()
    metadata_bytes = int.from_bytes(footer[:4], "little")
    return footer[4:] == _MAGIC and metadata_bytes + _FOOTER_BYTES + len(_MAGIC) <= size


def publish_file(aside: Path, place: Path) -> None:
    """Make a finished file visible in one step that survives a power failure.

    Steps: sync the file, make and sync its folder's name, rename, sync the folder.
    """
    sync(aside)
    if not place.parent.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        sync(place.parent.parent)
    aside.rename(place)
    sync(place.parent)


def sync(path: Path) -> None:
    """Have the kernel write a file or the names in a folder to the disk."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
