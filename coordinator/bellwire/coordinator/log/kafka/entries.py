"""Entries as Kafka records, one for each message, and back. No I/O.

Each record is a CloudEvent in binary mode (`bellwire.wire.cloud_events`) with headers of ours: every record says
which offset it has on the bus and in which log, the first one of a batch also what the batch was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol
from zlib import crc32

from bellwire.bus.v1.message_pb2 import (
    CODEC_LZ4_BLOCK,
    Batch,
    BatchHeader,
    Message,
    MessageBlock,
)
from bellwire.coordinator.log.protocol import Entry
from bellwire.wire.cloud_events import CloudEventError, Header, headers_of, key_of, message_of
from bellwire.wire.codec import lz4
from bellwire.wire.errors import DataCorruptError

OFFSET: Final = "bellwire_offset"
BATCH: Final = "bellwire_batch"
LOG: Final = "bellwire_log"
OURS: Final = frozenset({OFFSET, BATCH, LOG})
NANOS_PER_MILLI: Final = 1_000_000
_KEPT: Final = (
    "topic",
    "partition",
    "codec",
    "message_count",
    "producer_id",
    "producer_epoch",
    "base_sequence",
    "first_time_unix_nano",
    "last_time_unix_nano",
    "min_expire_time_unix_nano",
    "max_expire_time_unix_nano",
    "max_not_before_time_unix_nano",
    "only_subscription",
)


class KafkaRecord(NamedTuple):
    """What is written for one message; `timestamp_ms` since the Unix epoch."""

    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[Header]


class ReadRecord(Protocol):
    """What a Kafka consumer gives."""

    @property
    def offset(self) -> int: ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Iterable[Header]: ...


def records_of(entry: Entry, log_id: int) -> Iterator[KafkaRecord]:
    """Yield the records of an entry, in order."""
    log = str(log_id).encode()
    about = (BATCH, json.dumps(_about(entry), separators=(",", ":")).encode())
    for index, message in enumerate(entry.messages()):
        headers = headers_of(message)
        headers.append((OFFSET, str(entry.base_offset + index).encode()))
        headers.append((LOG, log))
        if not index:
            headers.append(about)
        yield KafkaRecord(
            entry.admitted_ns // NANOS_PER_MILLI, key_of(message), message.data, headers
        )


class Assembly:
    """Puts entries of a log together from records in the order of their Kafka offsets.

    Attributes:
        foreign: Records of others, or of another log, which it passed over.
    """

    def __init__(self, log_id: int) -> None:
        self._log = str(log_id).encode()
        self.foreign = 0
        self._about: dict[str, Any] | None = None
        self._messages: list[Message] = []

    def add(self, record: ReadRecord) -> Entry | None:
        """Take a record; return the entry it completes.

        Raises:
            DataCorruptError: It says it is ours, and is not what it should be.
        """
        headers = list(record.headers)
        ours = dict(header for header in headers if header[0] in OURS)
        if OFFSET not in ours or ours.get(LOG) != self._log:
            self.foreign += 1
            return None
        try:
            offset = int(ours[OFFSET])
            if BATCH in ours:
                self._about, self._messages = {**json.loads(ours[BATCH]), "base": offset}, []
            about = self._about
            if about is None or offset != about["base"] + len(self._messages):
                raise ValueError(f"offset {offset} does not continue what was read")
            self._messages.append(message_of(record.key, record.value, headers, ignore=OURS))
            if len(self._messages) < about["message_count"]:
                return None
            return self._whole(about)
        except (CloudEventError, ValueError, KeyError, TypeError) as error:
            raise DataCorruptError(
                f"the record at Kafka offset {record.offset} is damaged: {error}",
                metadata={"kafka_offset": str(record.offset)},
            ) from None

    def _whole(self, about: dict[str, Any]) -> Entry:
        header = BatchHeader(**{name: about[name] for name in _KEPT if name in about})
        data = MessageBlock(messages=self._messages).SerializeToString()
        block = lz4.pack(data) if header.codec == CODEC_LZ4_BLOCK else data
        header.uncompressed_bytes, header.crc32 = len(data), crc32(block)
        entry = Entry(Batch(header=header, block=block), about["base"], about["admitted_ns"])
        entry.principal = about.get("principal", "")
        entry.time_reached_ns = about.get("time_reached_ns", entry.time_reached_ns)
        self._about, self._messages = None, []
        return entry


def _about(entry: Entry) -> dict[str, Any]:
    header = entry.batch.header
    about: dict[str, Any] = {name: getattr(header, name) for name in _KEPT if getattr(header, name)}
    about["admitted_ns"] = entry.admitted_ns
    if entry.time_reached_ns != header.last_time_unix_nano:
        about["time_reached_ns"] = entry.time_reached_ns
    if entry.principal:
        about["principal"] = entry.principal
    return about
