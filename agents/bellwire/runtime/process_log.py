"""The file that takes the output of a supervised process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

STDERR_FD: Final = 2
TAIL_BYTES: Final = 2048  # of a child's log, repeated in the error when it does not start


class ProcessLog:
    """One file per process name; appended to by each process that carries the name."""

    def __init__(self, directory: str, name: str) -> None:
        """Prepare.

        Args:
            directory: Made when it is needed; empty = no file, the output goes to our standard error.
            name: Of the process.
        """
        self._path = Path(directory) / f"{name}.log" if directory else None

    @contextmanager
    def opened(self) -> Iterator[IO[bytes] | int]:
        """Give what a child writes to: the file, or our standard error.

        Raises:
            OSError: The file cannot be written.
        """
        if self._path is None:
            yield STDERR_FD
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            yield file

    def tail(self) -> str:
        """Return its end as a part of a sentence; empty when there is none."""
        if self._path is None:
            return ""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL_BYTES))
                text = file.read(TAIL_BYTES).decode(errors="replace").strip()
        except (
            OSError
        ):  # None was written, or it is not ours to read: the error is told without it.
            return ""
        return f"; its log {self._path} ends:\n{text}"
