"""One route from Kafka to the bus: offsets are committed when the bus has acknowledged the messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, GroupLoadInProgressError, IllegalStateError

from bellwire.bridge.arrival import Arrival
from bellwire.bridge.connection import Connection, close_quietly, persevere
from bellwire.bridge.errors import KafkaTopicError, KafkaUnreachableError
from bellwire.bridge.intake import Commit, Intake, Place, ReadRecord, Stretch
from bellwire.bridge.route import Route
from bellwire.bridge.stopping import unless_stopped
from bellwire.bridge.topics import Topics

__all__ = ["MirrorIn"]

POLL_MILLIS: Final = 200  # How long an idle consumer waits before it looks for new partitions.
HEARTBEAT_MILLIS: Final = 1_000  # A member hears of a rebalance with its heartbeat.
SESSION_MILLIS: Final = 6_000  # A member that died holds its partitions so long; Kafka's least.
REBALANCE_MILLIS: Final = 6_000  # One that died while it joined holds the group up so long.
NO_OFFSET: Final = -1

Intakes: TypeAlias = "dict[TopicPartition, Intake]"


class MirrorIn(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Reads a topic as a member of the group `NAME.TOPIC`, round by round.

    In each round it commits where the stretches end, publishes them, and goes on: `intake` says why. What is
    held is bounded by one stretch and one poll a partition.

    The client changes the assignment while a round waits for something, and a read that was begun before gives
    records of the new one. So a round works on the intakes it began with, a rebalance puts empty ones in their
    place, and whoever makes an intake moves the consumer to where it begins: what was read between is read again.
    """

    def __init__(
        self, connection: Connection, topics: Topics, route: Route, arrival: Arrival
    ) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._topics = topics
        self._route = route
        self._arrival = arrival
        self.group = arrival.group
        self._intakes: Intakes = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Mirror until told to stop; the round under way is finished.

        Raises:
            BellwireError: What ended it: nothing is lost, a later start goes on from here.
        """
        wanted = self._settings.partitions
        await self._topics.partition_count(self._route.source, wanted=wanted)
        consumer = await persevere(self._settings, self._started)
        try:
            # After the start, which would wait for the group and take members that died for a Kafka that is away.
            consumer.subscribe([self._route.source], listener=self)
            while not stop.is_set():
                await self._round(consumer, stop)
            await self._commit(consumer, self._intakes, {})
        finally:
            await close_quietly(consumer.stop())

    async def _started(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka,
            client_id=f"bellwire-{self._settings.name}",
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=self._settings.publish_messages_max,
            heartbeat_interval_ms=HEARTBEAT_MILLIS,
            session_timeout_ms=SESSION_MILLIS,
            rebalance_timeout_ms=REBALANCE_MILLIS,
            **self._connection.options,
        )
        try:
            await consumer.start()
        except BaseException:
            await close_quietly(consumer.stop())
            raise
        return consumer

    # ------------------------------------------------------------ the group

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Forget what is under way: whoever gets the partitions publishes it under the same request ids."""
        self._intakes = {}

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Forget it again: a round may have begun since, with what was assigned before."""
        self._intakes = {}

    async def _begin(self, consumer: AIOKafkaConsumer, intakes: Intakes) -> None:
        """Make the intakes that are missing, and read from where they begin; none where the group changes."""
        missing = [partition for partition in consumer.assignment() if partition not in intakes]
        if not missing:
            return
        begins = await persevere(self._settings, lambda: self._begins(consumer, missing))
        if self._intakes is not intakes:
            return
        try:
            for partition, (position, offset, metadata) in begins.items():
                consumer.seek(partition, position)
                intakes[partition] = Intake(offset, metadata)
        except IllegalStateError:
            self._intakes = {}  # It was taken away, and we are about to be told.

    async def _begins(
        self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, int | None, str]]:
        """Return where to read from, what is committed (None = nothing) and with which metadata."""
        found = await self._connection.admin.list_consumer_group_offsets(
            self.group, partitions=partitions
        )
        if not found.keys() >= set(partitions):
            # The answer is an error, which the client passes over: no offset at all would be said with -1.
            raise GroupLoadInProgressError(self.group)
        begins: dict[TopicPartition, tuple[int, int | None, str]] = {}
        fresh = [each for each in partitions if found[each].offset == NO_OFFSET]
        for each, position in (await consumer.beginning_offsets(fresh)).items():
            begins[each] = (position, None, "")
        for each in partitions:
            if each not in begins:
                offset, metadata = found[each]
                begins[each] = (offset, offset, metadata or "")
        return begins

    # ------------------------------------------------------------ a round

    async def _round(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        intakes = self._intakes
        await self._begin(consumer, intakes)
        read = await unless_stopped(self._read(consumer, intakes), stop) or {}
        if self._intakes is not intakes:
            return  # Whose records these are is not certain.
        for partition, records in read.items():
            if partition in intakes:
                intakes[partition].add(records)
        stretches = await self._cut(consumer, intakes)
        if not await self._commit(consumer, intakes, stretches):
            self._intakes = {}  # The group has changed: the partitions come anew.
            return
        async with asyncio.TaskGroup() as group:
            for partition, stretch in stretches.items():
                group.create_task(self._publish(partition, stretch, intakes[partition]))

    async def _read(
        self, consumer: AIOKafkaConsumer, intakes: Intakes
    ) -> dict[TopicPartition, list[ReadRecord]]:
        """Read for those intakes that have room; without any, wait for partitions."""
        partitions = [each for each, intake in intakes.items() if not self._is_full(intake)]
        if intakes and not partitions:
            return {}
        # Not to wait while half a promised stretch is here would spin: nothing else could read the rest.
        wait_millis = 0 if any(each.has_work for each in intakes.values()) else POLL_MILLIS
        try:
            read: dict[TopicPartition, list[ReadRecord]] = await consumer.getmany(
                *partitions, timeout_ms=wait_millis
            )
        except UnicodeDecodeError as error:
            if self._intakes is not intakes:
                return {}  # It is of partitions that came meanwhile, and is met again where those begin.
            # The client stops in the middle of the batch: to go on would lose the records behind it.
            places = [f"{each.partition}@{await consumer.position(each)}" for each in partitions]
            raise KafkaTopicError(
                f"Kafka topic {self._route.source!r} holds a record that cannot be read, at one of these positions "
                f"or soon after: {', '.join(places)}: the name of a header is not UTF-8 ({error}); delete it, or "
                f"move group {self.group!r} behind its batch",
                metadata={"topic": self._route.source},
            ) from None
        return read

    def _is_full(self, intake: Intake) -> bool:
        return intake.is_full(self._settings.publish_messages_max)

    async def _cut(
        self, consumer: AIOKafkaConsumer, intakes: Intakes
    ) -> dict[TopicPartition, Stretch]:
        found = {}
        for partition, intake in intakes.items():
            try:
                position = await consumer.position(partition)
            except IllegalStateError:
                continue  # It was taken away meanwhile.
            stretch = intake.next_stretch(
                position,
                messages_max=self._settings.publish_messages_max,
                bytes_max=self._settings.publish_bytes_max,
            )
            if stretch is not None:
                found[partition] = stretch
        return found

    async def _publish(self, partition: TopicPartition, stretch: Stretch, intake: Intake) -> None:
        place = Place(self._connection.cluster, partition.topic, partition.partition)
        await self._arrival.publish(place, stretch.records)
        intake.published(stretch)

    async def _commit(
        self, consumer: AIOKafkaConsumer, intakes: Intakes, stretches: dict[TopicPartition, Stretch]
    ) -> bool:
        """Commit what is done and what comes next; False = the partitions are not ours any more.

        Raises:
            KafkaUnreachableError: It could not be committed in `patience_seconds`.
        """
        commits: dict[TopicPartition, Commit] = {}
        for partition, intake in intakes.items():
            stretch = stretches.get(partition)
            commit = intake.idle_commit() if stretch is None else stretch.commit
            if commit is not None:
                commits[partition] = commit
        if commits and self._intakes is intakes:
            seconds = self._connection.patience_seconds
            try:
                async with asyncio.timeout(seconds):
                    await consumer.commit({each: tuple(commit) for each, commit in commits.items()})
            except (CommitFailedError, IllegalStateError):
                return False
            except TimeoutError:
                raise KafkaUnreachableError(
                    f"offsets of group {self.group!r} could not be committed for {seconds:g} s"
                ) from None
            for partition, commit in commits.items():
                intakes[partition].committed(commit)
        return self._intakes is intakes
