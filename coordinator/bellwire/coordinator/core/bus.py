"""The bus: all topics and all subscriptions, and how they find each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bellwire.admin.v1 import topic_pb2
from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_PARTITION,
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_DROP_OLDEST,
    OVERFLOW_POLICY_UNSPECIFIED,
    START_POLICY_EARLIEST,
    START_POLICY_LATEST,
    START_POLICY_POSITIONS,
    START_POLICY_TIME,
    START_POLICY_UNSPECIFIED,
    Ordering,
    OverflowPolicy,
    StartPosition,
)
from bellwire.coordinator.core.binding import PATTERNS_MAX, check_same, further_topics
from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.dedupe import ProducerIds
from bellwire.coordinator.core.journal import Journal
from bellwire.coordinator.core.logs import Logs
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.ownership import Ownership
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.subscription import Graveyard, Subscription
from bellwire.coordinator.core.topic import LogKind, Topic, TopicSettings
from bellwire.coordinator.log.protocol import PartitionLog
from bellwire.coordinator.log.records import (
    CursorRecord,
    ProducerRecord,
    SubscriptionDeletedRecord,
    SubscriptionRecord,
    TopicDeletedRecord,
    TopicRecord,
)
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    CapacityError,
    InvalidTopicNameError,
    NotOwnerError,
    OffsetOutOfRangeError,
    TopicExistsError,
    UnknownSubscriptionError,
    UnknownTopicError,
)
from bellwire.wire.topic import TopicPattern, check_topic_name

ATTEMPTS_MAX: Final = 1_000
KAFKAS_OWN: Final = (
    "__",
    "_bellwire_state",
)  # Its own topics, and those of the state of every group.


class Bus:
    """Topics by name and subscriptions by name.

    Args:
        default_settings: What auto-created topics get.
        auto_create: Whether publishing to, or subscribing to, an unknown topic creates it.
        topics_max: Bound on topics; policy REFUSE.
        subscriptions_max: Bound on named and ephemeral subscriptions together; policy REFUSE.
        max_attempts: For named subscriptions that do not choose.
        on_room: Called with a partition whose blocking cursors have moved on.
        journal: Where durable things are left to be committed.
        logs: Makes logs.
        graveyard: Where messages go that are given up.
        producer_ids: Gives ids to producers.
        state_topic: Where Kafka holds the state.

    Attributes:
        topics: All there are, by name.
        served: Those that requests may name: all, unless some belong to other groups of coordinators.
        on_readable: Called with the name of a topic when more of it can be read; set by who wants to know.
    """

    def __init__(
        self,
        default_settings: TopicSettings,
        *,
        auto_create: bool,
        topics_max: int,
        subscriptions_max: int,
        max_attempts: int,
        on_room: Callable[[Partition], None],
        journal: Journal,
        logs: Logs,
        graveyard: Graveyard,
        producer_ids: ProducerIds | None = None,
        state_topic: str = "",
    ) -> None:
        self.default_settings = default_settings
        self.auto_create = auto_create
        self.topics_max = topics_max
        self.subscriptions_max = subscriptions_max
        self.max_attempts = max_attempts
        self.topics: dict[str, Topic] = {}
        self.served = self.topics
        # Of ten thousand topics few are kept by time, and only these have to be looked at on each tick.
        self.kept_by_time: dict[str, Topic] = {}
        self.named: dict[str, Subscription] = {}
        self.ephemeral: dict[Subscription, None] = {}  # A set that keeps its order.
        self.producer_ids = producer_ids or ProducerIds()
        self._state_topic = state_topic
        self.on_readable: Callable[[str], None] = _nobody
        self._on_room = on_room
        self._journal = journal
        self._logs = logs
        self._graveyard = graveyard
        self._ownership: Ownership | None = None

    # ------------------------------------------------------------ whose topics

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
                self._attach_again(topic)
        return [topic for name, topic in self.topics.items() if name not in self.served]

    def _attach_again(self, topic: Topic) -> None:
        """Have a topic that is ours again read by subscriptions that began while it was not."""
        for subscription in self.subscriptions():
            if not subscription.matches(topic.name):
                continue
            read = {cursor.partition for cursor in subscription.cursors}
            subscription.attach(
                (p, p.log.low_offset if subscription.name else p.log.high_watermark)
                for p in topic.partitions
                if p not in read
            )

    def check_ours(self, name: str) -> None:
        """See that a topic is ours.

        Raises:
            NotOwnerError: It belongs to another group.
        """
        if self._ownership is not None and not self._ownership.owns(name):
            raise self._ownership.refusal(name)

    def _is_ours(self, pattern: TopicPattern) -> bool:
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

    def note_elsewhere(self, subscription: Subscription) -> NotOwnerError | None:
        """Note which topics of a subscription other groups own now.

        Returns:
            The refusal of one that was ours when this was noted before; None = there is none.
        """
        before = subscription.elsewhere
        gone = frozenset(p.text for p in subscription.patterns if not self._is_ours(p))
        subscription.elsewhere = gone
        if self._ownership is None or gone <= before:
            return None
        return self._ownership.refusal(min(gone - before))

    # ------------------------------------------------------------ topics

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
        for subscription in self.subscriptions():
            if subscription.matches(name):
                subscription.attach((partition, 0) for partition in topic.partitions)
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
        for subscription in self.subscriptions():
            if subscription.matches(topic.name):
                subscription.detach_topic(topic.name)

    def _stage_deletion(self, topic: Topic) -> None:
        """Have it deleted from the store; tried again with each group until it is."""

        def undo(_: BellwireError | None) -> None:
            if self._journal.broken is None:
                self._stage_deletion(topic)

        log_ids = tuple(partition.log.log_id for partition in topic.partitions)
        self._journal.stage(TopicDeletedRecord(topic.name, log_ids), undo=undo)

    def subscriptions(self) -> Iterable[Subscription]:
        """Iterate over named and ephemeral subscriptions."""
        yield from tuple(self.named.values())
        yield from tuple(self.ephemeral)

    # ------------------------------------------------------------ subscriptions

    def open_ephemeral(
        self,
        patterns: Sequence[str],
        start: StartPosition,
        overflow_policy: OverflowPolicy.ValueType,
        now_ns: int,
        label: str,
    ) -> Subscription:
        """Make a subscription that lives as long as its one member.

        Raises:
            NotOwnerError: One of the topics belongs to another group.
            CallerError: Topics, start or policy are not usable.
        """
        self._check_room()
        subscription = Subscription(
            "",
            self._patterns(patterns, now_ns),
            ORDERING_PARTITION,
            self._overflow(overflow_policy, patterns, OVERFLOW_POLICY_DROP_OLDEST),
            label,
            graveyard=self._graveyard,
        )
        self._attach_all(subscription, start, START_POLICY_LATEST)
        self.ephemeral[subscription] = None
        return subscription

    def open_named(
        self,
        name: str,
        patterns: Sequence[str],
        start: StartPosition,
        ordering: Ordering.ValueType,
        overflow_policy: OverflowPolicy.ValueType,
        now_ns: int,
        *,
        default_ordering: Ordering.ValueType = ORDERING_PARTITION,
        max_attempts: int = 0,
        elsewhere: Sequence[str] = (),
    ) -> Subscription:
        """Return the subscription of that name, made when new; its cursors stay when members leave.

        Args:
            name: Of the subscription.
            patterns: Topics and patterns that are asked for here; none = those it has.
            start: Where a new one begins.
            ordering: How deliveries are spread; UNSPECIFIED = as it is.
            overflow_policy: Of a new one.
            now_ns: Time of topics that are created.
            default_ordering: Of a new one that does not choose.
            max_attempts: Of a new one; 0 = the default.
            elsewhere: Topics that the same name reads in other groups: it is bound to them, and reads them once they
                are ours.

        Raises:
            SubscriptionMismatchError: It exists with other topics or another ordering.
            NotOwnerError: It names a topic of another group.
            CallerError: Name, topics, start or policy are not usable.
        """
        check_topic_name(name)
        found = self.named.get(name)
        if found is not None:
            # Of a topic that went to another group its readers are told to ask there; the others are read on.
            self.check_all_ours(map(TopicPattern, patterns) if patterns else _read_here(found))
            check_same(found, patterns, elsewhere, ordering, self._is_ours)
            self._bind(found, elsewhere)
            return found
        if not patterns:
            raise UnknownSubscriptionError(
                f"subscription {name!r} does not exist; name its topics to create it",
                metadata={"subscription": name},
            )
        if ordering not in Ordering.values():
            raise CallerError(
                f"ordering {ordering} is not known: use PARTITION or NONE",
                metadata={"ordering": str(ordering)},
            )
        self._check_room()
        subscription = Subscription(
            name,
            self._patterns(patterns, now_ns) + further_topics(patterns, elsewhere),
            ordering or default_ordering,
            self._overflow(overflow_policy, patterns, OVERFLOW_POLICY_BLOCK),
            max_attempts=_attempts(max_attempts) or self.max_attempts,
            graveyard=self._graveyard,
        )
        self.note_elsewhere(subscription)
        self._stage_subscription(subscription)
        self._attach_all(subscription, start, START_POLICY_EARLIEST)
        self.named[name] = subscription
        return subscription

    def _bind(self, subscription: Subscription, elsewhere: Sequence[str]) -> None:
        """Have it read topics once they are ours that it was not told of before."""
        texts = [pattern.text for pattern in subscription.patterns]
        more = further_topics(texts, elsewhere)
        if not more:
            return
        subscription.patterns += tuple(more)
        subscription.elsewhere |= {p.text for p in more if not self._is_ours(p)}
        self._stage_subscription(subscription)
        for pattern in more:
            if (topic := self.served.get(pattern.text)) is not None:  # The client did not know.
                self._attach_again(topic)

    def _stage_subscription(self, subscription: Subscription) -> None:
        """Have it recorded; tried again with each group until it is."""
        if self._journal.broken is not None:
            return

        def undo(_: BellwireError | None) -> None:
            if self.named.get(subscription.name) is subscription:
                self._stage_subscription(subscription)

        self._journal.stage(subscription.record(), undo=undo)

    def restore_subscription(
        self, record: SubscriptionRecord, cursors: dict[int, CursorRecord]
    ) -> None:
        """Bring a named subscription back; topics must be there already."""
        subscription = Subscription(
            record.name,
            [TopicPattern(text) for text in record.patterns],
            Ordering.ValueType(record.ordering),
            OverflowPolicy.ValueType(record.overflow_policy),
            max_attempts=record.max_attempts,
            graveyard=self._graveyard,
        )
        self.named[record.name] = subscription
        subscription.attach(
            (
                (partition, partition.log.low_offset)
                for name, topic in self.topics.items()
                if subscription.matches(name)
                for partition in topic.partitions
            ),
            cursors,
        )

    def delete_subscription(self, name: str) -> None:
        """Delete a named subscription with its cursors.

        Raises:
            UnknownSubscriptionError: There is none.
            CallerError: It has members.
        """
        subscription = self.existing_subscription(name)
        members = len(subscription.members) + len(subscription.retired)
        if members:
            raise CallerError(
                f"subscription {name!r} has {members} members: stop them first",
                metadata={"subscription": name, "members": str(members)},
            )
        self._journal.check_writable()
        del self.named[name]
        subscription.detach_all()
        self._stage_subscription_deletion(name)

    def _stage_subscription_deletion(self, name: str) -> None:
        def undo(_: BellwireError | None) -> None:
            if self._journal.broken is None and name not in self.named:
                self._stage_subscription_deletion(name)

        self._journal.stage(SubscriptionDeletedRecord(name), undo=undo)

    def existing_subscription(self, name: str) -> Subscription:
        """Return a named subscription.

        Raises:
            UnknownSubscriptionError: There is none.
        """
        found = self.named.get(name)
        if found is None:
            raise UnknownSubscriptionError(
                f"subscription {name!r} does not exist", metadata={"subscription": name}
            )
        return found

    def seek(self, name: str, start: StartPosition, topics: Sequence[str] = ()) -> Subscription:
        """Move the cursors of a named subscription; nothing moves when it is refused.

        Raises:
            UnknownSubscriptionError, UnknownTopicError: There is none.
            OffsetOutOfRangeError: A position is outside its log.
        """
        subscription = self.existing_subscription(name)
        wanted = {self.existing_topic(topic).name for topic in topics}
        cursors = [
            c for c in subscription.cursors if not wanted or c.partition.topic.name in wanted
        ]
        if start.policy == START_POLICY_UNSPECIFIED:
            raise CallerError("seek names no position: use EARLIEST, LATEST, TIME or POSITIONS")
        if start.policy == START_POLICY_POSITIONS and not start.positions:
            raise CallerError(
                "seek to POSITIONS lists none: give the next offset of each partition"
            )
        positions = {(p.topic, p.partition): p for p in start.positions}
        if start.policy == START_POLICY_POSITIONS:
            cursors = [c for c in cursors if _key(c) in positions]
            if len(cursors) != len(positions):
                known = {_key(cursor) for cursor in cursors}
                topic, partition = sorted(set(positions) - known)[0]
                raise CallerError(
                    f"subscription {name!r} does not read partition {partition} of {topic!r}",
                    metadata={"topic": topic, "partition": str(partition)},
                )
            for cursor in cursors:
                _check_in_range(cursor.partition, positions[_key(cursor)])
        subscription.seek(
            [
                (c, start_offset(c.partition, start.policy, start.time_unix_nano, positions))
                for c in cursors
            ]
        )
        return subscription

    def leave(self, member: Member, *, lost: bool = False) -> None:
        """Remove a member, and its subscription when that was ephemeral; see `Subscription.leave`."""
        subscription = member.subscription
        subscription.leave(member, lost=lost)
        if not subscription.name:
            subscription.detach_all()
            self.ephemeral.pop(subscription, None)

    def _check_room(self) -> None:
        count = len(self.named) + len(self.ephemeral)
        if count >= self.subscriptions_max:
            raise CapacityError(
                f"there are {count} subscriptions, limit is {self.subscriptions_max}",
                metadata={"limit": str(self.subscriptions_max)},
            )

    def _patterns(self, texts: Sequence[str], now_ns: int) -> list[TopicPattern]:
        if not 1 <= len(texts) <= PATTERNS_MAX:
            raise CallerError(
                f"{len(texts)} topics were given, 1 to {PATTERNS_MAX} are allowed: use a pattern "
                "such as 'signals.>'",
                metadata={"topics": str(len(texts))},
            )
        patterns = [TopicPattern(text) for text in texts]
        for pattern in patterns:
            if pattern.literal:
                self.topic(pattern.text, now_ns)
        return patterns

    def _overflow(
        self,
        asked: OverflowPolicy.ValueType,
        patterns: Sequence[str],
        default: OverflowPolicy.ValueType,
    ) -> OverflowPolicy.ValueType:
        policy = asked
        if policy == OVERFLOW_POLICY_UNSPECIFIED and len(patterns) == 1:
            topic = self.topics.get(patterns[0])
            policy = topic.settings.overflow_policy if topic is not None else policy
        if policy not in OverflowPolicy.values():
            raise CallerError(
                f"overflow policy {policy} is not known: use BLOCK, DROP_OLDEST, CONFLATE or DISCONNECT",
                metadata={"overflow_policy": str(policy)},
            )
        return policy or default

    def _attach_all(
        self, subscription: Subscription, start: StartPosition, default_policy: int
    ) -> None:
        policy = start.policy or default_policy
        positions = {(p.topic, p.partition): p for p in start.positions}
        rest = start.unlisted
        subscription.attach(
            (partition, start_offset(partition, policy, start.time_unix_nano, positions, rest))
            for name, topic in self.served.items()
            if subscription.matches(name)
            for partition in topic.partitions
        )


def _read_here(subscription: Subscription) -> list[TopicPattern]:
    """Return what a subscription reads or has read here, without what others had when it was made."""
    read = {cursor.partition.topic.name for cursor in subscription.cursors}
    return [p for p in subscription.patterns if p.text not in subscription.elsewhere - read]


def _nobody(_: str) -> None:
    """Nobody wants to know."""


def start_offset(
    partition: Partition,
    policy: int,
    time_unix_nano: int,
    positions: dict[tuple[str, int], Position],
    unlisted: int = START_POLICY_UNSPECIFIED,
) -> int:
    """Return the offset at which a reader of a partition begins.

    Args:
        partition: What is read.
        policy: Which rule.
        time_unix_nano: For TIME.
        positions: For POSITIONS.
        unlisted: The rule for a partition that these do not have.

    Raises:
        CallerError: The policy is not known.
    """
    log = partition.log
    if policy == START_POLICY_POSITIONS:
        position = positions.get((partition.topic.name, partition.index))
        if position is not None:
            if position.log_id not in (0, log.log_id):
                return log.low_offset
            return min(max(position.offset, log.low_offset), log.high_watermark)
        policy = unlisted
    if policy == START_POLICY_EARLIEST:
        return log.low_offset
    if policy == START_POLICY_TIME:
        return min(log.find_time(time_unix_nano), log.high_watermark)
    if policy in (START_POLICY_UNSPECIFIED, START_POLICY_LATEST):
        return log.high_watermark
    raise CallerError(
        f"start policy {policy} is not known: use EARLIEST, LATEST, TIME or, not for `unlisted`, POSITIONS",
        metadata={"policy": str(policy)},
    )


def _key(cursor: Cursor) -> tuple[str, int]:
    return cursor.partition.topic.name, cursor.partition.index


def _check_in_range(partition: Partition, position: Position) -> None:
    log = partition.log
    if position.log_id not in (0, log.log_id):
        raise OffsetOutOfRangeError(
            f"position names log {position.log_id}, partition {partition.index} of {partition.topic.name!r} "
            f"is now log {log.log_id}: its offsets are others; seek by time",
            metadata={"log_id": str(log.log_id)},
        )
    if not log.low_offset <= position.offset <= log.high_watermark:
        raise OffsetOutOfRangeError(
            f"offset {position.offset} is outside partition {partition.index} of {partition.topic.name!r}: "
            f"a cursor can stand at {log.low_offset} to {log.high_watermark}",
            metadata={"low_offset": str(log.low_offset), "high_watermark": str(log.high_watermark)},
        )


def _attempts(asked: int) -> int:
    if asked > ATTEMPTS_MAX:
        raise CallerError(
            f"max_attempts is {asked}, 1 to {ATTEMPTS_MAX} are allowed, 0 = the default",
            metadata={"limit": str(ATTEMPTS_MAX)},
        )
    return asked


def positions_of(subscription: Subscription) -> list[Position]:
    """Return the next offset to deliver, per partition."""
    return [
        Position(
            topic=c.partition.topic.name,
            partition=c.partition.index,
            offset=c.next_offset,
            log_id=c.partition.log.log_id,
        )
        for c in subscription.cursors
    ]
