"""The bus: all topics and all subscriptions, and how they find each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_PARTITION,
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_DROP_OLDEST,
    OVERFLOW_POLICY_UNSPECIFIED,
    START_POLICY_EARLIEST,
    START_POLICY_LATEST,
    Ordering,
    OverflowPolicy,
    StartPosition,
)
from bellwire.coordinator.core.binding import (
    PATTERNS_MAX,
    check_same,
    further_that_fit,
    further_topics,
)
from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.dedupe import ProducerIds
from bellwire.coordinator.core.journal import Journal
from bellwire.coordinator.core.logs import Logs
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.ownership import Ownership
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.positions import sought, start_offset
from bellwire.coordinator.core.redelivery import Graveyard
from bellwire.coordinator.core.subscription import Subscription
from bellwire.coordinator.core.topic import Topic, TopicSettings
from bellwire.coordinator.core.topics import Topics
from bellwire.coordinator.log.records import (
    CursorRecord,
    SubscriptionDeletedRecord,
    SubscriptionRecord,
)
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    CapacityError,
    NotOwnerError,
    UnknownSubscriptionError,
)
from bellwire.wire.topic import TopicPattern, check_topic_name

ATTEMPTS_MAX: Final = 1_000


class Bus(Topics):
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
        super().__init__(
            default_settings,
            auto_create=auto_create,
            topics_max=topics_max,
            on_room=on_room,
            journal=journal,
            logs=logs,
            producer_ids=producer_ids or ProducerIds(),
            state_topic=state_topic,
        )
        self.subscriptions_max = subscriptions_max
        self.max_attempts = max_attempts
        self.named: dict[str, Subscription] = {}
        self.ephemeral: dict[Subscription, None] = {}  # A set that keeps its order.
        self._graveyard = graveyard
        self._unrecorded: list[Cursor] = []  # Restored without a record of where they stand.

    # ------------------------------------------------------------ who reads which topic

    def subscriptions(self) -> Iterable[Subscription]:
        """Iterate over named and ephemeral subscriptions."""
        yield from tuple(self.named.values())
        yield from tuple(self.ephemeral)

    def _made(self, topic: Topic) -> None:
        for subscription in self.subscriptions():
            if subscription.matches(topic.name):
                subscription.attach((partition, 0) for partition in topic.partitions)

    def _gone(self, topic: Topic) -> None:
        for subscription in self.subscriptions():
            if subscription.matches(topic.name):
                subscription.detach_topic(topic.name)

    def _ours_again(self, topic: Topic) -> None:
        for subscription in self.subscriptions():
            if not subscription.matches(topic.name):
                continue
            read = {cursor.partition for cursor in subscription.cursors}
            subscription.attach(
                (p, p.log.low_offset if subscription.name else p.log.high_watermark)
                for p in topic.partitions
                if p not in read
            )

    def share(self, ownership: Ownership) -> list[Topic]:
        """See `Topics.share`; what was restored reads of other groups' topics only what it has read before."""
        others = super().share(ownership)
        unrecorded, self._unrecorded = self._unrecorded, []
        for cursor in unrecorded:
            if cursor.partition.topic.name in self.served:
                cursor.mark()
            elif not cursor.detached:
                cursor.subscription.detach(cursor)
        return others

    def note_elsewhere(self, subscription: Subscription) -> NotOwnerError | None:
        """Note which topics of a subscription other groups own now.

        Returns:
            The refusal of one that was ours when this was noted before; None = there is none.
        """
        before = subscription.elsewhere
        gone = frozenset(p.text for p in subscription.patterns if not self.is_ours(p))
        subscription.elsewhere = gone
        if self._ownership is None or gone <= before:
            return None
        return self._ownership.refusal(min(gone - before))

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
        subscription.attach(self._starts(subscription, start, START_POLICY_LATEST))
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
            check_same(found, patterns, elsewhere, ordering, self.is_ours)
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
        starts = self._starts(subscription, start, START_POLICY_EARLIEST)
        self.note_elsewhere(subscription)
        self._stage_subscription(subscription)
        subscription.attach(starts)
        self.named[name] = subscription
        return subscription

    def _bind(self, subscription: Subscription, elsewhere: Sequence[str]) -> None:
        """Have it read topics once they are ours that it was not told of before."""
        texts = [pattern.text for pattern in subscription.patterns]
        more = further_that_fit(texts, elsewhere)
        if not more:
            return
        subscription.patterns += tuple(more)
        subscription.elsewhere |= {p.text for p in more if not self.is_ours(p)}
        self._stage_subscription(subscription)
        for pattern in more:
            if (topic := self.served.get(pattern.text)) is not None:  # The client did not know.
                self._ours_again(topic)

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
        """Bring a named subscription back; topics must be there already.

        What no record is of is read from its beginning: the crash came between topic and cursor. Where groups share
        out topics it may also be another group's, bound to and never read: the first `share` tells, before anything
        is served. Until then nothing of it is recorded, so that the next start knows no more than this one.
        """
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
        self._unrecorded += [
            c for c in subscription.cursors if c.partition.log.log_id not in cursors
        ]

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
        subscription.seek(sought(name, cursors, start))
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

    def _starts(
        self, subscription: Subscription, start: StartPosition, default_policy: int
    ) -> list[tuple[Partition, int]]:
        """Return where a new subscription begins to read each partition there is for it.

        Raises:
            CallerError: The policy is not known.
        """
        policy = start.policy or default_policy
        positions = {(p.topic, p.partition): p for p in start.positions}
        rest = start.unlisted
        return [
            (partition, start_offset(partition, policy, start.time_unix_nano, positions, rest))
            for name, topic in self.served.items()
            if subscription.matches(name)
            for partition in topic.partitions
        ]


def _read_here(subscription: Subscription) -> list[TopicPattern]:
    """Return what a subscription reads or has read here, without what others had when it was made."""
    read = {cursor.partition.topic.name for cursor in subscription.cursors}
    return [p for p in subscription.patterns if p.text not in subscription.elsewhere - read]


def _attempts(asked: int) -> int:
    if asked > ATTEMPTS_MAX:
        raise CallerError(
            f"max_attempts is {asked}, 1 to {ATTEMPTS_MAX} are allowed, 0 = the default",
            metadata={"limit": str(ATTEMPTS_MAX)},
        )
    return asked
