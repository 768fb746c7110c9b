"""The processes of a crash test: started, waited for, and killed without a warning."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
READY_SECONDS_MAX: Final = 60.0
END_SECONDS_MAX: Final = 60.0
OUTPUT_SHOWN_BYTES: Final = 2_000


class ProcessError(Exception):
    """A process of the test did what it should not have; the text tells which, and its last output."""


def free_port() -> int:
    """Return a TCP port of the loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment() -> dict[str, str]:
    """Return our own environment without settings of the surroundings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BELLWIRE_")}
    return kept | {"NO_COLOR": "1", "COLUMNS": "100"}


class Child:
    """A process of ours.

    Attributes:
        name: What it is called in messages.
        log: What it writes to stderr.
    """

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @classmethod
    async def start(cls, name: str, arguments: Sequence[str], folder: Path) -> Child:
        """Start `python -m …` from the repository's root."""
        log = folder / f"{name.replace('/', '.')}.log"
        with log.open("ab") as errors:
            process = await _start(arguments, errors)
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet, as far as we have heard."""
        return self.process.returncode is None

    def kill(self) -> None:
        """Send SIGKILL; what is ours is gone at once, and nobody is told."""
        if self.running:
            self.process.kill()

    def terminate(self) -> None:
        """Send SIGTERM: asked to end in order."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)

    async def gone(self) -> int:
        """Wait for its end and return its exit status.

        Raises:
            ProcessError: It did not end in time.
        """
        try:
            async with asyncio.timeout(END_SECONDS_MAX):
                # Not only wait(): a pipe that nobody reads would keep the process.
                await self.process.communicate()
        except TimeoutError:
            raise self.error(f"did not end within {END_SECONDS_MAX:g} s") from None
        assert self.process.returncode is not None
        return self.process.returncode

    async def killed(self) -> None:
        """Kill it and wait until it is gone."""
        self.kill()
        await self.gone()

    def check_running(self) -> None:
        """Raise ProcessError if it ended by itself."""
        if not self.running:
            raise self.error(f"ended by itself with status {self.process.returncode}")

    def error(self, what: str) -> ProcessError:
        """Return an error about it, with the end of its log."""
        last = self.log.read_bytes()[-OUTPUT_SHOWN_BYTES:].decode(errors="replace")
        return ProcessError(
            f"{self.name} (pid {self.pid}) {what}; it wrote:\n{last or '(nothing)'}"
        )


async def _start(arguments: Sequence[str], errors: IO[bytes]) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        cwd=REPOSITORY,
        env=environment(),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=errors,
    )


@dataclass(frozen=True, slots=True)
class Ready:
    """What a coordinator said when it was ready.

    Attributes:
        at_ns: When we read it, monotonic.
        start_seconds: From the start of the process.
        recovery: Its recovery report; empty without a data folder.
    """

    at_ns: int
    start_seconds: float
    recovery: dict[str, Any]


class CoordinatorProcess(Child):
    """`bellwire serve`."""

    started_ns = 0

    @classmethod
    async def serve(
        cls, address: str, folder: Path, *arguments: str, command: str = "bellwire.cli"
    ) -> CoordinatorProcess:
        """Start it; it is not ready yet."""
        log = folder / "coordinator.log"
        words = (command, "serve", "--json", "--listen", address, *arguments)
        began_ns = time.monotonic_ns()
        with log.open("ab") as errors:
            found = cls("coordinator", await _start(words, errors), log)
        found.started_ns = began_ns
        return found

    async def ready(self) -> Ready:
        """Wait until it says that it listens.

        Raises:
            ProcessError: It ended instead, or took too long.
        """
        event = await self.event("ready")
        now = time.monotonic_ns()
        return Ready(now, (now - self.started_ns) / 1e9, event.get("recovery", {}))

    async def event(self, name: str) -> dict[str, Any]:
        """Wait for the next line of its output, which must be this event."""
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                line = await self.process.stdout.readline()
        except TimeoutError:
            raise self.error(f"was not {name} within {READY_SECONDS_MAX:g} s") from None
        if not line:
            raise self.error(f"ended before it was {name}")
        found: dict[str, Any] = json.loads(line)
        if found.get("event") != name:
            raise self.error(f"said {found} instead of {name}")
        return found

    def memory_bytes(self) -> tuple[int, int]:
        """Return its resident memory now and at its peak (VmRSS, VmHWM of /proc/PID/status)."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
        return int(sizes["VmRSS"]) << 10, int(sizes["VmHWM"]) << 10
