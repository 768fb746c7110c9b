"""The `redis-server` binary and redis-py: where they are, how the server is started, connections."""

import importlib.metadata
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.peers.peer import Broker
from tests.benchmarks.peers.server_process import (
    ServerError,
    free_port,
    running_server,
    version_line,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis

SEARCH_PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
ANSWER_SECONDS_MAX: Final = 1.0  # One question while the server starts.


def missing_parts() -> str | None:
    """Tell what is not installed, or does not run."""
    binary = _binary()
    if binary is None:
        return "redis-server is not installed (Debian: apt-get install redis-server)"
    try:
        version_line([binary, "-v"])
        importlib.metadata.version("redis")
    except ServerError as error:
        return str(error)
    except importlib.metadata.PackageNotFoundError:
        return "redis is not installed (make bench installs requirements/bench.txt)"
    return None


def versions_of_parts() -> dict[str, str]:
    """Give the versions of server, client and the parser that is in use."""
    told = version_line([_binary() or "redis-server", "-v"])
    versions = {
        "redis-server": next((w[2:] for w in told.split() if w.startswith("v=")), "unknown"),
        "redis-py": importlib.metadata.version("redis"),
    }
    with suppress(importlib.metadata.PackageNotFoundError):
        versions["hiredis"] = importlib.metadata.version("hiredis")
    return versions


@asynccontextmanager
async def running(directory: Path, options: Mapping[str, str]) -> AsyncIterator[Broker]:
    """Run a server on a free port of 127.0.0.1."""
    port = free_port()
    listen = {"bind": "127.0.0.1", "port": str(port), "dir": str(directory)}
    arguments = [
        part for key, value in (listen | dict(options)).items() for part in (f"--{key}", value)
    ]

    async def answers(pid: int) -> bool:
        return await _answers(port)

    command = [_binary() or "redis-server", *arguments]
    async with running_server(command, directory / "redis-server.log", answers) as server:
        yield Broker(f"127.0.0.1:{port}", server.pid)


def client_of(address: str, *, answer_seconds_max: float | None = None) -> "Redis":
    """Give a client with one connection, made when first used."""
    from redis.asyncio import Redis

    host, _, port = address.rpartition(":")
    return Redis(
        host=host,
        port=int(port),
        single_connection_client=True,
        socket_timeout=answer_seconds_max,
    )


async def _answers(port: int) -> bool:
    from redis.exceptions import ConnectionError as NotYet
    from redis.exceptions import TimeoutError as Silent

    client = client_of(f"127.0.0.1:{port}", answer_seconds_max=ANSWER_SECONDS_MAX)
    try:
        await client.ping()
    except (NotYet, Silent):
        return False
    finally:
        await client.aclose()
    return True


def _binary() -> str | None:
    return shutil.which("redis-server", path=SEARCH_PATH)
