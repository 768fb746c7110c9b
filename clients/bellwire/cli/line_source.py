"""Lines of standard input as they come, without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from typing import Final

from bellwire.cli.faults import CommandError

__all__ = ["LINE_BYTES_MAX", "LineSplitter", "line_groups"]

READ_BYTES: Final = 1 << 16  # One pipe buffer on Linux.
READS_QUEUED_MAX: Final = 4  # The reader waits when the bus is slower than the pipe.
LINE_BYTES_MAX: Final = 1 << 20  # One message; the server's limit for a whole batch.


class LineSplitter:
    """Cut a byte stream into lines; the last one counts even without a newline."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes.

        Raises:
            CommandError: When a line is longer than one message may be.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX or any(len(line) > LINE_BYTES_MAX for line in lines):
            raise CommandError(f"a line of standard input is longer than {LINE_BYTES_MAX} bytes")
        return [line.removesuffix(b"\r") for line in lines]

    def close(self) -> list[bytes]:
        """Return what follows the last newline, if anything."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


async def line_groups(fd: int) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a file descriptor in groups as large as each read gave.

    A thread reads, because a terminal, a pipe and a file all block differently. It is a daemon, so
    that Ctrl-C need not wait for the next line.
    """
    loop = asyncio.get_running_loop()
    reads: asyncio.Queue[bytes] = asyncio.Queue(READS_QUEUED_MAX)
    threading.Thread(target=_read, args=(fd, loop, reads), name="stdin", daemon=True).start()
    splitter = LineSplitter()
    while data := await reads.get():
        lines = splitter.feed(data)
        if lines:
            yield lines
    if rest := splitter.close():
        yield rest


def _read(fd: int, loop: asyncio.AbstractEventLoop, reads: asyncio.Queue[bytes]) -> None:
    """Put what is read into the queue, waiting for room; empty bytes mark the end."""
    try:
        while True:
            data = os.read(fd, READ_BYTES)
            asyncio.run_coroutine_threadsafe(reads.put(data), loop).result()
            if not data:
                return
    except (RuntimeError, CancelledError):
        return  # The loop is closed: nobody reads any more.
