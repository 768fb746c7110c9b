"""What Kafka's errors mean to the store: whether a new connection may mend them, and what to say if not."""

from __future__ import annotations

from typing import Final

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IllegalOperation,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedVersionError,
)

from bellwire.coordinator.log.kafka.opener import Opener
from bellwire.wire.errors import StoreReadOnlyError

__all__ = ["AWAY", "HOPELESS", "taken_over"]

# What a new connection may mend, after a look at what became of the transaction.
AWAY: Final = (KafkaError, IllegalOperation, AssertionError, OSError, TimeoutError)
HOPELESS: Final = (
    ClusterAuthorizationFailedError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedVersionError,
)


def taken_over(state_topic: str, opener: Opener | None = None) -> StoreReadOnlyError:
    """Return what a store says that was fenced.

    Args:
        state_topic: Of both.
        opener: Who has it now; None = not looked for.
    """
    return StoreReadOnlyError(
        f"another coordinator has taken over {state_topic!r}: {opener or 'it'} alone may write there, and nothing "
        "durable is accepted here any more; stop one of the two, let them take turns by giving both the same Redis "
        "(--redis), or give this one a state topic (--set coordinator.kafka_state_topic=NAME) and topics of its own",
        metadata={
            "state_topic": state_topic,
            "opened_by": opener.name if opener is not None else "",
        },
    )
