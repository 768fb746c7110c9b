"""Brings records into one partition after the other's: in order, acknowledged by all replicas, in LZ4 batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.errors import KafkaError

from bellwire.bridge.connection import Connection, close_quietly, words
from bellwire.bridge.errors import KafkaTopicError, KafkaUnreachableError
from bellwire.bridge.outgoing import Record
from bellwire.policy.backoff import Backoff

__all__ = ["Refused", "Sender"]

LOOK_SECONDS: Final = 1.0  # How often a wait looks whether its producer is still in use.
_TOO_LARGE: Final = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
# The producer's own state is lost, or somebody else's fault that a new producer does not have.
_PRODUCER_LOST: Final = (
    kafka_errors.OutOfOrderSequenceNumber,
    kafka_errors.UnknownProducerId,
    kafka_errors.InvalidProducerIdMapping,
    kafka_errors.ProducerFenced,
    kafka_errors.InvalidProducerEpoch,
    kafka_errors.ProducerClosed,
)


class Refused(tuple[int, str]):
    """Index of a record that Kafka cannot take, and why."""

    __slots__ = ()


class Sender:
    """One producer for all routes, made anew when Kafka has lost track of it.

    At most one batch of a partition is under way: the next one leaves after its acknowledgement, so that no
    failure can change the order.
    """

    def __init__(self, connection: Connection, producer: AIOKafkaProducer) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._producer = producer
        self._renewing = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop; what is not acknowledged by then may or may not be there."""
        await close_quietly(self._producer.stop())
        for task in tuple(self._retired):
            await task

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> list[Refused]:
        """Send records in order and return when Kafka has acknowledged them; gives those it cannot take.

        Raises:
            KafkaTopicError: The topic cannot be written.
            KafkaUnreachableError: A batch was not acknowledged in `patience_seconds`.
        """
        refused: list[Refused] = []
        backoff = Backoff(self._settings.retry_first_seconds, self._settings.retry_max_seconds)
        at, most = 0, len(records)
        while at < len(records):
            producer = self._producer
            count = 0
            try:
                count = await self._send_some(producer, topic, partition, records, at, most)
            except _Part as part:
                if part.count > 1:
                    most = part.count // 2
                    continue
                refused.append(Refused((at, self._too_large(records[at], words(part.error)))))
                count = 1
            except KafkaError as error:
                await self._recover(producer, error, topic)
                await asyncio.sleep(backoff.next_delay())
                continue
            at += count
            most = len(records)
            backoff.reset()
        return refused

    async def _send_some(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partition: int,
        records: Sequence[Record],
        at: int,
        most: int,
    ) -> int:
        """Send what fits into one batch; return how many records that was."""
        if records[at].size_bytes > self._settings.record_bytes_max:
            raise _Part(1, kafka_errors.MessageSizeTooLargeError())
        batch = producer.create_batch()
        count = 0
        for record in islice(records, at, at + most):
            taken = batch.append(
                timestamp=record.timestamp_ms,
                key=record.key,
                value=record.value,
                headers=record.headers,
            )
            if taken is None:
                break
            count += 1
        batch.close()
        try:
            future = await producer.send_batch(batch, topic, partition=partition)
            await self._acknowledged(future, producer, f"{topic}/{partition}")
        except _TOO_LARGE as error:
            raise _Part(count, error) from None
        return count

    async def _acknowledged(
        self, future: asyncio.Future[object], producer: AIOKafkaProducer, where: str
    ) -> None:
        clock = asyncio.get_running_loop().time
        seconds = self._connection.patience_seconds
        deadline = clock() + seconds
        while not future.done():
            await asyncio.wait([future], timeout=LOOK_SECONDS)
            if future.done():
                break
            if producer is not self._producer and not self._retired:
                raise kafka_errors.ProducerClosed  # It was given up with what it held.
            if clock() > deadline:
                raise KafkaUnreachableError(
                    f"Kafka at {self._settings.kafka} has not acknowledged a batch for {where} within "
                    f"{seconds:g} s: has it enough replicas in sync?"
                )
        future.result()

    async def _recover(self, producer: AIOKafkaProducer, error: KafkaError, topic: str) -> None:
        """Make a new producer where the old one is of no use any more.

        Raises:
            KafkaTopicError: Trying again cannot help.
        """
        lost = isinstance(error, _PRODUCER_LOST) or type(error) is KafkaError
        if (
            not lost
            and not error.retriable
            and not isinstance(error, kafka_errors.KafkaTimeoutError)
        ):
            raise KafkaTopicError(
                f"Kafka topic {topic!r} cannot be written: {words(error)}",
                metadata={"topic": topic},
            ) from None
        if not lost:
            return
        async with self._renewing:
            if producer is not self._producer:
                return  # Another partition's trouble was the same.
            self._producer = await self._connection.producer()
            task = asyncio.create_task(close_quietly(producer.stop()), name="bellwire old producer")
            self._retired.add(task)
            task.add_done_callback(self._retired.discard)

    def _too_large(self, record: Record, error: str) -> str:
        return (
            f"record of {record.size_bytes} bytes is too large for Kafka ({error}): the bridge sends at most "
            f"{self._settings.record_bytes_max} (bridge.record_bytes_max), a topic takes its max.message.bytes"
        )


class _Part(Exception):
    """So many records together are too large."""

    def __init__(self, count: int, error: KafkaError) -> None:
        self.count = count
        self.error = error
        super().__init__(count)
