"""Files that are there whole or not at all, after a power failure too."""

import os
from contextlib import suppress
from glob import escape
from pathlib import Path
from secrets import token_hex


class UnsyncedError(OSError):
    """A file has its new content, and the disk would not say that it is safe from a power failure."""

    def __init__(self, cause: OSError, path: Path) -> None:
        """Name the file that was replaced."""
        super().__init__(
            cause.errno, f"{cause.strerror}: the new content is there, not yet safe", str(path)
        )


def sync(path: Path) -> None:
    """Have the kernel write a file, or the names in a folder, to the disk; blocks until it has."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file in a folder that nobody looks at yet.

    Raises:
        OSError: It cannot be written.
    """
    path.write_bytes(content)
    sync(path)


def replace_file(path: Path, content: bytes) -> None:
    """Put new content in the place of a file's: readers see the old or the new, and never a part.

    Steps: write beside it, sync the file, rename, sync the folder.

    Raises:
        UnsyncedError: The new content is there, and a power failure may bring the old one back.
        OSError: It cannot be written; the old content is still there.
    """
    aside = path.with_name(f"{_aside(path)}{token_hex(8)}")
    try:
        write_synced(aside, content)
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)
    try:
        sync(path.parent)
    except OSError as error:
        raise UnsyncedError(error, path) from error


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed while they replaced a file have left beside it.

    For who alone may replace it now. What cannot be removed stays: it is in nobody's way.
    """
    for aside in path.parent.glob(f"{escape(_aside(path))}*"):
        with suppress(OSError):
            aside.unlink()


def _aside(path: Path) -> str:
    """Return how the names begin that new content has before it is in its place."""
    return f".{path.name}-"
