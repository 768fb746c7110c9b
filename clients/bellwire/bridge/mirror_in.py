"""One route from Kafka to the bus: offsets are committed when the bus has acknowledged the messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from bellwire.bridge.arrival import Arrival
from bellwire.bridge.connection import Connection, close_quietly, persevere
from bellwire.bridge.errors import KafkaTopicError, KafkaUnreachableError
from bellwire.bridge.intake import Commit, Intake, Place, ReadRecord, Stretch
from bellwire.bridge.route import Route
from bellwire.bridge.topics import Topics

__all__ = ["MirrorIn"]

POLL_MILLIS: Final = 200  # How long an idle consumer waits before it looks whether it should stop.
HEARTBEAT_MILLIS: Final = 1_000  # A member hears of a rebalance with its heartbeat.
REBALANCE_MILLIS: Final = 10_000  # A member that died while it joined holds the group up so long.
NO_OFFSET: Final = -1


class MirrorIn(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Reads a topic as a member of the group `NAME.TOPIC`, round by round.

    In each round it commits where the stretches end, publishes them, and goes on: `intake` says why. What is
    held is bounded by one stretch and one poll a partition.
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
        self._intakes: dict[TopicPartition, Intake] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Mirror until told to stop; the round under way is finished.

        Raises:
            BellwireError: What ended it: nothing is lost, a later start goes on from here.
        """
        wanted = self._settings.partitions
        await self._topics.partition_count(self._route.source, wanted=wanted)
        consumer = await persevere(self._settings, self._started)
        try:
            while not stop.is_set():
                await self._round(consumer)
            await self._commit(consumer, {})
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
            rebalance_timeout_ms=REBALANCE_MILLIS,
        )
        consumer.subscribe([self._route.source], listener=self)
        try:
            await consumer.start()
        except BaseException:
            await close_quietly(consumer.stop())
            raise
        return consumer

    # ------------------------------------------------------------ the group

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Forget what is under way: whoever gets the partitions publishes it under the same request ids."""
        self._intakes.clear()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing: where to begin is asked before the first round."""

    async def _begin(self, missing: list[TopicPartition]) -> None:
        found = await persevere(
            self._settings,
            lambda: self._connection.admin.list_consumer_group_offsets(
                self.group, partitions=missing
            ),
        )
        for partition in missing:
            offset, metadata = found.get(partition, (NO_OFFSET, ""))
            self._intakes[partition] = Intake(
                None if offset == NO_OFFSET else offset, metadata or ""
            )

    # ------------------------------------------------------------ a round

    async def _round(self, consumer: AIOKafkaConsumer) -> None:
        assigned = consumer.assignment()
        missing = [partition for partition in assigned if partition not in self._intakes]
        if missing:
            await self._begin(missing)
        hungry = [each for each in assigned if not self._is_full(each)]
        if hungry or not assigned:
            # Not to wait while half a promised stretch is here would spin: nothing else could read the rest.
            timeout = 0 if any(each.has_work for each in self._intakes.values()) else POLL_MILLIS
            read = await self._read(consumer, hungry, timeout)
            for partition, records in read.items():
                if partition in self._intakes:
                    self._intakes[partition].add(records)
        stretches = await self._cut(consumer)
        if not await self._commit(consumer, stretches):
            self._intakes.clear()  # The group has changed: the partitions come anew.
            return
        held = dict(self._intakes)
        async with asyncio.TaskGroup() as group:
            for partition, stretch in stretches.items():
                group.create_task(self._publish(partition, stretch, held[partition]))

    async def _read(
        self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition], wait_millis: int
    ) -> dict[TopicPartition, list[ReadRecord]]:
        try:
            read: dict[TopicPartition, list[ReadRecord]] = await consumer.getmany(
                *partitions, timeout_ms=wait_millis
            )
        except UnicodeDecodeError as error:
            # The client stops in the middle of the batch: to go on would lose the records behind it.
            places = [f"{each.partition}@{await consumer.position(each)}" for each in partitions]
            raise KafkaTopicError(
                f"Kafka topic {self._route.source!r} holds a record that cannot be read, at one of these positions "
                f"or soon after: {', '.join(places)}: the name of a header is not UTF-8 ({error}); delete it, or "
                f"move group {self.group!r} behind its batch",
                metadata={"topic": self._route.source},
            ) from None
        return read

    def _is_full(self, partition: TopicPartition) -> bool:
        intake = self._intakes.get(partition)
        return intake is not None and intake.is_full(self._settings.publish_messages_max)

    async def _cut(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, Stretch]:
        found = {}
        for partition, intake in tuple(self._intakes.items()):
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
        self, consumer: AIOKafkaConsumer, stretches: dict[TopicPartition, Stretch]
    ) -> bool:
        """Commit what is done and what comes next; False = the partitions are not ours any more.

        Raises:
            KafkaUnreachableError: It could not be committed in `patience_seconds`.
        """
        commits: dict[TopicPartition, Commit] = {}
        for partition, intake in self._intakes.items():
            stretch = stretches.get(partition)
            commit = intake.idle_commit() if stretch is None else stretch.commit
            if commit is not None:
                commits[partition] = commit
        if not commits:
            return True
        held = dict(self._intakes)
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
            held[partition].committed(commit)
        return self._intakes.keys() >= stretches.keys()
