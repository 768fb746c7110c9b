"""Arrays out of files that others may have made: bounded when unpacked, and one error for all damage."""

from collections.abc import Container
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ALONE: Final = ""  # name of the one array of an `.npy`


class UnreadableArraysError(ValueError):
    """The file holds no arrays that can be read; it is for callers to say what they expected."""


def read_arrays(
    path: Path, *, bytes_max: int, names: Container[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Return the arrays of an `.npz` or `.npy` by name; nothing in the file is executed. Blocks.

    Args:
        path: The file; the array of an `.npy` is called `ALONE`.
        bytes_max: Bound of the file on disk, and of all in it unpacked, known before anything is. What the
            archive's directory says binds: zipfile gives no more of a member than stands there.
        names: Which to read of an `.npz`; None = all.

    Raises:
        UnreadableArraysError: absent, too large, damaged, encrypted, packed in an unknown way, or not of numbers
            and text alone. It says what was found.
    """
    try:
        _check_size("on disk", path.stat().st_size, bytes_max)
        # numpy closes a file that it opened itself only where that was no damaged archive.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)  # A pickle could run anything.
            if isinstance(loaded, np.ndarray):
                return {ALONE: loaded}
            with loaded:
                unpacked = sum(member.file_size for member in loaded.zip.infolist())
                _check_size("unpacked", unpacked, bytes_max)
                wanted = (name for name in loaded.files if names is None or name in names)
                return {name: np.asarray(loaded[name]) for name in wanted}
    except UnreadableArraysError:
        raise
    except Exception as error:
        # The boundary of zipfile, its codecs and numpy's reader: a damaged file raises what it likes, MemoryError
        # for a made-up shape, RuntimeError for a password and NotImplementedError for a codec among it.
        raise UnreadableArraysError(_cause(error)) from error


def _check_size(where: str, found: int, limit: int) -> None:
    if found > limit:
        raise UnreadableArraysError(f"too large: {found} bytes {where}, limit is {limit}")


def _cause(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error.args[0]) if error.args else type(error).__name__
