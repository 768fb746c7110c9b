"""A message as a Kafka record: CloudEvents 1.0 in binary mode (Kafka Protocol Binding 1.0.2), and back.

| message | record |
|---|---|
| `key` | key, UTF-8; empty = none |
| `data` | value |
| `id`, `source`, `type`, `subject` | headers `ce_id`, `ce_source`, `ce_type`, `ce_subject` |
| `time_unix_nano` | `ce_time`, RFC 3339 to the nanosecond |
| `expire_time_unix_nano` | `ce_expirytime` (extension "Expiry Time") |
| `not_before_time_unix_nano` | `ce_notbeforetime` |
| `correlation_id`, `causation_id` | `ce_correlationid`, `ce_causationid` (extension "Correlation") |
| `schema` | `ce_dataschema` |
| `traceparent`, `tracestate` | headers of these names, where tracing tools look for them |
| `attributes` | a header each, of their own name |

CloudEvents asks for a source and a type; where a message has none the record says so with a name of ours.
Headers nobody knows become attributes, so that what a Kafka producer says reaches subscribers.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TypeAlias

from bellwire.bus.v1.message_pb2 import Message
from bellwire.wire.errors import CallerError

Header: TypeAlias = tuple[str, bytes]

SPEC_VERSION: Final = "1.0"
NO_SOURCE: Final = "urn:bellwire:unnamed"
NO_TYPE: Final = "bellwire.untyped"
CONTENT_TYPE: Final = "content-type"
PROTOBUF: Final = "application/protobuf"
OCTETS: Final = "application/octet-stream"
STRUCTURED: Final = "application/cloudevents"
# Names of attributes that are taken by something else are written behind this.
ESCAPE: Final = "attribute:"
HEADERS_MAX: Final = 100  # 64 attributes and what is above.
NANOS: Final = 1_000_000_000
NANOS_MAX: Final = 2**64 - 1  # What a message can say; the bus admits half of it.

_VERSION: Final = "ce_specversion"
_TEXTS: Final = {
    "ce_id": "id",
    "ce_source": "source",
    "ce_type": "type",
    "ce_subject": "subject",
    "ce_correlationid": "correlation_id",
    "ce_causationid": "causation_id",
    "ce_dataschema": "schema",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
}
_TIMES: Final = {
    "ce_time": "time_unix_nano",
    "ce_expirytime": "expire_time_unix_nano",
    "ce_notbeforetime": "not_before_time_unix_nano",
}
_TAKEN: Final = {*_TEXTS, *_TIMES, _VERSION, CONTENT_TYPE}
_ABSENT: Final = {"source": NO_SOURCE, "type": NO_TYPE}
_VERSION_HEADER: Final = (_VERSION, SPEC_VERSION.encode())
_PROTOBUF_HEADER: Final = (CONTENT_TYPE, PROTOBUF.encode())
_OCTETS_HEADER: Final = (CONTENT_TYPE, OCTETS.encode())
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)"
)


class CloudEventError(CallerError):
    """A Kafka record is no CloudEvent in binary mode, or not one a message can be made of."""

    reason = "INVALID_CLOUD_EVENT"


def headers_of(message: Message) -> list[Header]:
    """Return the headers of a message's record, in the order of the table above."""
    # Field by field and not in a loop over names: this is most of what making a record takes.
    headers = [_VERSION_HEADER]
    add = headers.append
    if text := message.id:
        add(("ce_id", text.encode()))
    add(("ce_source", (message.source or NO_SOURCE).encode()))
    kind = message.type
    add(("ce_type", (kind or NO_TYPE).encode()))
    if text := message.subject:
        add(("ce_subject", text.encode()))
    if text := message.correlation_id:
        add(("ce_correlationid", text.encode()))
    if text := message.causation_id:
        add(("ce_causationid", text.encode()))
    if text := message.schema:
        add(("ce_dataschema", text.encode()))
    if text := message.traceparent:
        add(("traceparent", text.encode()))
    if text := message.tracestate:
        add(("tracestate", text.encode()))
    if nanos := message.time_unix_nano:
        add(("ce_time", format_time(nanos).encode()))
    if nanos := message.expire_time_unix_nano:
        add(("ce_expirytime", format_time(nanos).encode()))
    if nanos := message.not_before_time_unix_nano:
        add(("ce_notbeforetime", format_time(nanos).encode()))
    add(_PROTOBUF_HEADER if kind else _OCTETS_HEADER)
    for name, value in message.attributes.items():
        taken = name in _TAKEN or name.startswith(ESCAPE)
        add((ESCAPE + name if taken else name, value.encode()))
    return headers


