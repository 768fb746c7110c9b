"""NATS core: the `nats-server` binary, nats-py on both sides."""

import asyncio
import importlib.metadata
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.peers.peer import Broker, Receiver

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

SUBJECT: Final = "bench"
# Debian puts servers into sbin, which is not on every user's PATH.
SEARCH_PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
START_SECONDS_MAX: Final = 10.0
START_POLL_SECONDS: Final = 0.02
UNLIMITED: Final = 0  # nats-py drops above its limits; a drop of ours would only flatter us.


class NatsPublisher:
    """Publishes through one nats-py connection; its flusher batches socket writes on its own."""

    def __init__(self, connection: "Client") -> None:
        self._connection = connection

    async def send(self, payload: bytes) -> None:
        """Publish one message."""
        await self._connection.publish(SUBJECT, payload)

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Publish message by message: the protocol has no batches."""
        publish = self._connection.publish
        for payload in payloads:
            await publish(SUBJECT, payload)

    async def flush(self) -> None:
        """Round trip to the server behind everything published."""
        await self._connection.flush()


class Nats:
    """NATS core over TCP."""

    def missing(self) -> str | None:
        """Tell what is not installed."""
        if _server_binary() is None:
            return "nats-server is not installed (Debian: apt-get install nats-server)"
        try:
            importlib.metadata.version("nats-py")
        except importlib.metadata.PackageNotFoundError:
            return "nats-py is not installed (make bench installs requirements/bench.txt)"
        return None

    def versions(self) -> dict[str, str]:
        """Give the versions of server and client."""
        server = subprocess.run(
            [_server_binary() or "nats-server", "-v"], capture_output=True, text=True, check=True
        )
        return {
            "nats-server": server.stdout.strip().removeprefix("nats-server: "),
            "nats-py": importlib.metadata.version("nats-py"),
        }

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Run nats-server with its defaults on a free port of 127.0.0.1."""
        options = ("-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(directory))
        log = directory / "nats-server.log"
        server = await asyncio.create_subprocess_exec(
            _server_binary() or "nats-server", *options, "-l", str(log)
        )
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                while (address := _read_address(directory, server.pid)) is None:  # noqa: ASYNC110
                    await asyncio.sleep(START_POLL_SECONDS)
            yield Broker(address, server.pid)
        finally:
            if server.returncode is None:
                server.terminate()
            await server.wait()

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[NatsPublisher]:
        """Connect a publisher."""
        async with _connected(address) as connection:
            yield NatsPublisher(connection)

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Subscribe with a callback, the quickest form nats-py has."""

        async def on_message(message: "Msg") -> None:
            receiver.take(message.data)

        async with _connected(address) as connection:
            await connection.subscribe(
                SUBJECT,
                cb=on_message,
                pending_msgs_limit=UNLIMITED,
                pending_bytes_limit=UNLIMITED,
            )
            await connection.flush()
            yield


@asynccontextmanager
async def _connected(address: str) -> AsyncIterator["Client"]:
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


def _server_binary() -> str | None:
    return shutil.which("nats-server", path=SEARCH_PATH)


NATS: Final = Nats()
