"""All topics there are: made, changed, deleted and, where groups of coordinators share them out, whose they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bellwire.admin.v1 import topic_pb2
from bellwire.coordinator.core.dedupe import ProducerIds
from bellwire.coordinator.core.journal import Journal
from bellwire.coordinator.core.logs import Logs
from bellwire.coordinator.core.ownership import Ownership
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.topic import LogKind, Topic, TopicSettings
from bellwire.coordinator.log.protocol import PartitionLog
from bellwire.coordinator.log.records import ProducerRecord, TopicDeletedRecord, TopicRecord
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    CapacityError,
    InvalidTopicNameError,
    TopicExistsError,
    UnknownTopicError,
)
from bellwire.wire.topic import TopicPattern, check_topic_name

__all__ = ["Topics"]

KAFKAS_OWN: Final = (
    "__",
    "_bellwire_state",
)  # Its own topics, and those of the state of every group.


class Topics(ABC):
    """Topics by name, without who reads them.

    Args:
        default_settings: What auto-created topics get.
        auto_create: Whether publishing to, or subscribing to, an unknown topic creates it.
        topics_max: Bound on topics; policy REFUSE.
        on_room: Called with a partition whose blocking cursors have moved on.
        journal: Where durable things are left to be committed.
        logs: Makes logs.
        producer_ids: Gives ids to producers.
        state_topic: Where Kafka holds the state.

    Attributes:
        topics: All there are, by name.
        served: Those that requests may name: all, unless some belong to other groups of coordinators.
        kept_by_time: Those of which messages are dropped that are too old.
        on_readable: Called with the name of a topic when more of it can be read; set by who wants to know.
    """

    def __init__(
        self,
        default_settings: TopicSettings,
        *,
        auto_create: bool,
        topics_max: int,
        on_room: Callable[[Partition], None],
        journal: Journal,
        logs: Logs,
        producer_ids: ProducerIds,
        state_topic: str,
    ) -> None:
        self.default_settings = default_settings
        self.auto_create = auto_create
        self.topics_max = topics_max
        self.topics: dict[str, Topic] = {}
        self.served = self.topics
        # Of ten thousand topics few are kept by time, and only these have to be looked at on each tick.
        self.kept_by_time: dict[str, Topic] = {}
        self.producer_ids = producer_ids
        self.on_readable: Callable[[str], None] = _nobody
        self._state_topic = state_topic
        self._on_room = on_room
        self._journal = journal
        self._logs = logs
        self._ownership: Ownership | None = None

    # ------------------------------------------------------------ who reads them

    @abstractmethod
    def _made(self, topic: Topic) -> None:
        """Let those read a new topic who want it."""

    @abstractmethod
    def _gone(self, topic: Topic) -> None:
        """Take a topic from all who read it."""

    @abstractmethod
    def _ours_again(self, topic: Topic) -> None:
        """Let those read a topic that is ours again who began while it was not."""

    # ------------------------------------------------------------ whose they are

    def share(self, ownership: Ownership) -> list[Topic]:
        """Serve only topics that are ours, from now on; to be called again when they may be others than before.

        Of the others, what is there stays and named subscriptions go on to read it, but no request may name it.

        Returns:
            The others.
        """
        self._ownership = ownership
        before = self.served
        self.served = {name: topic for name, topic in self.topics.items() if ownership.owns(name)}
        for name, topic in self.served.items():
            if name not in before:
                self._ours_again(topic)
        return [topic for name, topic in self.topics.items() if name not in self.served]

    def check_ours(self, name: str) -> None:
        """See that a topic is ours.

        Raises:
            NotOwnerError: It belongs to another group.
        """
        if self._ownership is not None and not self._ownership.owns(name):
            raise self._ownership.refusal(name)

    def is_ours(self, pattern: TopicPattern) -> bool:
        """Tell whether a pattern may mean topics that are ours."""
        shared = self._ownership
        return shared is None or not pattern.literal or shared.owns(pattern.text)

    def check_all_ours(self, patterns: Iterable[TopicPattern]) -> None:
        """See that all topics are ours that patterns name literally; of the others they mean those that are.

        Raises:
            NotOwnerError: One belongs to another group.
        """
        for pattern in patterns:
            if pattern.literal:
                self.check_ours(pattern.text)

    # ------------------------------------------------------------ what there is

    def topic(self, name: str, now_ns: int) -> Topic:
        """Return a topic, creating it when that is allowed.

        Raises:
            InvalidTopicNameError, UnknownTopicError, CapacityError, NotOwnerError
        """
        topic = self.served.get(name)
        if topic is not None:
            return topic
        check_topic_name(name)
        self.check_ours(name)
        if not self.auto_create:
            raise UnknownTopicError(
                f"topic {name!r} does not exist and auto-create is off: create it with "
                f"`bellwire topics create {name}`",
                metadata={"topic": name},
            )
        return self.create_topic(name, self.default_settings, now_ns)

    def _on_readable(self, topic: str) -> None:
        self.on_readable(topic)

    def existing_topic(self, name: str) -> Topic:
        """Return a topic that exists.

        Raises:
            InvalidTopicNameError, UnknownTopicError, NotOwnerError
        """
        topic = self.served.get(check_topic_name(name))
        if topic is None:
            self.check_ours(name)
            raise UnknownTopicError(f"topic {name!r} does not exist", metadata={"topic": name})
        return topic

    def create_topic(self, name: str, settings: TopicSettings, now_ns: int) -> Topic:
        """Create a topic; the same call again returns the topic there is.

        Raises:
            InvalidTopicNameError, CapacityError, NotOwnerError
            TopicExistsError: It exists with other settings.
        """
        check_topic_name(name)
        self.check_ours(name)
        found = self.topics.get(name)
        if found is not None:
            if found.settings != settings:
                raise TopicExistsError(
                    f"topic {name!r} exists with other settings: {found.settings}",
                    metadata={"topic": name},
                )
            return found
        if len(self.topics) >= self.topics_max:
            raise CapacityError(
                f"there are {len(self.topics)} topics, limit is {self.topics_max}: delete some, or "
                "use message keys instead of topics",
                metadata={"limit": str(self.topics_max)},
            )
        if settings.log is LogKind.KAFKA and (
            name == self._state_topic or name.startswith(KAFKAS_OWN)
        ):
            raise InvalidTopicNameError(
                f"topic {name!r} is not allowed in Kafka, where a topic of this name holds what is not messages",
                metadata={"topic": name},
            )
        if settings.log is not LogKind.MEMORY:
            self._journal.check_writable()
        logs = self._logs.new(settings)
        topic = self.topics[name] = Topic(
            name,
            settings,
            now_ns,
            self._on_room,
            logs,
            self._journal,
            self.producer_ids,
            on_readable=self._on_readable,
        )
        self.served[name] = topic
        self._note_retention(topic)
        if topic.is_durable:
            self._journal.stage(topic.record(), undo=lambda _: self._forget_topic(topic))
        self._made(topic)
        return topic

    def restore_topic(
        self, record: TopicRecord, logs: Sequence[PartitionLog], producers: Iterable[ProducerRecord]
    ) -> None:
        """Bring a durable topic back as the store knows it."""
        described = topic_pb2.Topic.FromString(record.settings)
        topic = self.topics[record.name] = Topic(
            record.name,
            TopicSettings.from_wire(described),
            described.create_time_unix_nano,
            self._on_room,
            logs,
            self._journal,
            self.producer_ids,
            producers,
            self._on_readable,
        )
        self._note_retention(topic)

    def update_topic(self, name: str, settings: TopicSettings) -> Topic:
        """Change a topic's retention, overflow policy and priority class.

        Raises:
            UnknownTopicError: There is none.
            CallerError: Partitions or log would change: that would move keys, or lose messages.
        """
        topic = self.existing_topic(name)
        old = topic.settings
        if (settings.partition_count, settings.log) != (old.partition_count, old.log):
            raise CallerError(
                f"topic {name!r} has {old.partition_count} partitions and log {old.log.name}: these cannot "
                "change; create another topic and replay into it",
                metadata={"topic": name},
            )
        if topic.is_durable:
            self._journal.check_writable()
        topic.settings = settings
        self._note_retention(topic)
        if topic.is_durable:
            self._stage_topic(topic)
        for partition in topic.partitions:
            partition.log.retain(
                settings.retention_messages, settings.retention_bytes, settings.retention_seconds
            )
            self._on_room(partition)
        return topic

    def _note_retention(self, topic: Topic) -> None:
        if topic.settings.retention_seconds:
            self.kept_by_time[topic.name] = topic
        else:
            self.kept_by_time.pop(topic.name, None)

    def _stage_topic(self, topic: Topic) -> None:
        """Have changed settings recorded; tried again with each group until they are."""

        def undo(_: BellwireError | None) -> None:
            if self._journal.broken is None and self.topics.get(topic.name) is topic:
                self._stage_topic(topic)

        self._journal.stage(topic.record(), undo=undo)

    def delete_topic(self, name: str) -> None:
        """Delete a topic with its messages; deliveries in flight may still be settled.

        Raises:
            UnknownTopicError: There is none.
        """
        topic = self.existing_topic(name)
        if topic.is_durable:
            self._journal.check_writable()
        self._forget_topic(topic)
        if topic.is_durable:
            self._stage_deletion(topic)

    def _forget_topic(self, topic: Topic) -> None:
        if self.topics.get(topic.name) is topic:
            del self.topics[topic.name]
            self.served.pop(topic.name, None)
            self.kept_by_time.pop(topic.name, None)
        for partition in topic.partitions:
            partition.retire()
        self._gone(topic)

    def _stage_deletion(self, topic: Topic) -> None:
        """Have it deleted from the store; tried again with each group until it is."""

        def undo(_: BellwireError | None) -> None:
            if self._journal.broken is None:
                self._stage_deletion(topic)

        log_ids = tuple(partition.log.log_id for partition in topic.partitions)
        self._journal.stage(TopicDeletedRecord(topic.name, log_ids), undo=undo)


def _nobody(_: str) -> None:
    """Nobody wants to know."""
