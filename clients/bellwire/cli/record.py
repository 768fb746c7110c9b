"""A received message as a terminal line and as a JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rich.text import Text

from bellwire.cli.output import Style, harmless
from bellwire.cli.payload import decode_payload
from bellwire.cli.summary import summarize
from bellwire.cli.units import clock_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LineWriter", "Received", "record_json"]

COLUMN_MAX = 32  # A longer place, key or type pushes its own line only, not the whole table.


class Received(Protocol):
    """What a delivery shows; `bellwire.client.ReceivedMessage` is one."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def replayed(self) -> bool: ...
    @property
    def message(self) -> BusMessage: ...


class BusMessage(Protocol):
    """The fields of `bellwire.bus.v1.Message` that are shown."""

    id: str
    source: str
    type: str
    subject: str
    key: str
    time_unix_nano: int
    expire_time_unix_nano: int
    correlation_id: str
    causation_id: str
    traceparent: str
    data: bytes

    @property
    def attributes(self) -> Mapping[str, str]: ...


def record_json(received: Received) -> dict[str, object]:
    """Return everything known of a delivery; `data` is decoded where its type is known."""
    message = received.message
    payload = decode_payload(message.type, message.data)
    return {
        "topic": received.topic,
        "partition": received.partition,
        "offset": received.offset,
        "attempt": received.attempt,
        "replayed": received.replayed,
        "id": message.id,
        "source": message.source,
        "type": message.type,
        "subject": message.subject,
        "key": message.key,
        "time_unix_nano": message.time_unix_nano,
        "expire_time_unix_nano": message.expire_time_unix_nano,
        "correlation_id": message.correlation_id,
        "causation_id": message.causation_id,
        "traceparent": message.traceparent,
        "attributes": dict(message.attributes),
        "data_encoding": "base64" if payload.kind == "binary" else payload.kind,
        "data": payload.json_value(),
    }


class LineWriter:
    """Make one aligned line per message: columns grow with what they have seen, up to a bound."""

    def __init__(self) -> None:
        self._widths = [0, 0, 0]

    def line(self, received: Received) -> Text:
        """Return the line: time, topic[partition]@offset, key, type, summary."""
        message = received.message
        place = f"{received.topic}[{received.partition}]@{received.offset}"
        short_type = message.type.rpartition(".")[2]
        summary = summarize(decode_payload(message.type, message.data))
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(clock_text(message.time_unix_nano), Style.FAINT)
        text.append("  " + self._padded(0, place), Style.NAME)
        text.append("  " + self._padded(1, harmless(message.key) or "-"))
        text.append("  " + self._padded(2, harmless(short_type) or "-"), Style.GOOD)
        text.append(f"  {harmless(summary)}")
        if received.replayed or received.attempt:
            mark = "replayed" if received.replayed else f"attempt {received.attempt + 1}"
            text.append(f"  ({mark})", Style.WARN)
        return text

    def _padded(self, column: int, content: str) -> str:
        width = min(COLUMN_MAX, max(self._widths[column], len(content)))
        self._widths[column] = width
        return content.ljust(width)
