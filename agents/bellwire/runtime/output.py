"""Turns what a handler published into messages; does no input or output."""

import re
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from google.protobuf.message import Message as ProtoMessage

from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime.context import MessageContext
from bellwire.runtime.errors import InvalidOutputError
from bellwire.runtime.publication import Cause, Output, Publication
from bellwire.wire.message import uuid7

_DIGEST_BYTES: Final = 10  # 80 bits; a UUIDv7 takes 74 of them beside its time
_UUID_TIME: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}(?=-)")
_VARIANT: Final = 0x8  # RFC 9562 §4.1: the two top bits are 10


def with_topic(output: Output, publishes: tuple[str, ...], agent: str) -> Publication:
    """Return the output as a publication with its topic.

    Raises:
        InvalidOutputError: It is neither protobuf nor Publication, no topic can be told, or the
            topic is not declared.
    """
    publication = output if isinstance(output, Publication) else _wrapped(output, agent)
    topic = publication.topic
    if topic in publishes:
        return publication
    if not topic and len(publishes) == 1:
        return replace(publication, topic=publishes[0])
    if not topic:
        raise InvalidOutputError(
            f"agent {agent!r} returned a payload without a topic and declares {list(publishes)}; "
            "return Publication(topic, payload)"
        )
    raise InvalidOutputError(
        f"agent {agent!r} publishes to {topic!r}, which is not in its `publishes` "
        f"{list(publishes)}; add it there"
    )


def to_message(
    publication: Publication,
    *,
    source: str,
    message_id: str,
    context: MessageContext | None,
    traceparent: str,
    tracestate: str = "",
    now_unix_nano: int = 0,
) -> Message:
    """Build the message of a publication.

    Args:
        publication: What to publish.
        source: "agents/<agent id>".
        message_id: Its id, see `derived_id`.
        context: The message being handled; None when there is none (start, stop).
        traceparent: Its creation context; empty = untraced.
        tracestate: Goes with it.
        now_unix_nano: Event time when neither the publication nor an input gives one.
    """
    cause = cause_of(publication, context)
    event_time = publication.time_unix_nano
    if event_time is None:
        event_time = context.event_time_unix_nano if context else now_unix_nano
    data, type_name = _encoded(publication)
    return Message(
        id=message_id,
        source=source,
        type=type_name,
        subject=_inherited(publication.subject, context.message.subject if context else ""),
        key=_inherited(publication.key, context.message.key if context else ""),
        time_unix_nano=event_time,
        expire_time_unix_nano=publication.expire_time_unix_nano,
        correlation_id=cause.correlation_id or message_id,
        causation_id=cause.message_id,
        traceparent=traceparent,
        tracestate=tracestate,
        attributes=publication.attributes,
        data=data,
    )


def cause_of(publication: Publication, context: MessageContext | None) -> Cause:
    """Return what caused a publication: what it says, else the message being handled."""
    if publication.cause is not None:
        return publication.cause
    return context.cause if context else Cause()


def derived_id(agent: str, input_id: str, index: int) -> str:
    """Return the id of the index-th output of an agent for an input: the same each time.

    A redelivered input thus gives outputs with the ids they had before, and whoever deduplicates
    by id sees each once. The text is a UUIDv7 (RFC 9562 §5.7) with the time of the input and a
    digest where the random bits stand; without an input it is a new UUIDv7.
    """
    if not input_id:
        return uuid7()
    seed = f"{agent}\0{input_id}\0{index}".encode()
    digest = blake2b(seed, digest_size=_DIGEST_BYTES).hexdigest()
    time_part = found[0] if (found := _UUID_TIME.match(input_id)) else "00000000-0000"
    variant = _VARIANT | int(digest[3], 16) & 0x3
    return f"{time_part}-7{digest[:3]}-{variant:x}{digest[4:7]}-{digest[7:19]}"


def _wrapped(output: object, agent: str) -> Publication:
    if isinstance(output, ProtoMessage):
        return Publication("", output)
    raise InvalidOutputError(
        f"agent {agent!r} returned {type(output).__name__}; handlers return protobuf messages, "
        "Publications, an iterable of them, or None"
    )


def _encoded(publication: Publication) -> tuple[bytes, str]:
    payload = publication.payload
    if isinstance(payload, bytes):
        return payload, publication.type
    type_name: str = payload.DESCRIPTOR.full_name
    return payload.SerializeToString(), publication.type or type_name


def _inherited(own: str | None, inherited: str) -> str:
    return inherited if own is None else own
