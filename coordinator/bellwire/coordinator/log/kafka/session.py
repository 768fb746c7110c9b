"""The I/O of the Kafka store: transactions, reads and topics, by aiokafka."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.errors import (
    KafkaError,
    ProducerFenced,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from bellwire.coordinator.log.kafka.clients import batched, dropped, raise_error, stopped
from bellwire.coordinator.log.kafka.entries import KafkaRecord
from bellwire.coordinator.log.kafka.settings import KafkaSettings
from bellwire.transport.kafka import (
    CREATE_TOPICS,
    DELETE_RECORDS,
    IDEMPOTENT_PRODUCER,
    READ_COMMITTED,
    TRANSACTIONS,
    Capability,
    check_kafka,
    client_options,
)
from bellwire.wire.errors import BellwireError

STATE_PARTITION: Final = 0
BATCH_BYTES_MAX: Final = 900_000  # Below what a broker takes by default, whatever LZ4 makes of it.
RECORD_BYTES_MAX: Final = 2 << 20  # A message of 1 MiB with its headers; of the topics we create.
FETCH_BYTES: Final = 4 << 20
FETCH_RECORDS: Final = 5_000
FETCH_MILLIS: Final = 500
LOG_TOPIC: Final = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",  # The bus evicts, and deletes records itself.
    "retention.bytes": "-1",
    "max.message.bytes": str(RECORD_BYTES_MAX),
}
STATE_TOPIC: Final = {"cleanup.policy": "compact", "max.message.bytes": str(RECORD_BYTES_MAX)}


class KafkaSession:
    """Connections to one cluster. Every method may raise KafkaError, OSError or TimeoutError.

    Attributes:
        needed: What brokers must be able to do.
        cluster_id: Kafka's own id of the cluster; empty until a topic was asked for.
        may_write: Whether to become the one that writes, which fences whoever is it; asked each time.

    Raises:
        SettingsError: A file of the settings' `security` cannot be used.
    """

    needed: ClassVar[tuple[Capability, ...]] = (
        IDEMPOTENT_PRODUCER,
        TRANSACTIONS,
        READ_COMMITTED,
        CREATE_TOPICS,
        DELETE_RECORDS,
    )

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._options = client_options(settings.security)
        self.cluster_id = ""
        self.may_write: Callable[[], bool] = _always
        self._producer: AIOKafkaProducer | None = None
        self._given_up = asyncio.Event()  # Of the producer that is there.
        self._consumer: AIOKafkaConsumer | None = None

    @property
    def has_producer(self) -> bool:
        """Whether it can write."""
        return self._producer is not None

    @property
    def is_alone(self) -> bool:
        """Whether nobody says when it may write: there is no lease that coordinators take turns by."""
        return self.may_write is _always

    async def check(self) -> None:
        """See that Kafka lets us in and can do what is needed.

        Raises:
            KafkaRefusedError: It does not let us in.
            KafkaVersionError: It is too old or too new.
        """
        settings = self._settings
        await check_kafka(
            settings.bootstrap, self._options, self.needed, timeout_seconds=settings.request_seconds
        )

    async def answers(self) -> bool:
        """Tell whether a broker answers on the producer's connections; without a producer, whether one lets us in.

        A producer that is dropped meanwhile, or replaced, counts as none: it never hears what it asked.

        Raises:
            KafkaRefusedError, KafkaVersionError: See `check`.
        """
        producer = self._producer
        if producer is not None:
            asked: asyncio.Future[bool] = producer.client.force_metadata_update()
            given_up = asyncio.ensure_future(self._given_up.wait())
            try:
                either: set[asyncio.Future[Any]] = {asked, given_up}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                given_up.cancel()
            if self._producer is producer:
                return bool(await asked)
            asked.cancel()  # Its connections were closed under the question, which says nothing of Kafka.
        await self.check()
        return True

    async def why(self, error: BaseException) -> str:
        """Return what is wrong for people: where Kafka is there and refuses us, its reason instead of the error's."""
        try:
            await self.check()
        except BellwireError as refusal:
            return refusal.message
        except (KafkaError, OSError):
            pass
        return repr(error)

    async def open_producer(self) -> None:
        """Become the one that writes; whatever was begun before is ended.

        Raises:
            ProducerFenced: It may not be us, so that somebody else is it or is about to be.
        """
        await self.drop_producer()
        if not self.may_write():
            raise ProducerFenced("another coordinator may be writing by now")
        settings = self._settings
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap,
            transactional_id=settings.state_topic,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=2 * RECORD_BYTES_MAX,
            request_timeout_ms=_millis(settings.request_seconds),
            transaction_timeout_ms=_millis(settings.transaction_seconds),
            **self._options,
        )
        try:
            async with asyncio.timeout(settings.request_seconds * 4):
                await producer.start()
                # Only with its id in hand is what others had begun over.
                await producer.begin_transaction()
                await producer.abort_transaction()
        except BaseException:
            await dropped(producer)
            raise
        self._producer, self._given_up = producer, asyncio.Event()

    async def drop_producer(self) -> None:
        """Let go of the producer, in whatever state it is."""
        producer, self._producer = self._producer, None
        self._given_up.set()
        if producer is not None:
            await dropped(producer)

    async def close(self) -> None:
        """Let go of everything."""
        await self.drop_producer()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stopped(consumer)

    # ------------------------------------------------------------ transactions

    async def transact(
        self,
        entries: Iterable[tuple[str, int, Iterable[KafkaRecord]]],
        state: Callable[[Sequence[int]], Iterable[tuple[bytes, bytes | None]]],
        timestamp_ms: int,
    ) -> list[int]:
        """Write entries and state in one transaction; return the Kafka offset of each entry's first record.

        Args:
            entries: Topic, partition and records of each.
            state: Gives keys and values once the offsets of the entries are known.
            timestamp_ms: Of the state, milliseconds since the Unix epoch.
        """
        if self._producer is None:
            await self.open_producer()
        producer = self._producer
        assert producer is not None
        async with asyncio.timeout(self._settings.transaction_seconds):
            await producer.begin_transaction()
            sent = [
                [await producer.send_batch(each, topic, partition=partition) for each in batches]
                for topic, partition, records in entries
                if (batches := batched(producer, records))
            ]
            offsets = [(await parts[0]).offset for parts in sent]
            rest = [future for parts in sent for future in parts[1:]]
            pairs = (KafkaRecord(timestamp_ms, key, value, []) for key, value in state(offsets))
            topic, partition = self._settings.state_topic, STATE_PARTITION
            rest += [
                await producer.send_batch(batch, topic, partition=partition)
                for batch in batched(producer, pairs)
            ]
            await asyncio.gather(*rest)
            await producer.commit_transaction()
        return offsets

    # ------------------------------------------------------------ reads

    async def read(self, topic: str, partition: int, offset: int) -> AsyncGenerator[Any, None]:
        """Yield committed records from an offset on, without end; what is not there yet is waited for.

        Raises:
            TimeoutError: Nothing came for as long as a request may take.
        """
        if self._consumer is None:
            self._consumer = await self._started_consumer()
        consumer, place = self._consumer, TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek(place, offset)
        try:
            while True:
                async with asyncio.timeout(self._settings.request_seconds):
                    records: Sequence[Any] = ()
                    while not records:
                        found = await consumer.getmany(
                            place, timeout_ms=FETCH_MILLIS, max_records=FETCH_RECORDS
                        )
                        records = found.get(place, ())
                for record in records:
                    yield record
        except (KafkaError, OSError, TimeoutError):
            self._consumer = None
            await stopped(consumer)
            raise

    async def read_state(self) -> list[tuple[bytes | None, bytes | None]]:
        """Return everything in the state topic."""
        consumer = await self._started_consumer()
        try:
            place = TopicPartition(self._settings.state_topic, STATE_PARTITION)
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            end = (await consumer.end_offsets([place]))[place]
            found = []
            async with asyncio.timeout(self._settings.transaction_seconds) as limit:
                while await consumer.position(place) < end:
                    records = await consumer.getmany(
                        place, timeout_ms=FETCH_MILLIS, max_records=FETCH_RECORDS
                    )
                    found += [(record.key, record.value) for record in records.get(place, ())]
                    if records:  # As long as something comes, it may take its time.
                        limit.reschedule(
                            asyncio.get_running_loop().time() + self._settings.transaction_seconds
                        )
            return found
        finally:
            await stopped(consumer)

    async def _started_consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES,
            request_timeout_ms=_millis(self._settings.request_seconds),
            **self._options,
        )
        try:
            async with asyncio.timeout(self._settings.request_seconds * 2):
                await consumer.start()
        except BaseException:
            await stopped(consumer)
            raise
        return consumer

    # ------------------------------------------------------------ topics

    async def ensure_topic(self, name: str, partitions: int, config: Mapping[str, str]) -> None:
        """Have a topic with at least so many partitions."""
        async with self._admin() as admin:
            self.cluster_id = str((await admin.describe_cluster())["cluster_id"] or "")
            # Not looked for first: asking for a topic may create it, with one partition and the broker's settings.
            topic = NewTopic(name, partitions, 1, topic_configs=dict(config))
            # Set here: its constructor refuses -1, which asks for the brokers' default.
            topic.replication_factor = self._settings.replication_factor
            try:
                raise_error(await admin.create_topics([topic]))
            except TopicAlreadyExistsError:
                (described,) = await admin.describe_topics([name])
                if len(described["partitions"]) < partitions:
                    await admin.create_partitions({name: NewPartitions(partitions)})

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete the records of a partition below an offset, -1 = all."""
        place = TopicPartition(topic, partition)
        async with self._admin() as admin:
            with contextlib.suppress(UnknownTopicOrPartitionError):
                await admin.delete_records({place: RecordsToDelete(offset)})

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self._settings.bootstrap,
            request_timeout_ms=_millis(self._settings.request_seconds),
            **self._options,
        )
        async with asyncio.timeout(self._settings.request_seconds * 4):
            try:
                await admin.start()
                yield admin
            finally:
                await stopped(admin, close="close")


def _always() -> bool:
    """Whoever is alone may write."""
    return True


def _millis(seconds: float) -> int:
    return round(seconds * 1_000)
