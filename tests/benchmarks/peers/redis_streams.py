"""Redis Streams that sync every write: `redis-server`, redis-py's asyncio client on both sides."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.peers.peer import DATA_FOLDER, Broker, CommitTimes, Receiver
from tests.benchmarks.peers.redis_server import (
    client_of,
    missing_parts,
    running,
    versions_of_parts,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis

STREAM: Final = "bench"
GROUP: Final = "bench"
FIELD: Final = "d"
# With appendfsync always the server syncs once per turn of its loop, for all connections whose
# commands it found: four are half again as fast as one, eight no faster.
CONNECTIONS: Final = 4
PIPELINE_MESSAGES_MAX: Final = 100  # Where the scenario sets no other.
BACKLOG_MESSAGES_MAX: Final = 8_000  # Handed over and not yet in a pipeline; beyond, `send` waits.
READ_MESSAGES_MAX: Final = 1_000
READ_BLOCK_MILLIS: Final = 1_000


class RedisPublisher:
    """Gathers messages into pipelines of XADD, one in flight on each of a few connections.

    What comes while all connections wait for their replies travels together. Pipelines of different
    connections may overtake each other, so the stream's order is that of arrival.
    """

    def __init__(self, connections: Sequence["Redis"], pipeline_messages_max: int) -> None:
        self._connections = connections
        self._messages_max = pipeline_messages_max
        self._waiting: deque[bytes] = deque()
        self._idle = deque(connections)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def send(self, payload: bytes) -> None:
        """Hand over one message; it leaves at once when a connection is idle."""
        self._waiting.append(payload)
        self._start()
        await self._room()

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Hand over many messages."""
        self._waiting.extend(payloads)
        self._start()
        await self._room()

    async def flush(self) -> None:
        """Wait for the reply to every pipeline."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)
        if self._failure is not None:
            raise self._failure

    async def publish_acknowledged(self, payload: bytes) -> None:
        """Add one message and wait for its id."""
        await self._connections[0].xadd(STREAM, {FIELD: payload})

    async def commit_times(self) -> CommitTimes | None:
        """Nothing: the server does not tell."""
        return None

    def _start(self) -> None:
        while self._idle and self._waiting:
            task = asyncio.create_task(self._drain(self._idle.popleft()))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _room(self) -> None:
        while len(self._waiting) >= BACKLOG_MESSAGES_MAX and self._in_flight:
            await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)

    async def _drain(self, connection: "Redis") -> None:
        waiting = self._waiting
        try:
            count = min(len(waiting), self._messages_max)
            if count == 0:  # Another connection took what this one was started for.
                return
            pipeline = connection.pipeline(transaction=False)
            for _ in range(count):
                pipeline.xadd(STREAM, {FIELD: waiting.popleft()})
            await pipeline.execute()
        except Exception as error:  # noqa: BLE001 - flush() raises it
            self._failure = self._failure or error
            waiting.clear()
        finally:
            self._idle.append(connection)
            self._start()


class RedisStreams:
    """One stream with one consumer group."""

    def missing(self) -> str | None:
        """Tell what is not installed."""
        return missing_parts()

    def versions(self) -> dict[str, str]:
        """Give the versions of server, client and the parser that is in use."""
        return versions_of_parts()

    def serve(self, directory: Path) -> AbstractAsyncContextManager[Broker]:
        """Run redis-server, syncing before each reply; no snapshots."""
        data = directory / DATA_FOLDER
        data.mkdir()
        options = {"dir": str(data), "appendonly": "yes", "appendfsync": "always", "save": ""}
        return running(directory, options)

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[RedisPublisher]:
        """Connect a publisher."""
        connections = [client_of(address) for _ in range(CONNECTIONS)]
        try:
            for connection in connections:
                await connection.ping()
            yield RedisPublisher(connections, batch_messages_max or PIPELINE_MESSAGES_MAX)
        finally:
            for connection in connections:
                await connection.aclose()

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Read through a consumer group, acknowledging each read with the next one."""
        connection = client_of(address)
        try:
            await connection.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
            reading = asyncio.create_task(_read(connection, receiver))
            try:
                yield
            finally:
                reading.cancel()
                await asyncio.wait([reading])
        finally:
            await connection.aclose()


async def _read(connection: "Redis", receiver: Receiver) -> None:
    read: list[bytes] = []  # Ids to acknowledge.
    while True:
        pipeline = connection.pipeline(transaction=False)
        if read:
            pipeline.xack(STREAM, GROUP, *read)
        pipeline.xreadgroup(
            GROUP, "member", {STREAM: ">"}, count=READ_MESSAGES_MAX, block=READ_BLOCK_MILLIS
        )
        replies: list[Any] = await pipeline.execute()
        messages = _messages(replies[-1])
        read = [identity for identity, _ in messages]
        if messages:
            receiver.take_all([fields[FIELD.encode()] for _, fields in messages])


def _messages(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Give (id, fields) of the one stream that was read; a read that timed out has none."""
    if not reply:
        return []
    if isinstance(reply, dict):  # The form of the newer protocol: {stream: [[messages]]}.
        ((messages,),) = reply.values()
    else:
        ((_, messages),) = reply
    return list(messages)


REDIS_ALWAYS: Final = RedisStreams()
