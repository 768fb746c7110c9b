"""The process that looks at an agent before it is run, from its question to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from typing import IO, Final

from bellwire.runtime.spawned import launched, sweep
from bellwire.runtime.spec import ONE_THREAD, module_argv

__all__ = ["ProbeAnswer", "ask_probe"]

PROBE_MODULE: Final = "bellwire.runtime.probe"
ANSWER_BYTES_MAX: Final = 1 << 20  # A name and settings, as a file of settings may hold.
TAIL_BYTES: Final = 4096  # Kept of what it complains of: its last line is quoted.


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What came of a look."""

    line: bytes
    """JSON, as `bellwire.runtime.probe` writes it; empty when it ended before."""
    returncode: int = 0
    """How it ended; negative = by that signal; 0 when it answered."""
    last_words: str = ""
    """Last line of its standard error, of one that did not answer."""


async def ask_probe(question: bytes) -> ProbeAnswer:
    """Start a probe, ask it, and leave nothing of it behind; the caller bounds the wait.

    It is started as agents are: the kernel kills it when we die, and what it started in its group is killed with it.

    Raises:
        OSError: It cannot be started.
    """
    # A file: a pipe would be open, and the wait for the end as long, while any process it started runs.
    with tempfile.TemporaryFile() as complaints:
        process = await asyncio.create_subprocess_exec(
            *launched(module_argv(PROBE_MODULE)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=complaints,
            env={**os.environ, **ONE_THREAD, "CUDA_VISIBLE_DEVICES": ""},
            limit=ANSWER_BYTES_MAX,
        )
        try:
            line = await _asked(process, question)
            if line:
                return ProbeAnswer(line)
            return ProbeAnswer(b"", await process.wait(), _last_line(complaints))
        finally:
            await _end(process)


async def _asked(process: Process, question: bytes) -> bytes:
    """Return its answer, a line; empty when there is none, or one that is too long."""
    assert process.stdin is not None, "it was asked for"
    assert process.stdout is not None, "it was asked for"
    process.stdin.write(question)
    process.stdin.close()
    try:
        return await process.stdout.readline()
    except ValueError:
        return b""


async def _end(process: Process) -> None:
    """Kill what is left of it, and what it started."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    sweep(process.pid)


def _last_line(complaints: IO[bytes]) -> str:
    size = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, size - TAIL_BYTES))
    lines = complaints.read(TAIL_BYTES).decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
