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


def taken_over(state_topic: str) -> StoreReadOnlyError:
    """Return what a store says that was fenced."""
    return StoreReadOnlyError(
        f"another coordinator has taken over {state_topic!r}: it alone may write; stop one of the two, "
        "or give each a state topic of its own"
    )
