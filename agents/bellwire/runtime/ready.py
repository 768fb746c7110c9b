"""How a started process says that it is ready: one line into a pipe it inherits, or a file.

Any program can take part: write `READY` and a line feed to the file descriptor whose number is in
`BELLWIRE_READY_FD`; JSON after a space is handed to whoever started it. One that gives up may write
`FAILED` instead, a space and why as a JSON text, and is then quoted.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

READY_FD_VARIABLE: Final = "BELLWIRE_READY_FD"
WARM_FD_VARIABLE: Final = "BELLWIRE_WARM_FD"  # where a spare says that it is loaded and waits
READY_WORD: Final = b"READY"
FAILED_WORD: Final = b"FAILED"
LINE_BYTES_MAX: Final = 4096  # less than a pipe holds, so that it is written in one piece
REASON_CHARACTERS_MAX: Final = (
    600  # JSON takes 6 bytes for some: within the line's bound all the same
)
FILE_POLL_SECONDS: Final = 0.02  # a file cannot be awaited; 20 ms is little beside a start

ReadyDetails = Mapping[str, object]


class ReadySignal(Protocol):
    """The parent's end."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables the child needs."""

    @property
    def child_fds(self) -> tuple[int, ...]:
        """File descriptors the child inherits."""

    def spawned(self) -> None:
        """Let go of what only the child needs."""

    async def wait(self) -> ReadyDetails:
        """Wait for the child's word; never returns when it does not come."""

    def last_words(self) -> str:
        """Return why the child gave up, once it has ended; empty when it did not say."""

    def close(self) -> None:
        """Let go of everything."""


class ReadyPipe:
    """Waits for the line on a pipe."""

    def __init__(self, variable: str = READY_FD_VARIABLE) -> None:
        """Open it.

        Args:
            variable: Tells the child the number of its end.
        """
        self._variable = variable
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._received = bytearray()

    @property
    def environment(self) -> Mapping[str, str]:
        return {self._variable: str(self._write_fd)}

    @property
    def child_fds(self) -> tuple[int, ...]:
        return (self._write_fd,)

    def spawned(self) -> None:
        """Close the child's end: the pipe then ends with the child."""
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    async def wait(self) -> ReadyDetails:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[bytes] = loop.create_future()

        def readable() -> None:
            if self._read():
                loop.remove_reader(self._read_fd)
                if not arrived.done():
                    arrived.set_result(bytes(self._received))

        loop.add_reader(self._read_fd, readable)
        try:
            line = await arrived
        finally:
            loop.remove_reader(self._read_fd)
        details = _parsed(line)
        if details is None:
            await loop.create_future()  # No word in it: the child's end will tell.
        return details or {}

    def last_words(self) -> str:
        with suppress(BlockingIOError):  # A child of its own may hold the other end open.
            while self._read_fd >= 0 and not self._read():
                pass
        return _words(bytes(self._received))

    def _read(self) -> bool:
        """Take what has come; True when it is a line, too much for one, or the end."""
        part = os.read(self._read_fd, LINE_BYTES_MAX)
        self._received.extend(part)
        return not part or b"\n" in self._received or len(self._received) >= LINE_BYTES_MAX

    def close(self) -> None:
        """Close both ends."""
        self.spawned()
        if self._read_fd >= 0:
            os.close(self._read_fd)
            self._read_fd = -1


class ReadyFile:
    """Waits for a file to appear, for programs that cannot be told a descriptor."""

    def __init__(self, path: str) -> None:
        """Remove what an earlier run left at the path."""
        self._path = Path(path)
        self._path.unlink(missing_ok=True)

    @property
    def environment(self) -> Mapping[str, str]:
        return {}

    @property
    def child_fds(self) -> tuple[int, ...]:
        return ()

    def spawned(self) -> None:
        """Do nothing: the child needs nothing of ours."""

    async def wait(self) -> ReadyDetails:
        while not self._path.exists():  # noqa: ASYNC110  # a file has no event to await
            await asyncio.sleep(FILE_POLL_SECONDS)
        return {}

    def last_words(self) -> str:
        return ""

    def close(self) -> None:
        """Do nothing: the file is the child's."""


def announce_ready(details: ReadyDetails | None = None, variable: str = READY_FD_VARIABLE) -> bool:
    """Tell the supervisor that this process is ready; False when none waits.

    Args:
        details: A few JSON values, such as addresses; at most 4 KB.
        variable: Holds the number of our end of the pipe; it is removed.
    """
    line = READY_WORD + b" " + json.dumps(details or {}).encode() + b"\n"
    return _announce(line if len(line) <= LINE_BYTES_MAX else READY_WORD + b"\n", variable)


def announce_failed(reason: str) -> bool:
    """Tell the supervisor why this process ends without READY; False when none waits for it any more.

    Args:
        reason: One sentence; the first 600 characters are told.
    """
    text = json.dumps(reason[:REASON_CHARACTERS_MAX], ensure_ascii=False)
    return _announce(FAILED_WORD + b" " + text.encode(errors="replace") + b"\n", READY_FD_VARIABLE)


def _announce(line: bytes, variable: str) -> bool:
    number = os.environ.pop(variable, "")
    if not number.isdigit():
        return False
    descriptor = int(number)
    try:
        os.write(descriptor, line)
        os.close(descriptor)
    except OSError:
        return False
    return True


def _parsed(line: bytes) -> ReadyDetails | None:
    word, _, rest = line.strip().partition(b" ")
    if word != READY_WORD:
        return None
    try:
        details = json.loads(rest) if rest else {}
    except ValueError:
        return {}
    return details if isinstance(details, dict) else {}


def _words(line: bytes) -> str:
    word, _, rest = line.strip().partition(b" ")
    if word != FAILED_WORD:
        return ""
    try:
        reason = json.loads(rest)
    except ValueError:
        return ""
    return " ".join(reason.split()) if isinstance(reason, str) else ""
