"""The bus: all topics and all subscriptions, and how they find each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_PARTITION,
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_CONFLATE,
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
from bellwire.coordinator.core.dedupe import ProducerIds
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.subscription import Subscription
from bellwire.coordinator.core.topic import Topic, TopicSettings
from bellwire.wire.errors import (
    CallerError,
    CapacityError,
    NotImplementedYetError,
    SubscriptionMismatchError,
    TopicExistsError,
    UnknownSubscriptionError,
    UnknownTopicError,
)
from bellwire.wire.topic import TopicPattern, check_topic_name

PATTERNS_MAX: Final = 64


class Bus:
    """Topics by name and subscriptions by name.

    Args:
        default_settings: What auto-created topics get.
        auto_create: Whether publishing to, or subscribing to, an unknown topic creates it.
        topics_max: Bound on topics; policy REFUSE.
        subscriptions_max: Bound on named and ephemeral subscriptions together; policy REFUSE.
        on_room: Called with a partition whose blocking cursors have moved on.
    """

    def __init__(
        self,
        default_settings: TopicSettings,
        *,
        auto_create: bool,
        topics_max: int,
        subscriptions_max: int,
        on_room: Callable[[Partition], None],
    ) -> None:
        self.default_settings = default_settings
        self.auto_create = auto_create
        self.topics_max = topics_max
        self.subscriptions_max = subscriptions_max
        self.topics: dict[str, Topic] = {}
        self.named: dict[str, Subscription] = {}
        self.ephemeral: set[Subscription] = set()
        self.producer_ids = ProducerIds()
        self._on_room = on_room

    # ------------------------------------------------------------ topics

    def topic(self, name: str, now_ns: int) -> Topic:
        """Return a topic, creating it when that is allowed.

        Raises:
            InvalidTopicNameError, UnknownTopicError, CapacityError
        """
        topic = self.topics.get(name)
        if topic is not None:
            return topic
        check_topic_name(name)
        if not self.auto_create:
            raise UnknownTopicError(
                f"topic {name!r} does not exist and auto-create is off: create it with "
                f"`bellwire topics create {name}`",
                metadata={"topic": name},
            )
        return self.create_topic(name, self.default_settings, now_ns)

    def existing_topic(self, name: str) -> Topic:
        """Return a topic that exists.

        Raises:
            InvalidTopicNameError, UnknownTopicError
        """
        topic = self.topics.get(check_topic_name(name))
        if topic is None:
            raise UnknownTopicError(f"topic {name!r} does not exist", metadata={"topic": name})
        return topic

    def create_topic(self, name: str, settings: TopicSettings, now_ns: int) -> Topic:
        """Create a topic; the same call again returns the topic there is.

        Raises:
            InvalidTopicNameError, CapacityError
            TopicExistsError: It exists with other settings.
        """
        check_topic_name(name)
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
        topic = self.topics[name] = Topic(name, settings, now_ns, self._on_room, self.producer_ids)
        for subscription in self.subscriptions():
            if subscription.matches(name):
                subscription.attach((partition, 0) for partition in topic.partitions)
        return topic

    def delete_topic(self, name: str) -> None:
        """Delete a topic with its messages; deliveries in flight may still be settled.

        Raises:
            UnknownTopicError: There is none.
        """
        topic = self.existing_topic(name)
        del self.topics[topic.name]
        for subscription in self.subscriptions():
            if subscription.matches(name):
                subscription.detach_topic(name)

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
            CallerError: Topics, start or policy are not usable.
        """
        self._check_room()
        subscription = Subscription(
            "",
            self._patterns(patterns, now_ns),
            ORDERING_PARTITION,
            self._overflow(overflow_policy, patterns, OVERFLOW_POLICY_DROP_OLDEST),
            label,
        )
        self._attach_all(subscription, start, START_POLICY_LATEST)
        self.ephemeral.add(subscription)
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
    ) -> Subscription:
        """Return the subscription of that name, made when new; its cursors stay when members leave.

        Raises:
            SubscriptionMismatchError: It exists with other topics or another ordering.
            CallerError: Name, topics, start or policy are not usable.
        """
        check_topic_name(name)
        found = self.named.get(name)
        if found is not None:
            _check_same(found, patterns, ordering)
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
            self._patterns(patterns, now_ns),
            ordering or default_ordering,
            self._overflow(overflow_policy, patterns, OVERFLOW_POLICY_BLOCK),
        )
        self._attach_all(subscription, start, START_POLICY_EARLIEST)
        self.named[name] = subscription
        return subscription

    def leave(self, member: Member) -> None:
        """Remove a member, and its subscription when that was ephemeral."""
        subscription = member.subscription
        subscription.leave(member)
        if not subscription.name:
            subscription.detach_all()
            self.ephemeral.discard(subscription)

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
        if policy == OVERFLOW_POLICY_CONFLATE:
            raise NotImplementedYetError(
                "overflow policy CONFLATE is not served yet: use BLOCK, DROP_OLDEST or DISCONNECT"
            )
        if policy not in OverflowPolicy.values():
            raise CallerError(
                f"overflow policy {policy} is not known: use BLOCK, DROP_OLDEST or DISCONNECT",
                metadata={"overflow_policy": str(policy)},
            )
        return policy or default

    def _attach_all(
        self, subscription: Subscription, start: StartPosition, default_policy: int
    ) -> None:
        policy = start.policy or default_policy
        positions = {(p.topic, p.partition): p for p in start.positions}
        subscription.attach(
            (partition, _start_offset(partition, policy, start.time_unix_nano, positions))
            for name, topic in self.topics.items()
            if subscription.matches(name)
            for partition in topic.partitions
        )


def _start_offset(
    partition: Partition,
    policy: int,
    time_unix_nano: int,
    positions: dict[tuple[str, int], Position],
) -> int:
    log = partition.log
    if policy == START_POLICY_EARLIEST:
        return log.low_offset
    if policy == START_POLICY_TIME:
        return log.find_time(time_unix_nano)
    if policy == START_POLICY_POSITIONS:
        position = positions.get((partition.topic.name, partition.index))
        if position is None:
            return log.next_offset
        if position.log_id not in (0, log.log_id):
            return log.low_offset
        return min(max(position.offset, log.low_offset), log.next_offset)
    if policy in (START_POLICY_UNSPECIFIED, START_POLICY_LATEST):
        return log.next_offset
    raise CallerError(
        f"start policy {policy} is not known: use EARLIEST, LATEST, TIME or POSITIONS",
        metadata={"policy": str(policy)},
    )


def _check_same(found: Subscription, patterns: Sequence[str], ordering: int) -> None:
    topics = {pattern.text for pattern in found.patterns}
    if patterns and set(patterns) != topics:
        raise SubscriptionMismatchError(
            f"subscription {found.name!r} reads {sorted(topics)}, not {sorted(patterns)}: "
            "use another name, or the same topics",
            metadata={"subscription": found.name},
        )
    if ordering and ordering != found.ordering:
        raise SubscriptionMismatchError(
            f"subscription {found.name!r} has ordering {Ordering.Name(found.ordering)}: ask for the same",
            metadata={"subscription": found.name},
        )


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
