"""What a subscription asks for, as the first frame of its streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bellwire.bus.v1.message_pb2 import CODEC_LZ4_BLOCK, CODEC_NONE, Window
from bellwire.bus.v1.subscriber_pb2 import (
    OVERFLOW_POLICY_CONFLATE,
    START_POLICY_EARLIEST,
    START_POLICY_TIME,
    Ordering,
    OverflowPolicy,
    StartPosition,
    SubscribeRequest,
    SubscribeStart,
)
from bellwire.wire.errors import CallerError
from bellwire.wire.topic import TopicPattern

FRAME_DELIVERIES_MAX: Final = 64  # The contract's limit: a frame costs more than a batch.
_START: Final = StartPosition()
_BEHIND: Final = frozenset((START_POLICY_EARLIEST, START_POLICY_TIME))


@dataclass(frozen=True, slots=True)
class SubscribeOptions:
    """What a subscription asks for.

    Attributes:
        topics: Names and patterns.
        subscription: Its name; empty = unnamed.
        client_id: Who asks, for people.
        start: Where a new cursor begins; None = the coordinator's default.
        window_messages: Messages in flight.
        window_bytes: Uncompressed bytes in flight.
        max_batch_messages: Of one delivery; 0 = as they were published.
        ordering: How deliveries are spread over the members.
        overflow_policy: What happens when this subscriber cannot keep up.
        control: Whether it has the connection of control topics.
        max_attempts: Before a message is dead-lettered; 0 = the coordinator's default.
        lease_millis: Of a delivery; 0 = as long as the stream lives.
        direct: Whether messages may come past the coordinator.
        elsewhere: Topics that the same name reads in other groups.
    """

    topics: tuple[str, ...]
    subscription: str
    client_id: str
    start: StartPosition | None
    window_messages: int
    window_bytes: int
    max_batch_messages: int
    ordering: Ordering.ValueType
    overflow_policy: OverflowPolicy.ValueType
    control: bool
    max_attempts: int = 0
    lease_millis: int = 0
    direct: bool = False
    elsewhere: tuple[str, ...] = ()

    @property
    def begins_behind(self) -> bool:
        """Whether a new cursor begins in what a topic holds already, and not at its end or where a list says."""
        return self.start is not None and self.start.policy in _BEHIND

    @property
    def begins_at_beginning(self) -> bool:
        """Whether a new cursor begins with all that a topic holds."""
        return self.start is not None and self.start.policy == START_POLICY_EARLIEST

    def concerns(self, topic: str) -> bool:
        """Tell whether a topic is asked for."""
        return any(TopicPattern(text).matches(topic) for text in self.topics)

    def start_frame(self, resume: StartPosition | None, previous_lease_id: str) -> SubscribeRequest:
        """Return the first frame of a stream.

        Args:
            resume: Where to go on, and with what is not listed where the user wants to begin; None = all of it there.
            previous_lease_id: Of the stream before; empty for the first.
        """
        return SubscribeRequest(
            start=SubscribeStart(
                subscription=self.subscription,
                topics=self.topics,
                client_id=self.client_id,
                start_position=self._begin(resume),
                window=Window(messages=self.window_messages, bytes=self.window_bytes),
                max_batch_messages=self.max_batch_messages,
                accepted_codecs=(CODEC_NONE, CODEC_LZ4_BLOCK),
                ordering=self.ordering,
                overflow_policy=self.overflow_policy,
                max_frame_deliveries=FRAME_DELIVERIES_MAX,
                max_attempts=self.max_attempts,
                lease_millis=self.lease_millis,
                previous_lease_id=previous_lease_id,
                direct=self.direct,
                topics_elsewhere=self.elsewhere,
            )
        )

    def _begin(self, resume: StartPosition | None) -> StartPosition:
        start = self.start or _START
        if resume is None:
            return start
        # Some may never have been reached: their part had not opened when the map changed.
        reached = {(p.topic, p.partition) for p in resume.positions}
        rest = [p for p in start.positions if (p.topic, p.partition) not in reached]
        return StartPosition(
            policy=resume.policy,
            positions=[*resume.positions, *rest],
            time_unix_nano=start.time_unix_nano,
            unlisted=start.policy if self.begins_behind else start.unlisted,
        )


def check_direct(
    subscription: str,
    lease_seconds: float | None,
    max_batch_messages: int,
    overflow_policy: OverflowPolicy.ValueType,
) -> None:
    """Refuse what needs the coordinator between publisher and subscriber.

    Raises:
        CallerError: Something does.
    """
    obstacle = ""
    if subscription:
        obstacle = f"subscription {subscription!r} has a cursor that the coordinator keeps"
    elif lease_seconds is not None:
        obstacle = "a lease is kept by the coordinator"
    elif max_batch_messages:
        obstacle = "max_batch_messages is kept by the coordinator"
    elif overflow_policy == OVERFLOW_POLICY_CONFLATE:
        obstacle = "policy CONFLATE needs all messages in one place"
    if obstacle:
        raise CallerError(f"direct=True is not possible: {obstacle}; leave one of the two out")
