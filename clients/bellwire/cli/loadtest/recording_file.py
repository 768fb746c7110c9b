"""Reads a recorded stream: the JSON lines of `bellwire tail --json` and `bellwire replay --json`."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from bellwire.cli.faults import UsageFault

__all__ = ["RecordedMessage", "RecordingFault", "offsets_of", "read_recording", "share_of"]

GZIP_SUFFIX: Final = ".gz"
LINE_BYTES_MAX: Final = 4 << 20  # A message of 1 MiB as base64, with room for its other fields.


class RecordingFault(UsageFault):
    """A recording cannot be played."""


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """What is replayed of a recorded message."""

    time_ns: int
    """Its event time, nanoseconds since the Unix epoch: the pace."""
    data: bytes
    type: str = ""
    key: str = ""
    subject: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Payload and texts."""
        texts = (self.type, self.key, self.subject, *self.attributes, *self.attributes.values())
        return len(self.data) + sum(len(text.encode()) for text in texts)


def read_recording(path: Path, messages_max: int) -> list[RecordedMessage]:
    """Read a whole recording, ordered by time; a name that ends in .gz is unpacked.

    Raises:
        RecordingFault: It cannot be read, a line is none of ours, it is empty or too long.
    """
    try:
        with _opened(path) as file:
            messages = list(_parsed(path, file, messages_max))
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordingFault(f"--replay {path} cannot be read: {reason}") from None
    if not messages:
        raise RecordingFault(
            f"--replay {path} holds no message; make one with `bellwire tail --json '>' > FILE`"
        )
    # A recording of several partitions is in the order of delivery, not of time.
    messages.sort(key=lambda message: message.time_ns)
    return messages


def offsets_of(messages: Iterable[RecordedMessage], begin_ns: int) -> list[int]:
    """Return how long after `begin_ns` each message came, nanoseconds."""
    return [message.time_ns - begin_ns for message in messages]


def share_of(
    messages: Iterable[RecordedMessage], publisher: int, publishers: int
) -> list[RecordedMessage]:
    """Return what one of several publishers sends: all of a key, so that it keeps its order."""
    return [
        message
        for message in messages
        if zlib.crc32(message.key.encode()) % publishers == publisher
    ]


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == GZIP_SUFFIX else path.open("rb")  # type: ignore[return-value]


def _parsed(path: Path, file: IO[bytes], messages_max: int) -> Iterator[RecordedMessage]:
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise RecordingFault(
                f"--replay {path}: line {number} is longer than {LINE_BYTES_MAX} bytes"
            )
        if not line.strip():
            continue
        if number > messages_max:
            raise RecordingFault(
                f"--replay {path} holds more than {messages_max:,} messages; cut it, or raise "
                "loadtest.replay_messages_max"
            )
        try:
            yield parse_line(line)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordingFault(
                f"--replay {path}: line {number} is no recorded message ({_reason(error)}); "
                "expected what `bellwire tail --json` prints"
            ) from None


def parse_line(line: bytes) -> RecordedMessage:
    """Read one line.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is none of ours.
    """
    record = json.loads(line)
    return RecordedMessage(
        time_ns=int(record["time_unix_nano"]),
        data=_data(record["type"], record["data_encoding"], record["data"]),
        type=str(record["type"]),
        key=str(record["key"]),
        subject=str(record["subject"]),
        attributes={str(name): str(value) for name, value in record["attributes"].items()},
    )


def _data(type_name: str, encoding: str, value: object) -> bytes:
    """Return the payload as it was: `tail --json` decodes what it knows."""
    if encoding == "empty":
        return b""
    if encoding == "base64":
        return base64.b64decode(str(value), validate=True)
    if encoding == "text":
        return str(value).encode()
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    if encoding == "json":
        return text
    if encoding == "protobuf":
        from bellwire.cli.payload import encode_payload

        return encode_payload(type_name, text)
    raise ValueError(f"unknown data_encoding {encoding!r}")


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]!r}"
    if isinstance(error, json.JSONDecodeError):
        return "it is no JSON"
    if isinstance(error, binascii.Error):
        return "its data is no base64"
    return str(error)
