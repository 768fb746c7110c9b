"""NATS JetStream on files: `nats-server` with a stream, nats-py on both sides."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.peers.nats_server import (
    connected,
    missing_parts,
    running,
    versions_of_parts,
)
from tests.benchmarks.peers.peer import DATA_FOLDER, Broker, CommitTimes, Receiver

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js.client import JetStreamContext

STREAM: Final = "BENCH"
SUBJECT: Final = "bench.durable"  # No subject of NATS core: a stream would keep those, too.
CONSUMER: Final = "bench"
# nats-py's own bound. With 256 it is a fifth slower, with 16,000 no faster.
ACKS_OUTSTANDING_MAX: Final = 4_000
# Of four ways to consume the quickest: pushed to a callback, one acknowledgement for all before it;
# each acknowledged by itself is 6 % slower, fetching a quarter.
ACK_EVERY_MESSAGES: Final = 100
UNACKNOWLEDGED_MAX: Final = (
    20_000  # The server's default of 1,000 would make both sides take turns.
)
UNLIMITED: Final = 0  # nats-py drops above its limits; a drop of ours would only flatter us.
SYNC_ALWAYS_SINCE: Final = (2, 10, 0)  # The first version whose configuration knows sync_interval.


class JetStreamPublisher:
    """Publishes asynchronously: each message is acknowledged, thousands are outstanding."""

    def __init__(self, context: "JetStreamContext") -> None:
        self._context = context
        self._failure: BaseException | None = None

    async def send(self, payload: bytes) -> None:
        """Publish one message; suspends while too many are not acknowledged."""
        acknowledged = await self._context.publish_async(SUBJECT, payload)
        acknowledged.add_done_callback(self._note)

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Publish message by message: the protocol has no batches."""
        for payload in payloads:
            await self.send(payload)

    async def flush(self) -> None:
        """Wait for every acknowledgement."""
        await self._context.publish_async_completed()
        if self._failure is not None:
            raise self._failure

    async def publish_acknowledged(self, payload: bytes) -> None:
        """Publish one message and wait for its acknowledgement."""
        await self._context.publish(SUBJECT, payload)

    async def commit_times(self) -> CommitTimes | None:
        """Nothing: the server does not tell."""
        return None

    def _note(self, acknowledged: "asyncio.Future[Any]") -> None:
        self._failure = self._failure or acknowledged.exception()


class JetStream:
    """One stream on files, one replica."""

    def __init__(self, *, sync_always: bool) -> None:
        self._sync_always = sync_always

    def missing(self) -> str | None:
        """Tell what is not installed, or too old."""
        return missing_parts(SYNC_ALWAYS_SINCE if self._sync_always else ())

    def versions(self) -> dict[str, str]:
        """Give the versions of server and client."""
        return versions_of_parts()

    def serve(self, directory: Path) -> AbstractAsyncContextManager[Broker]:
        """Run nats-server; without `sync_always` it syncs files every two minutes."""
        sync = "sync_interval: always" if self._sync_always else ""
        return running(
            directory, f'jetstream {{\nstore_dir: "{directory / DATA_FOLDER}"\n{sync}\n}}\n'
        )

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[JetStreamPublisher]:
        """Connect a publisher."""
        async with _stream(address) as context:
            yield JetStreamPublisher(context)

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Read through a durable consumer, acknowledging."""
        from nats.js.api import AckPolicy, ConsumerConfig

        since_ack = 0

        async def on_message(message: "Msg") -> None:
            nonlocal since_ack
            receiver.take(message.data)
            since_ack += 1
            if since_ack == ACK_EVERY_MESSAGES:
                since_ack = 0
                await message.ack()

        async with _stream(address) as context:
            await context.subscribe(
                SUBJECT,
                stream=STREAM,
                durable=CONSUMER,
                cb=on_message,
                manual_ack=True,
                config=ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=UNACKNOWLEDGED_MAX),
                pending_msgs_limit=UNLIMITED,
                pending_bytes_limit=UNLIMITED,
            )
            yield


@asynccontextmanager
async def _stream(address: str) -> AsyncIterator["JetStreamContext"]:
    from nats.js.api import StorageType

    async with connected(address) as connection:
        context = connection.jetstream(publish_async_max_pending=ACKS_OUTSTANDING_MAX)
        # Adding a stream that is there already changes nothing.
        await context.add_stream(name=STREAM, subjects=[SUBJECT], storage=StorageType.FILE)
        yield context


JETSTREAM: Final = JetStream(sync_always=False)
JETSTREAM_ALWAYS: Final = JetStream(sync_always=True)
