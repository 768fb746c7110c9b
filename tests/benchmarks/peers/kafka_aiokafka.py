"""Kafka through aiokafka on both sides: idempotent, `acks=all`, LZ4."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.peers.kafka_server import (
    FETCH_MESSAGES_MAX,
    GROUP,
    TOPIC,
    create_topic,
    missing_parts,
    running,
    versions_of_parts,
)
from tests.benchmarks.peers.peer import Broker, CommitTimes, Receiver

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

PACKAGE: Final = "aiokafka"
BATCH_MESSAGES_MAX: Final = 1_000  # Where the scenario sets no other.
BATCH_BYTES_MAX: Final = (
    1 << 20
)  # Above the client's default, so that messages are what limits a batch.
READ_MILLIS: Final = 1_000


class AioKafkaPublisher:
    """Sends one by one, or in batches built by hand: `send_batch` is several times as quick as `send`."""

    def __init__(self, producer: "AIOKafkaProducer", batch_messages_max: int) -> None:
        self._producer = producer
        self._batch_messages_max = batch_messages_max
        self._failure: BaseException | None = None

    async def send(self, payload: bytes) -> None:
        """Hand over one message."""
        self._watch(await self._producer.send(TOPIC, payload))

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Hand over messages in batches; waits for room."""
        size = self._batch_messages_max
        for start in range(0, len(payloads), size):
            batch = self._producer.create_batch()
            for payload in payloads[start : start + size]:
                if batch.append(key=None, value=payload, timestamp=None) is None:
                    raise RuntimeError(f"{size} messages are more than a batch of Kafka takes")
            batch.close()
            self._watch(await self._producer.send_batch(batch, TOPIC, partition=0))

    async def flush(self) -> None:
        """Wait for every acknowledgement."""
        await self._producer.flush()
        if self._failure is not None:
            raise self._failure

    async def publish_acknowledged(self, payload: bytes) -> None:
        """Send one message and wait until all replicas have it."""
        await self._producer.send_and_wait(TOPIC, payload)

    async def commit_times(self) -> CommitTimes | None:
        """Nothing: the broker does not tell."""
        return None

    def _watch(self, acknowledged: "asyncio.Future[Any]") -> None:
        acknowledged.add_done_callback(self._note)

    def _note(self, acknowledged: "asyncio.Future[Any]") -> None:
        self._failure = self._failure or acknowledged.exception()


class AioKafka:
    """One topic with one partition, a consumer group."""

    def missing(self) -> str | None:
        """Tell what is not installed."""
        return missing_parts(PACKAGE)

    def versions(self) -> dict[str, str]:
        """Give the versions of broker and client."""
        return versions_of_parts(PACKAGE)

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Run Kafka."""
        async with running(directory) as broker:
            await create_topic(broker.bootstrap)
            yield Broker(broker.bootstrap, broker.pid)

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[AioKafkaPublisher]:
        """Connect a producer."""
        from aiokafka import AIOKafkaProducer

        producer = AIOKafkaProducer(
            bootstrap_servers=address,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=BATCH_BYTES_MAX,
        )
        await producer.start()
        try:
            yield AioKafkaPublisher(producer, batch_messages_max or BATCH_MESSAGES_MAX)
        finally:
            await producer.stop()

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Read as a member of a group, whose offsets are committed every few seconds."""
        from aiokafka import AIOKafkaConsumer

        consumer = AIOKafkaConsumer(
            TOPIC, bootstrap_servers=address, group_id=GROUP, auto_offset_reset="earliest"
        )
        await consumer.start()
        reading = asyncio.create_task(_read(consumer, receiver))
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            await consumer.stop()


async def _read(consumer: "AIOKafkaConsumer", receiver: Receiver) -> None:
    while True:
        fetched = await consumer.getmany(timeout_ms=READ_MILLIS, max_records=FETCH_MESSAGES_MAX)
        for records in fetched.values():
            receiver.take_all([record.value for record in records])


AIOKAFKA: Final = AioKafka()