def key_of(message: Message) -> bytes | None:
    """Return the key of a message's record; None = it has none."""
    return message.key.encode() if message.key else None


def message_of(
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[Header],
    *,
    ignore: Container[str] = (),
) -> Message:
    """Return the message of a record.

    Args:
        key: The record's; None = no key.
        value: The record's; None = a tombstone, an empty payload.
        headers: The record's; of one name the last counts.
        ignore: Names of headers that are not of the message.

    Raises:
        CloudEventError: It is none, and what is wrong with it.
    """
    message = Message(data=value or b"", key=_text("key", key or b""))
    version = ""
    for count, (name, raw) in enumerate(headers):
        if count >= HEADERS_MAX:
            raise CloudEventError(f"the record has more than {HEADERS_MAX} headers")
        if name in ignore:
            continue
        text = _text(name, raw)
        if name in _TEXTS:
            field = _TEXTS[name]
            setattr(message, field, "" if text == _ABSENT.get(field) else text)
        elif name in _TIMES:
            setattr(message, _TIMES[name], parse_time(name, text))
        elif name == _VERSION:
            version = text
        elif name == CONTENT_TYPE:
            if text.startswith(STRUCTURED):
                raise CloudEventError(
                    f"the record is a CloudEvent in structured mode ({text}): only binary mode is read, "
                    "attributes in headers and the payload as the value"
                )
        else:
            message.attributes[name.removeprefix(ESCAPE)] = text
    if version != SPEC_VERSION:
        raise CloudEventError(
            f"the record is no CloudEvent in binary mode: header {_VERSION} is {version!r}, not {SPEC_VERSION!r}"
        )
    if not message.id:
        raise CloudEventError("the record has no header ce_id, or an empty one")
    return message


def format_time(time_unix_nano: int) -> str:
    """Return nanoseconds since the Unix epoch, up to the year 2554, as RFC 3339."""
    seconds, nanos = divmod(time_unix_nano, NANOS)
    whole = _whole_seconds(seconds)
    return f"{whole}.{nanos:09d}Z" if nanos else f"{whole}Z"


@lru_cache(maxsize=64)  # Messages of one batch are mostly of a few seconds.
def _whole_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(name: str, text: str) -> int:
    """Return RFC 3339 as nanoseconds since the Unix epoch; digits beyond the ninth are cut off.

    Raises:
        CloudEventError: It is none, or not within 1970..2554.
    """
    match = _RFC3339.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        whole, fraction, zone = match.groups()
        moment = datetime.fromisoformat(whole.upper() + zone.upper().replace("Z", "+00:00"))
    except ValueError:
        raise CloudEventError(
            f"header {name} is {text[:64]!r}, not a time as in RFC 3339: write 2026-01-31T09:30:00.5Z"
        ) from None
    nanos = int(moment.timestamp()) * NANOS + int((fraction or "").ljust(9, "0"))
    if not 0 <= nanos <= NANOS_MAX:
        raise CloudEventError(f"header {name} is {text!r}: times from 1970 to 2554 can be kept")
    return nanos


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        what = "the key" if name == "key" else f"header {name[:64]!r}"
        raise CloudEventError(f"{what} is not UTF-8: {raw[:32]!r}") from None
