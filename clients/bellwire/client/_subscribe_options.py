"""What a subscription asks for, as the first frame of its streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bellwire.bus.v1.message_pb2 import CODEC_LZ4_BLOCK, CODEC_NONE, Window
from bellwire.bus.v1.subscriber_pb2 import (
    Ordering,
    OverflowPolicy,
    StartPosition,
    SubscribeRequest,
    SubscribeStart,
)
from bellwire.wire.topic import TopicPattern

FRAME_DELIVERIES_MAX: Final = 64  # The contract's limit: a frame costs more than a batch.
_START: Final = StartPosition()


@dataclass(frozen=True, slots=True)
class SubscribeOptions:
    """What a subscription asks for."""

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

    def concerns(self, topic: str) -> bool:
        """Tell whether a topic is asked for."""
        return any(TopicPattern(text).matches(topic) for text in self.topics)

    def start_frame(self, resume: StartPosition | None, previous_lease_id: str) -> SubscribeRequest:
        """Return the first frame of a stream.

        Args:
            resume: Where to go on; None = where the user wants to begin.
            previous_lease_id: Of the stream before; empty for the first.
        """
        return SubscribeRequest(
            start=SubscribeStart(
                subscription=self.subscription,
                topics=self.topics,
                client_id=self.client_id,
                start_position=resume or self.start or _START,
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
            )
        )
