"""What the tests with real processes share."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.crash.processes import Child, CoordinatorProcess, Ready, free_port


class Place:
    """A test's own folder and address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.address = f"127.0.0.1:{free_port()}"

    @asynccontextmanager
    async def serving(
        self, *arguments: str, data: Path | None = None
    ) -> AsyncIterator[tuple[CoordinatorProcess, Ready]]:
        """Run a coordinator on the folder; it is killed in the end."""
        at = ("--data", str(data or self.data))
        coordinator = await CoordinatorProcess.serve(self.address, self.folder, *at, *arguments)
        try:
            yield coordinator, await coordinator.ready()
        finally:
            await coordinator.killed()

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a bellwire command to its end; return status, stdout and stderr."""
        child = await Child.start(arguments[0], ("bellwire.cli", *arguments), self.folder)
        try:
            child.log.write_bytes(b"")  # Only this run's.
            async with asyncio.timeout(60):
                out, _ = await child.process.communicate()
        finally:
            await child.killed()
        status = child.process.returncode
        assert status is not None
        return status, out.decode(), child.log.read_text()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder and an address."""
    return Place(tmp_path)


class Volume:
    """A small file system of its own.

    Attributes:
        path: Where it is mounted.
    """

    def __init__(self, path: Path, mebibytes: int) -> None:
        self.path = path
        path.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={mebibytes}m", "bellwire-test", str(path))

    def make_read_only(self) -> None:
        """Let nobody write to it any more, root included."""
        _mount("-o", "remount,ro", str(self.path))

    def unmount(self) -> None:
        """Give it back."""
        subprocess.run(["umount", "--lazy", str(self.path)], check=True, capture_output=True)


@pytest.fixture
def make_volume(tmp_path: Path) -> Iterator[Callable[[int], Volume]]:
    """A maker of small file systems; without the right to mount the test is skipped, and says so."""
    made: list[Volume] = []

    def make(mebibytes: int) -> Volume:
        try:
            made.append(Volume(tmp_path / f"volume-{len(made)}", mebibytes))
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            why = getattr(error, "stderr", b"").decode().strip() or str(error)
            pytest.skip(
                f"NOT RUN: a small file system cannot be mounted (uid {os.getuid()}): {why}"
            )
        return made[-1]

    yield make
    for volume in made:
        volume.unmount()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
