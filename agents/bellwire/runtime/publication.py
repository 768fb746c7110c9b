"""What a handler hands back to be published, and what caused it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from google.protobuf.message import Message as ProtoMessage


@dataclass(frozen=True, slots=True)
class Cause:
    """What made a publication happen: the ids and the trace context it inherits.

    Keep `MessageContext.cause` with an order or a deferred signal to publish, later and from
    another handler, as a consequence of that message. `Cause()` means nothing on the bus caused
    it: the publication begins a trace and a business transaction of its own.
    """

    message_id: str = ""
    """Becomes `causation_id`."""
    correlation_id: str = ""
    """Names the business transaction; kept from message to message."""
    traceparent: str = ""
    """Parent of the publication's send span; empty = a new trace."""
    tracestate: str = ""
    """W3C tracestate that goes with it."""


NO_CAUSE = Cause()
"""Begins a trace of its own: for what nothing on the bus caused, such as a bar read from a file."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One message to publish, with what differs from the defaults.

    Fields left at None are taken from the message being handled, so that outputs stay in the
    partition order of their input.
    """

    topic: str
    """Where to; must be one of the agent's `publishes`. Empty = the only one declared."""
    payload: ProtoMessage | bytes
    """A protobuf message (its full name becomes the type) or ready bytes (then set `type`)."""
    key: str | None = None
    """Partition key."""
    subject: str | None = None
    """Instrument or entity."""
    time_unix_nano: int | None = None
    """Event time, nanoseconds since the Unix epoch."""
    type: str = ""
    """Type name; needed only when the payload is bytes."""
    cause: Cause | None = None
    """What caused it; None = the message being handled."""
    expire_time_unix_nano: int = 0
    """Wall-clock time after which it is dropped instead of delivered; 0 = never."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Small filterable properties, at most 64."""


Output: TypeAlias = ProtoMessage | Publication
"""A bare protobuf message goes to the agent's only declared topic."""

Outputs: TypeAlias = Output | Iterable[Output] | None
"""What a handler may return; published in order."""


def listed(outputs: Outputs) -> list[Output]:
    """Return what a handler returned as a list, in order."""
    if outputs is None:
        return []
    if isinstance(outputs, (ProtoMessage, Publication)):
        return [outputs]
    return list(outputs)
