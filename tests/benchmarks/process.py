"""The processes of a measurement, started and told what to do over pipes."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.peers import interpreter_of

REPOSITORY: Final = Path(__file__).parents[2]
READY_SECONDS_MAX: Final = 60.0  # Of a Kafka broker on a busy machine; others need a second.
STOP_SECONDS_MAX: Final = 10.0
ANSWER_SECONDS_MAX: Final = 60.0  # Far above any phase; a hung peer must not hang the run.
ERROR_LINES_SHOWN: Final = 8
LINE_BYTES_MAX: Final = 4 << 20  # A histogram of a saturated run is some tens of kilobytes.

Reply = dict[str, Any]


class MeasurementError(Exception):
    """A process of a measurement failed; the text tells which, and its last lines of output."""


@dataclass(slots=True)
class Worker:
    """A started process of a measurement."""

    role: str
    about: Reply
    process: asyncio.subprocess.Process
    log: Path

    async def do(self, command: str, **arguments: object) -> Reply:
        """Send one command and await its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")
        return await self.answer(ANSWER_SECONDS_MAX)

    async def answer(self, seconds_max: float) -> Reply:
        """Await the next line of the process."""
        assert self.process.stdout is not None
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), seconds_max)
        except TimeoutError:
            raise self._failure(f"gave no answer within {seconds_max:g} s") from None
        if not line:
            raise self._failure("ended unasked")
        reply: Reply = json.loads(line)
        if "failed" in reply:
            raise MeasurementError(f"{self.role}: {reply['failed']}")
        return reply

    def _failure(self, what: str) -> MeasurementError:
        last_lines = self.log.read_text(errors="replace").splitlines()[-ERROR_LINES_SHOWN:]
        return MeasurementError("\n".join((f"{self.role} {what}:", *last_lines)))

    @property
    def pid(self) -> int:
        """Process that does the work: for a broker of another make not the worker itself."""
        pid: int = self.about.get("pid", self.process.pid)
        return pid


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where the processes of one measurement write."""

    directory: Path
    profile_directory: Path | None = None

    @asynccontextmanager
    async def worker(
        self, role: str, peer: str, *, name: str = "", **settings: object
    ) -> AsyncIterator[Worker]:
        """Start a process and wait until it is ready; end it afterwards.

        Args:
            role: What it is for its system.
            peer: The system.
            name: What to call it where a measurement has several of one role.
            **settings: What else `open_role` takes.
        """
        name = name or role
        description = {
            "role": role,
            "peer_name": peer,
            "directory": str(self.directory),
            **settings,
        }
        if self.profile_directory is not None:
            description["profile_path"] = str(self.profile_directory / f"{peer}-{name}.pstats")
        log = self.directory / f"{name}.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                interpreter_of(peer),
                *("-m", "tests.benchmarks.worker", json.dumps(description)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=LINE_BYTES_MAX,
                cwd=REPOSITORY,
                # Peers with an environment of their own share the clock and the histogram, which need no package.
                env={**os.environ, "PYTHONPATH": str(REPOSITORY / "clients")},
                process_group=0,  # So that what it started can be ended with it; a session would be scheduled apart.
            )
        worker = Worker(name, {}, process, log)
        try:
            worker.about = await worker.answer(READY_SECONDS_MAX)
            yield worker
        finally:
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
    except TimeoutError:
        _kill(process)
        await process.wait()
    finally:
        _kill(process)  # A broker of another make whose worker died before it could stop it.


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
