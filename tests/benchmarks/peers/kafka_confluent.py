"""Kafka through confluent-kafka (librdkafka) on both sides: idempotent, `acks=all`, LZ4."""

import asyncio
import threading
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
from tests.benchmarks.peers.peer import Broker, Receiver

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

PACKAGE: Final = "confluent-kafka"
LINGER_MILLIS: Final = 5  # The client's own default, for throughput; single messages leave at once.
ROOM_SECONDS: Final = 0.001  # Between two looks whether its queue has room again.
FLUSH_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.1


class ConfluentPublisher:
    """Hands messages to librdkafka, whose thread batches and sends them; reports are read as they come."""

    def __init__(self, producer: "Producer") -> None:
        self._producer = producer
        self._failure: RuntimeError | None = None

    async def send(self, payload: bytes) -> None:
        """Hand over one message; waits for room in the queue."""
        while True:
            try:
                self._producer.produce(TOPIC, payload, on_delivery=self._note)
                break
            except BufferError:
                self._producer.poll(0)
                await asyncio.sleep(ROOM_SECONDS)
        self._producer.poll(0)

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Hand over messages one after another: the client has no call for many."""
        for payload in payloads:
            await self.send(payload)

    async def flush(self) -> None:
        """Wait for every report."""
        left = await asyncio.to_thread(self._producer.flush, FLUSH_SECONDS_MAX)
        if left:
            raise RuntimeError(f"{left} messages not acknowledged within {FLUSH_SECONDS_MAX:g} s")
        if self._failure is not None:
            raise self._failure

    def _note(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failure = self._failure or RuntimeError(str(error))


class Confluent:
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
    ) -> AsyncIterator[ConfluentPublisher]:
        """Connect a producer; without a limit of messages it is set for latency."""
        from confluent_kafka import Producer

        batching = (
            {"linger.ms": 0}
            if batch_messages_max is None
            else {"linger.ms": LINGER_MILLIS, "batch.num.messages": batch_messages_max}
        )
        yield ConfluentPublisher(
            Producer(
                {
                    "bootstrap.servers": address,
                    "acks": "all",
                    "enable.idempotence": True,
                    "compression.type": "lz4",
                }
                | batching
            )
        )

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Read on a thread as a member of a group, whose offsets are committed every few seconds."""
        from confluent_kafka import Consumer

        consumer = Consumer(
            {"bootstrap.servers": address, "group.id": GROUP, "auto.offset.reset": "earliest"}
        )
        assigned = threading.Event()
        consumer.subscribe([TOPIC], on_assign=lambda *_: assigned.set())
        stopping = threading.Event()
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(None, _read, consumer, receiver, loop, stopping)
        try:
            await asyncio.to_thread(assigned.wait)
            yield
        finally:
            stopping.set()
            await reading


def _read(
    consumer: "Consumer",
    receiver: Receiver,
    loop: asyncio.AbstractEventLoop,
    stopping: threading.Event,
) -> None:
    """Take the first message as soon as it is there, and whatever is behind it."""
    while not stopping.is_set():
        first = consumer.poll(POLL_SECONDS)
        if first is None:
            continue
        messages = [first, *consumer.consume(FETCH_MESSAGES_MAX, 0)]
        payloads = [message.value() or b"" for message in messages if message.error() is None]
        loop.call_soon_threadsafe(receiver.take_all, payloads)
    consumer.close()


CONFLUENT: Final = Confluent()
