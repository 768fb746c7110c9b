"""Settings of a topic in the words of the command line."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bellwire.admin.v1.topic_pb2 import DirectPolicy, LogKind, PriorityClass
    from bellwire.bus.v1.subscriber_pb2 import OverflowPolicy

__all__ = [
    "Direct",
    "Log",
    "Overflow",
    "Priority",
    "direct_policy",
    "log_kind",
    "overflow_policy",
    "priority_class",
    "word",
]


class Log(StrEnum):
    """Where a topic's messages are kept."""

    MEMORY = "memory"
    """In the coordinator's memory: gone with the process."""
    SQLITE = "sqlite"
    """On the coordinator's disk: `serve --data`."""
    KAFKA = "kafka"
    """In Kafka: `serve --kafka`."""


class Overflow(StrEnum):
    """What happens when a subscriber cannot keep up."""

    BLOCK = "block"
    """Publishers wait."""
    DROP_OLDEST = "drop-oldest"
    """The oldest undelivered messages are dropped and counted."""
    CONFLATE = "conflate"
    """Only the latest message of each key is kept."""
    DISCONNECT = "disconnect"
    """The subscriber's stream is ended."""


class Priority(StrEnum):
    """Which topics go first."""

    KILL_SWITCH = "kill-switch"
    """Before everything."""
    CANCEL = "cancel"
    """Cancels."""
    ORDER = "order"
    """Orders."""
    SIGNAL = "signal"
    """Signals; the default."""
    TELEMETRY = "telemetry"
    """Telemetry and market data."""


class Direct(StrEnum):
    """Whether messages may reach subscribers on the same host before the coordinator has them."""

    ALLOW = "allow"
    """Where the subscriber asks for it; the default."""
    FORBID = "forbid"
    """Never."""


def direct_policy(direct: Direct | None) -> DirectPolicy.ValueType:
    """Return the policy a flag names; the server's default when it was not given."""
    from bellwire.admin.v1.topic_pb2 import DIRECT_POLICY_UNSPECIFIED, DirectPolicy

    if direct is None:
        return DIRECT_POLICY_UNSPECIFIED
    return DirectPolicy.Value(f"DIRECT_POLICY_{direct.name}")


def log_kind(log: Log | None) -> LogKind.ValueType:
    """Return the log a flag names; the server's default when it was not given."""
    from bellwire.admin.v1.topic_pb2 import LOG_KIND_UNSPECIFIED, LogKind

    return LOG_KIND_UNSPECIFIED if log is None else LogKind.Value(f"LOG_KIND_{log.name}")


def overflow_policy(overflow: Overflow | None) -> OverflowPolicy.ValueType:
    """Return the policy a flag names; the server's default when it was not given."""
    from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_UNSPECIFIED, OverflowPolicy

    if overflow is None:
        return OVERFLOW_POLICY_UNSPECIFIED
    return OverflowPolicy.Value(f"OVERFLOW_POLICY_{overflow.name}")


def priority_class(priority: Priority | None) -> PriorityClass.ValueType:
    """Return the class a flag names; the server's default when it was not given."""
    from bellwire.admin.v1.topic_pb2 import PRIORITY_CLASS_UNSPECIFIED, PriorityClass

    if priority is None:
        return PRIORITY_CLASS_UNSPECIFIED
    return PriorityClass.Value(f"PRIORITY_CLASS_{priority.name}")


def word(name: str, prefix: str) -> str:
    """Return the name of an enum value as a flag spells it: OVERFLOW_POLICY_DROP_OLDEST is drop-oldest."""
    return name.removeprefix(prefix).lower().replace("_", "-")
