"""The `nats-server` binary: where it is, how it is started, and connections to it."""

import importlib.metadata
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks.peers.peer import Broker
from tests.benchmarks.peers.server_process import ServerError, running_server, version_line

if TYPE_CHECKING:
    from nats.aio.client import Client

# Debian puts servers into sbin and Go into its own folder; neither is on every user's PATH.
FOLDERS_ASIDE: Final = ("/usr/sbin", str(Path.home() / "go" / "bin"))
VERSION: Final = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


class Server(NamedTuple):
    """An installed binary; the newest one sorts last."""

    version: tuple[int, ...]
    path: str

    @property
    def version_text(self) -> str:
        """Give the version as its makers write it."""
        return "v" + ".".join(map(str, self.version))


@cache
def find_server() -> Server | None:
    """Find the newest nats-server of this machine, so that no peer is measured in an old one."""
    folders = (*os.environ.get("PATH", os.defpath).split(os.pathsep), *FOLDERS_ASIDE)
    found = {shutil.which("nats-server", path=folder) for folder in folders} - {None}
    return max((Server(_version(path), path) for path in found if path), default=None)


def missing_parts(newer_than: tuple[int, ...] = ()) -> str | None:
    """Tell what is not installed, or is older than what is needed."""
    server = find_server()
    if server is None:
        return "nats-server is not installed (Debian: apt-get install nats-server)"
    if not server.version:
        return f"{server.path} does not tell its version: is it a nats-server that runs here?"
    if server.version < newer_than:
        needed = ".".join(map(str, newer_than))
        return (
            f"nats-server {server.version_text} is older than {needed}"
            " (go install github.com/nats-io/nats-server/v2@latest)"
        )
    try:
        importlib.metadata.version("nats-py")
    except importlib.metadata.PackageNotFoundError:
        return "nats-py is not installed (make bench installs requirements/bench.txt)"
    return None


def versions_of_parts() -> dict[str, str]:
    """Give the versions of server and client."""
    server = find_server()
    return {
        "nats-server": server.version_text if server else "missing",
        "nats-py": importlib.metadata.version("nats-py"),
    }


@asynccontextmanager
async def running(directory: Path, configuration: str = "") -> AsyncIterator[Broker]:
    """Run a server on a free port of 127.0.0.1, with its defaults but for the configuration."""
    server = find_server()
    if server is None:
        raise FileNotFoundError(missing_parts())
    configured = directory / "nats-server.conf"
    configured.write_text(configuration)
    command = [
        server.path,
        *("-c", str(configured), "-a", "127.0.0.1", "-p", "-1"),
        *("--ports_file_dir", str(directory)),
    ]

    async def answers(pid: int) -> bool:
        return _read_address(directory, pid) is not None

    async with running_server(command, directory / "nats-server.log", answers) as process:
        yield Broker(_read_address(directory, process.pid) or "", process.pid)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator["Client"]:
    """Connect nats-py; a server that goes away ends the measurement instead of being awaited."""
    import nats

    connection = await nats.connect(address, allow_reconnect=False)
    try:
        yield connection
    finally:
        await connection.close()


def _read_address(directory: Path, pid: int) -> str | None:
    # The server writes this file when it listens and gives no other sign, so it has to be polled;
    # it creates the file before it fills it.
    ports_file = directory / f"nats-server_{pid}.ports"
    if not ports_file.exists() or not (text := ports_file.read_text()):
        return None
    address: str = json.loads(text)["nats"][0]
    return address


def _version(path: str) -> tuple[int, ...]:
    try:
        found = VERSION.search(version_line([path, "-v"]))
    except ServerError:
        found = None  # It sorts below every one that runs, and is refused by `missing_parts`.
    return tuple(map(int, found.groups())) if found else ()
