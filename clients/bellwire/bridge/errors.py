"""Errors only a bridge can meet."""

from __future__ import annotations

from bellwire.wire.errors import CallerError, PeerError, StatusCode

__all__ = ["KafkaTopicError", "KafkaUnreachableError"]


class KafkaUnreachableError(PeerError):
    """No broker of Kafka answers."""

    reason = "KAFKA_UNREACHABLE"


class KafkaTopicError(CallerError):
    """A topic in Kafka cannot be used as it is."""

    reason = "KAFKA_TOPIC_UNUSABLE"
    code = StatusCode.FAILED_PRECONDITION
