"""Redis pub/sub: `redis-server` that keeps nothing, redis-py's asyncio client with hiredis."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.peers.peer import Broker, Receiver
from tests.benchmarks.peers.redis_server import (
    client_of,
    missing_parts,
    running,
    versions_of_parts,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis

CHANNEL: Final = "bench"
PIPELINE_MESSAGES_MAX: Final = 100  # Where the scenario sets no other.
BACKLOG_MESSAGES_MAX: Final = 8_000  # Handed over and not yet in a pipeline; beyond, `send` waits.
MESSAGE: Final = (b"message", "message")
# Nothing is kept. A subscriber behind by 32 MB would be cut off; a cut of ours would flatter us.
OPTIONS: Final = {"save": "", "appendonly": "no", "client-output-buffer-limit": "pubsub 0 0 0"}


class PubSubPublisher:
    """Gathers messages into pipelines of PUBLISH, one in flight, so that their order is kept."""

    def __init__(self, connection: "Redis", pipeline_messages_max: int) -> None:
        self._connection = connection
        self._messages_max = pipeline_messages_max
        self._waiting: deque[bytes] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    async def send(self, payload: bytes) -> None:
        """Hand over one message; it leaves at once when no pipeline is in flight."""
        self._waiting.append(payload)
        await self._start()

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Hand over many messages."""
        self._waiting.extend(payloads)
        await self._start()

    async def flush(self) -> None:
        """Wait for the reply to every pipeline."""
        if self._drain is not None:
            await self._drain
        if self._failure is not None:
            raise self._failure

    async def _start(self) -> None:
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._send_waiting())
        if len(self._waiting) >= BACKLOG_MESSAGES_MAX:
            await self._drain

    async def _send_waiting(self) -> None:
        waiting = self._waiting
        try:
            while waiting:
                pipeline = self._connection.pipeline(transaction=False)
                for _ in range(min(len(waiting), self._messages_max)):
                    pipeline.publish(CHANNEL, waiting.popleft())
                await pipeline.execute()
        except Exception as error:  # noqa: BLE001 - flush() raises it
            self._failure = self._failure or error
            waiting.clear()


class RedisPubSub:
    """One channel, over TCP."""

    def missing(self) -> str | None:
        """Tell what is not installed."""
        return missing_parts()

    def versions(self) -> dict[str, str]:
        """Give the versions of server, client and the parser that is in use."""
        return versions_of_parts()

    def serve(self, directory: Path) -> AbstractAsyncContextManager[Broker]:
        """Run redis-server without any file."""
        return running(directory, OPTIONS)

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[PubSubPublisher]:
        """Connect a publisher."""
        connection = client_of(address)
        try:
            await connection.ping()
            yield PubSubPublisher(connection, batch_messages_max or PIPELINE_MESSAGES_MAX)
        finally:
            await connection.aclose()

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Subscribe, and read the replies of the connection as they are parsed."""
        connection = client_of(address)
        try:
            async with connection.pubsub() as pubsub:
                await pubsub.subscribe(CHANNEL)
                await pubsub.parse_response()  # The confirmation.
                reading = asyncio.create_task(_read(pubsub, receiver))
                try:
                    yield
                finally:
                    reading.cancel()
                    await asyncio.wait([reading])
        finally:
            await connection.aclose()


async def _read(pubsub: Any, receiver: Receiver) -> None:
    # `listen()` builds a dict for each message and looks for handlers: half as much CPU time again.
    while True:
        kind, _, data = await pubsub.parse_response()
        if kind in MESSAGE:
            receiver.take(data)


REDIS_PUBSUB: Final = RedisPubSub()
