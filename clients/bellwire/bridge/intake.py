"""One partition of Kafka on its way to the bus, so that a restart publishes nothing twice. No I/O.

Before a stretch of records is published, its end is committed with the offset where it begins. Whoever takes the
partition over reads exactly that stretch again and publishes it under the same request id, which the coordinator
remembers for a day: what it has appended already is not appended again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Final, NamedTuple, Protocol

from bellwire.bus.v1.message_pb2 import Message
from bellwire.wire.cloud_events import CloudEventError, message_of
from bellwire.wire.kafka_origin import BUS, OURS, KafkaOrigin, bus_of

__all__ = [
    "Bad",
    "Commit",
    "Intake",
    "Item",
    "Place",
    "ReadRecord",
    "Stretch",
    "request_id",
    "sort",
]

_UNTIL: Final = "until="
DIGEST_BYTES: Final = 16
NANOS_PER_MILLI: Final = 1_000_000


class ReadRecord(Protocol):
    """What a Kafka consumer gives."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class Place(NamedTuple):
    """A partition in Kafka."""

    cluster: str
    topic: str
    partition: int


class Commit(NamedTuple):
    """What is committed: everything before `offset` is done, `metadata` says what is under way."""

    offset: int
    metadata: str


class Stretch(NamedTuple):
    """Consecutive records published together: all with `first` <= offset < `until`."""

    records: list[ReadRecord]
    first: int
    until: int
    promised: bool  # Its end was committed by the last owner.

    @property
    def commit(self) -> Commit | None:
        """Where it begins and ends; None = Kafka knows it."""
        if self.promised:
            return None
        return Commit(self.first, f"{_UNTIL}{self.until}")


class Item(NamedTuple):
    """A record and the message it is."""

    record: ReadRecord
    message: Message


class Bad(NamedTuple):
    """A record that is no message, and why."""

    record: ReadRecord
    reason: str


class Intake:
    """Cuts one partition into stretches, one after the other."""

    def __init__(self, offset: int | None, metadata: str) -> None:
        """Begin where the last owner stopped.

        Args:
            offset: Committed; None = never.
            metadata: Committed with it; what is not ours is taken as none.
        """
        self._waiting: deque[ReadRecord] = deque()
        self._done = offset
        self._committed = Commit(-1 if offset is None else offset, metadata)
        until = metadata.removeprefix(_UNTIL)
        self._promised = int(until) if until != metadata and until.isdecimal() else None
        if self._promised is not None and (offset is None or self._promised <= offset):
            self._promised = None

    def add(self, records: Iterable[ReadRecord]) -> None:
        """Take what was read, in order."""
        self._waiting.extend(records)

    @property
    def waiting(self) -> int:
        """Records that are in no stretch yet."""
        return len(self._waiting)

    @property
    def has_work(self) -> bool:
        """Tell whether a stretch can be cut without reading more."""
        return self._promised is None and bool(self._waiting)

    def is_full(self, messages_max: int) -> bool:
        """Tell whether there is enough to cut; a stretch that was promised is read to its end."""
        return self._promised is None and len(self._waiting) >= messages_max

    def next_stretch(self, position: int, *, messages_max: int, bytes_max: int) -> Stretch | None:
        """Return what to publish next; None = nothing yet.

        Args:
            position: Everything before this offset was read: offsets may be missing in Kafka.
            messages_max: Of a stretch whose end is still open.
            bytes_max: Keys, values and headers together, of a stretch of more than one.
        """
        if self._promised is not None:
            return self._promised_stretch(self._promised, position)
        if not self._waiting:
            return None
        records: list[ReadRecord] = []
        left = bytes_max
        for record in islice(self._waiting, messages_max):
            left -= _size_bytes(record)
            if records and left < 0:
                break
            records.append(record)
        return self._cut(records, records[-1].offset + 1, promised=False)

    def _promised_stretch(self, until: int, position: int) -> Stretch | None:
        if position < until:
            return None
        records = []
        for record in self._waiting:
            if record.offset >= until:
                break
            records.append(record)
        return self._cut(records, until, promised=True)

    def _cut(self, records: list[ReadRecord], until: int, *, promised: bool) -> Stretch:
        for _ in records:
            self._waiting.popleft()
        first = self._done
        if first is None:
            first = records[0].offset if records else until
        return Stretch(records, first, until, promised)

    def committed(self, commit: Commit) -> None:
        """Note what Kafka knows now."""
        self._committed = commit

    def published(self, stretch: Stretch) -> None:
        """Note that a stretch is done."""
        self._done = stretch.until
        self._promised = None

    def idle_commit(self) -> Commit | None:
        """Return what to commit while nothing is under way; None = Kafka knows it."""
        if self._done is None or self._promised is not None:
            return None
        wanted = Commit(self._done, "")
        return None if wanted == self._committed else wanted


def sort(
    records: Iterable[ReadRecord], place: Place, *, bus: str
) -> tuple[list[Item], list[Bad], int]:
    """Return the messages, what is none, and how many records came from this bus."""
    items: list[Item] = []
    bad: list[Bad] = []
    skipped = 0
    for record in records:
        first_bus = bus_of(record.headers)
        if first_bus == bus:
            skipped += 1
            continue
        given = ((name, text or b"") for name, text in record.headers)
        try:
            message = message_of(record.key, record.value, given, ignore=OURS)
        except CloudEventError as error:
            bad.append(Bad(record, error.message))
            continue
        origin = KafkaOrigin(place.cluster, place.topic, place.partition, record.offset)
        if not message.time_unix_nano and record.timestamp > 0:
            message.time_unix_nano = record.timestamp * NANOS_PER_MILLI
        message.attributes.update(origin.attributes())
        if first_bus:
            message.attributes[BUS] = first_bus
        items.append(Item(record, message))
    return items, bad, skipped


def request_id(group: str, items: Sequence[Item]) -> str:
    """Return what names these messages from this group: the same for the same ones, wherever it is made."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for item in items:
        data = item.message.SerializeToString(deterministic=True)
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    digest.update(group.encode())
    return f"bridge/{digest.hexdigest()}"


def _size_bytes(record: ReadRecord) -> int:
    headers = sum(len(name) + len(text or b"") for name, text in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
