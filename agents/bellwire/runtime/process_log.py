"""The file that takes the output of a supervised process."""

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
        if self._path is None or not self._path.exists():
            return ""
        text = self._path.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()
        return f"; its log {self._path} ends:\n{text}"
