"""NATS core: the `nats-server` binary, nats-py on both sides."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.peers.nats_server import (
    connected,
    missing_parts,
    running,
    versions_of_parts,
)
from tests.benchmarks.peers.peer import Broker, Receiver

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

UNLIMITED: Final = 0  # nats-py drops above its limits; a drop of ours would only flatter us.


class NatsPublisher:
    """Publishes through one nats-py connection; its flusher batches socket writes on its own."""

    def __init__(self, connection: "Client", subject: str) -> None:
        self._connection = connection
        self._subject = subject

    async def send(self, payload: bytes) -> None:
        """Publish one message."""
        await self._connection.publish(self._subject, payload)

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Publish message by message: the protocol has no batches."""
        publish, subject = self._connection.publish, self._subject
        for payload in payloads:
            await publish(subject, payload)

    async def flush(self) -> None:
        """Round trip to the server behind everything published."""
        await self._connection.flush()


class Nats:
    """NATS core over TCP."""

    def __init__(self, subject: str) -> None:
        self._subject = subject

    def missing(self) -> str | None:
        """Tell what is not installed."""
        return missing_parts()

    def versions(self) -> dict[str, str]:
        """Give the versions of server and client."""
        return versions_of_parts()

    def serve(self, directory: Path) -> AbstractAsyncContextManager[Broker]:
        """Run nats-server with its defaults."""
        return running(directory)

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[NatsPublisher]:
        """Connect a publisher."""
        async with connected(address) as connection:
            yield NatsPublisher(connection, self._subject)

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Subscribe with a callback, the quickest form nats-py has."""

        async def on_message(message: "Msg") -> None:
            receiver.take(message.data)

        async with connected(address) as connection:
            await connection.subscribe(
                self._subject,
                cb=on_message,
                pending_msgs_limit=UNLIMITED,
                pending_bytes_limit=UNLIMITED,
            )
            await connection.flush()
            yield


NATS: Final = Nats("bench")
NATS_NEIGHBOUR: Final = Nats("bench-neighbour")
