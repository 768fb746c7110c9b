"""Rows: how each record lies in its table."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bellwire.bus.v1.message_pb2 import Batch
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import (
    CursorRecord,
    DeadLetterRecord,
    EntryRecord,
    ProducerNameRecord,
    ProducerRecord,
    ResultRecord,
    SegmentRecord,
    SubscriptionRecord,
    TopicRecord,
)
from bellwire.coordinator.log.sqlite.table import Table, Value

INTEGER_MAX: Final = (1 << 63) - 1  # SQLite's; as a time the year 2262.
_UNSIGNED: Final = 1 << 64
_RUN_WIDTH: Final = 4  # first, last, attempt, failures
_RECENT_WIDTH: Final = 3  # base_sequence, messages, base_offset


@dataclass(frozen=True, slots=True)
class Eviction:
    """Entries that end at or below an offset are gone for every reader, and some still take room."""

    log_id: int
    low_offset: int


@dataclass(frozen=True, slots=True)
class Meta:
    """One number about the store as a whole."""

    name: str
    value: int


def _signed(value: int) -> int:
    """SQLite has no unsigned 64-bit numbers."""
    return value if value <= INTEGER_MAX else value - _UNSIGNED


def _unsigned(value: int) -> int:
    return value if value >= 0 else value + _UNSIGNED


def _numbers(values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def _tuples(data: bytes, width: int) -> tuple[tuple[int, ...], ...]:
    flat = struct.unpack(f"<{len(data) // 8}Q", data)
    return tuple(tuple(flat[at : at + width]) for at in range(0, len(flat), width))


def _flat(tuples: Sequence[Sequence[int]]) -> bytes:
    return _numbers([number for one in tuples for number in one])


def _entry_values(record: EntryRecord) -> tuple[Value, ...]:
    entry = record.entry
    return (
        record.log_id,
        entry.base_offset,
        entry.next_offset,
        entry.stored_bytes,
        min(entry.time_reached_ns, INTEGER_MAX),
        entry.admitted_ns,
        entry.principal,
        entry.batch.SerializeToString(),
    )


def _entry_record(
    log_id: int,
    base_offset: int,
    next_offset: int,
    stored_bytes: int,
    last_time_ns: int,
    admitted_ns: int,
    principal: str,
    batch: bytes,
) -> EntryRecord:
    entry = Entry(Batch.FromString(batch), base_offset, admitted_ns)
    entry.principal = principal
    entry.time_reached_ns = max(entry.time_reached_ns, last_time_ns)
    if entry.next_offset != next_offset:
        raise ValueError("the batch holds another number of messages")
    return EntryRecord(log_id, entry)


def _topic_record(name: str, settings: bytes, log_ids: bytes) -> TopicRecord:
    return TopicRecord(name, settings, struct.unpack(f"<{len(log_ids) // 8}Q", log_ids))


def _producer_record(
    log_id: int, producer_id: int, epoch: int, next_sequence: int, recent: bytes
) -> ProducerRecord:
    latest = tuple((first, count, base) for first, count, base in _tuples(recent, _RECENT_WIDTH))
    return ProducerRecord(log_id, _unsigned(producer_id), epoch, _unsigned(next_sequence), latest)


def _cursor_record(
    subscription: str, log_id: int, next_offset: int, open_runs: bytes
) -> CursorRecord:
    runs = tuple(
        (first, last, attempt, failures)
        for first, last, attempt, failures in _tuples(open_runs, _RUN_WIDTH)
    )
    return CursorRecord(subscription, log_id, next_offset, runs)


def _patterns(patterns: Sequence[str]) -> str:
    return "\n".join(patterns)  # No pattern holds a line break: `[a-zA-Z0-9._-]`, `*` and `>`.


# Columns that are looked at without the batch stand before it, so that its overflow pages stay unread.
ENTRIES: Final = Table[EntryRecord](
    "entries",
    (
        "log_id",
        "base_offset",
        "next_offset",
        "stored_bytes",
        "last_time_ns",
        "admitted_ns",
        "principal",
        "batch",
    ),
    2,
    _entry_values,
    _entry_record,
)
TOPICS: Final = Table[TopicRecord](
    "topics",
    ("name", "settings", "log_ids"),
    1,
    lambda r: (r.name, r.settings, _numbers(r.log_ids)),
    _topic_record,
)
SEGMENTS: Final = Table[SegmentRecord](
    "segments",
    (
        "log_id",
        "base_offset",
        "next_offset",
        "entries",
        "stored_bytes",
        "last_time_ns",
        "last_admitted_ns",
    ),
    2,
    lambda r: (
        r.log_id,
        r.base_offset,
        r.next_offset,
        r.entries,
        r.stored_bytes,
        min(r.last_time_ns, INTEGER_MAX),
        r.last_admitted_ns,
    ),
    SegmentRecord,
)
EVICTIONS: Final = Table[Eviction](
    "evictions",
    ("log_id", "low_offset"),
    1,
    lambda r: (r.log_id, r.low_offset),
    Eviction,
)
PRODUCERS: Final = Table[ProducerRecord](
    "producers",
    ("log_id", "producer_id", "epoch", "next_sequence", "recent"),
    2,
    lambda r: (
        r.log_id,
        _signed(r.producer_id),
        r.epoch,
        _signed(r.next_sequence),
        _flat(r.recent),
    ),
    _producer_record,
)
PRODUCER_NAMES: Final = Table[ProducerNameRecord](
    "producer_names",
    ("name", "producer_id", "epoch"),
    1,
    lambda r: (r.name, _signed(r.producer_id), r.epoch),
    lambda name, producer_id, epoch: ProducerNameRecord(name, _unsigned(producer_id), epoch),
)
SUBSCRIPTIONS: Final = Table[SubscriptionRecord](
    "subscriptions",
    ("name", "patterns", "ordering", "overflow_policy", "max_attempts"),
    1,
    lambda r: (r.name, _patterns(r.patterns), r.ordering, r.overflow_policy, r.max_attempts),
    lambda name, patterns, *rest: SubscriptionRecord(
        name, tuple(filter(None, patterns.split("\n"))), *rest
    ),
)
CURSORS: Final = Table[CursorRecord](
    "cursors",
    ("subscription", "log_id", "next_offset", "open_runs"),
    2,
    lambda r: (r.subscription, r.log_id, r.next_offset, _flat(r.open_runs)),
    _cursor_record,
)
DEAD_LETTERS: Final = Table[DeadLetterRecord](
    "dead_letters",
    (
        "id",
        "topic",
        "partition",
        "offset",
        "log_id",
        "subscription",
        "cause",
        "reason",
        "attempts",
        "time_ns",
        "key",
        "message",
    ),
    1,
    lambda r: (
        r.id,
        r.topic,
        r.partition,
        r.offset,
        r.log_id,
        r.subscription,
        r.cause,
        r.reason,
        r.attempts,
        min(r.time_ns, INTEGER_MAX),
        r.key,
        r.message,
    ),
    DeadLetterRecord,
)
RESULTS: Final = Table[ResultRecord](
    "results",
    ("scope", "request_id", "digest", "response", "expire_ns"),
    2,
    lambda r: (r.scope, r.request_id, r.digest, r.response, min(r.expire_ns, INTEGER_MAX)),
    ResultRecord,
)
META: Final = Table[Meta]("meta", ("name", "value"), 1, lambda r: (r.name, r.value), Meta)
