"""Records to put into stores, and how to compare what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import (
    CursorRecord,
    DeadLetterRecord,
    EntryRecord,
    ProducerNameRecord,
    ProducerRecord,
    Record,
    ResultRecord,
    SegmentRecord,
    SubscriptionRecord,
    TopicRecord,
)
from bellwire.coordinator.log.store import Store
from bellwire.wire.batch import encode_batch
from bellwire.wire.message import new_message

TOPIC = "orders.paper"
WIDE = 1 << 30
SECOND_NS = 1_000_000_000


def entry(
    base: int, count: int = 3, *, time_ns: int = 0, size: int = 20, principal: str = ""
) -> Entry:
    """An entry whose messages carry their offset as time, unless one is given."""
    messages = [
        new_message(
            data=f"{base + index}".encode().ljust(size, b"."),
            time_unix_nano=time_ns or base + index,
        )
        for index in range(count)
    ]
    made = Entry(
        encode_batch(TOPIC, 0, messages, compress_above_bytes=WIDE), base, SECOND_NS + base
    )
    made.principal = principal
    return made


def entries(log_id: int, *counts: int, base: int = 0, size: int = 20) -> list[EntryRecord]:
    """Neighbouring entries of so many messages."""
    records = []
    for count in counts:
        records.append(EntryRecord(log_id, entry(base, count, size=size)))
        base += count
    return records


def segment_of(records: Sequence[EntryRecord]) -> SegmentRecord:
    """The segment that holds exactly these entries."""
    held = [record.entry for record in records]
    return SegmentRecord(
        records[0].log_id,
        held[0].base_offset,
        held[-1].next_offset,
        len(held),
        sum(one.stored_bytes for one in held),
        max(one.batch.header.last_time_unix_nano for one in held),
        held[-1].admitted_ns,
    )


def letter(letter_id: int, **changes: object) -> DeadLetterRecord:
    """A dead letter; any field can be given another value."""
    made = DeadLetterRecord(
        id=letter_id,
        topic=TOPIC,
        partition=2,
        offset=letter_id * 10,
        log_id=7,
        subscription="risk",
        cause=1,
        reason="no such instrument",
        attempts=3,
        time_ns=letter_id * SECOND_NS,
        key="EURUSD",
        message=Message(id=str(letter_id), data=b"order").SerializeToString(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # The caller names fields of it.


def one_of_each() -> list[Record]:
    """One record of each kind that stays, with the extremes their fields allow."""
    appended = entries(7, 3, 2)
    return [
        TopicRecord(TOPIC, b"\x00settings\xff", (7, 8, 2**63 - 1)),
        *appended,
        segment_of(appended),
        ProducerRecord(7, 2**64 - 1, 4, 2**64 - 1, ((2**64 - 6, 2, 0), (2**64 - 4, 3, 2))),
        ProducerRecord(8, 1, 0, 0, ()),
        ProducerNameRecord("feed/éüл", 2**63, 9),
        SubscriptionRecord("risk", ("orders.*", ">"), 1, 2, 10),
        CursorRecord("risk", 7, 5, ((1, 2, 3, 1), (4, 5, 1, 0))),
        CursorRecord("risk", 8, 0, ()),
        letter(4),
        ResultRecord("Publish/alice", "r-1", bytes(32), b"response\x00", 5 * SECOND_NS),
    ]


def seen(found: Iterable[Entry]) -> list[tuple[int, int, int, str, bytes]]:
    """Everything of entries that a store must keep."""
    return [
        (
            one.base_offset,
            one.next_offset,
            one.admitted_ns,
            one.principal,
            one.batch.SerializeToString(),
        )
        for one in found
    ]


def bases(store: Store, log_id: int, offset: int, bytes_max: int = WIDE) -> list[int]:
    """Base offsets of what is read from an offset on."""
    return [one.base_offset for one in store.read(log_id, offset, bytes_max)]


def whole_log(store: Store, log_id: int, low: int = 0) -> list[tuple[int, int, int, str, bytes]]:
    """All entries of a log from an offset on, read in small steps."""
    found: list[Entry] = []
    while part := store.read(log_id, found[-1].next_offset if found else low, 200):
        found += part
    return seen(found)
