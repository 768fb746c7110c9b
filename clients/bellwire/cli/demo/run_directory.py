"""Where a demo keeps its socket, logs and traces, and how the last one is found again."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bellwire.cli.faults import UsageFault

__all__ = ["RunDirectory", "last_run", "new_run"]

RUNS_KEPT: Final = 5  # A run of a few thousand bars is tens of MB of traces.
SOCKET_PATH_BYTES_MAX: Final = 107  # sun_path of Linux holds 108 with its final NUL.
PRIVATE: Final = 0o700
SOCKET_NAME: Final = "bus.sock"
RUN_PREFIX: Final = "demo-"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The folder of one run; `make` creates what lies in it."""

    path: Path

    @property
    def traces(self) -> Path:
        """OTLP-JSON files, one per process."""
        return self.path / "traces"

    @property
    def logs(self) -> Path:
        """What each process wrote to stdout and stderr."""
        return self.path / "logs"

    @property
    def socket(self) -> Path:
        """Unix socket of the coordinator."""
        return self.path / SOCKET_NAME

    @property
    def ready_file(self) -> Path:
        """Written by the coordinator once it takes connections."""
        return self.path / "coordinator.ready"

    @property
    def address(self) -> str:
        """Address of the coordinator."""
        return f"unix://{self.socket}"

    def make(self) -> None:
        """Create the folders."""
        self.traces.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        self.logs.mkdir(mode=PRIVATE, parents=True, exist_ok=True)


def new_run(explicit: Path | None) -> RunDirectory:
    """Return a fresh folder: the one named, which must be empty, or a new private one.

    Raises:
        UsageFault: When the folder named is in use, cannot be made, or is too long for a socket.
    """
    path = _fresh(explicit) if explicit else _private_run()
    run = RunDirectory(path.absolute())
    length = len(os.fsencode(run.socket))
    if length > SOCKET_PATH_BYTES_MAX:
        raise UsageFault(
            f"{run.socket} is {length} bytes long; a Unix socket's path holds "
            f"{SOCKET_PATH_BYTES_MAX}, so give a shorter --run-dir"
        )
    run.make()
    return run


def last_run() -> RunDirectory | None:
    """Return the newest run in the private folder, or None."""
    root = _root()
    if not _is_ours(root):
        return None
    runs = _runs(root)
    return RunDirectory(runs[-1]) if runs else None


def _fresh(path: Path) -> Path:
    try:
        path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        taken = next(path.iterdir(), None)
    except OSError as error:
        raise UsageFault(f"--run-dir {path} cannot be used: {error.strerror}") from None
    if taken is not None:
        raise UsageFault(f"--run-dir {path} is not empty (it holds {taken.name}); give a new one")
    return path


def _private_run() -> Path:
    """Make a run folder below a private root, and drop the oldest runs."""
    root = _root()
    root.mkdir(mode=PRIVATE, exist_ok=True)
    if not _is_ours(root):
        # Somebody else owns that name in the shared temporary folder: use one nobody can guess.
        return Path(tempfile.mkdtemp(prefix="bellwire-demo-"))
    for old in _runs(root)[: -RUNS_KEPT + 1]:
        shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=RUN_PREFIX, dir=root))


def _root() -> Path:
    return Path(tempfile.gettempdir()) / f"bellwire-{os.getuid()}"


def _is_ours(root: Path) -> bool:
    """Tell whether the folder is ours alone; in a shared folder a name proves nothing."""
    try:
        found = root.lstat()
    except OSError:
        return False
    is_private = stat.S_IMODE(found.st_mode) & 0o077 == 0
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and is_private


def _runs(root: Path) -> list[Path]:
    """Return the runs in the root, oldest first."""
    found = [path for path in root.glob(f"{RUN_PREFIX}*") if path.is_dir()]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))
