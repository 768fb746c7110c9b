"""The `bellwire` command as a user starts it: a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

LINE_SECONDS = 30
END_SECONDS = 30


class Command:
    """One running command; every wait has a deadline."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def line(self) -> str:
        """Return the next line of stdout."""
        assert self.process.stdout is not None
        async with asyncio.timeout(LINE_SECONDS):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def event(self) -> dict[str, Any]:
        """Return the next line of stdout as JSON."""
        found: dict[str, Any] = json.loads(await self.line())
        return found

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def end(self, seconds: float = END_SECONDS) -> tuple[int, str, str]:
        """Wait for the end; return exit code and what is left of stdout and stderr."""
        async with asyncio.timeout(seconds):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()


class Bellwire:
    """Starts commands in a folder of their own, without settings of the surroundings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("BELLWIRE_")}
        self.environment |= {"COLUMNS": "100", "NO_COLOR": "1"}

    @asynccontextmanager
    async def started(self, *arguments: str, **streams: Any) -> AsyncIterator[Command]:
        """Start a command; it is killed if the block leaves it running."""
        process = await asyncio.create_subprocess_exec(
            # As the installed command, which imports nothing from the working folder.
            *(sys.executable, "-P", "-m", "bellwire.cli", *arguments),
            cwd=self.folder,
            env=self.environment,
            **{"stdin": PIPE, "stdout": PIPE, "stderr": PIPE, **streams},
        )
        try:
            yield Command(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def run(self, *arguments: str, seconds: float = END_SECONDS) -> tuple[int, str, str]:
        """Run a command to its end."""
        async with self.started(*arguments) as command:
            return await command.end(seconds)

    @asynccontextmanager
    async def serving(self, *arguments: str) -> AsyncIterator[tuple[Command, str]]:
        """Serve on a Unix socket; gives the command and the address."""
        address = f"unix://{self.folder}/bus.sock"
        async with self.started("serve", "--json", "--listen", address, *arguments) as command:
            ready = await command.event()
            assert ready["event"] == "ready"
            yield command, address


@pytest.fixture
def bellwire(tmp_path: Path) -> Bellwire:
    """Starts commands in the test's own folder."""
    return Bellwire(tmp_path)
