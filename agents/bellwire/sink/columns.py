"""The columns of a stored message, and one message as a row of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from bellwire.sink.payload import payload_json

if TYPE_CHECKING:
    from bellwire.client import Batch

__all__ = [
    "CLUSTERED_BY",
    "COLUMNS",
    "IDENTITY",
    "SCHEMA_VERSION",
    "TIME_NS_MAX",
    "Column",
    "Identity",
    "Row",
    "day_of",
    "rows_of",
]

SCHEMA_VERSION: Final = 1
# 2262-04-11: nanoseconds in 64 signed bits, of which DuckDB takes the largest for infinity.
TIME_NS_MAX: Final = (1 << 63) - 2
NANOS_PER_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the files.

    Attributes:
        name: As in the contract, without the unit of times.
        sql_type: In the file.
        of_list: SQL that makes it of one element of the list handed over, written `{}`.
    """

    name: str
    sql_type: str
    of_list: str = "{}"

    @property
    def list_type(self) -> str:
        """Type of the list's elements."""
        return "BIGINT" if self.sql_type == "TIMESTAMP_NS" else self.sql_type


def _time(name: str) -> Column:
    return Column(name, "TIMESTAMP_NS", "make_timestamp_ns({})")


COLUMNS: Final = (
    Column("topic", "VARCHAR"),
    Column("partition", "INTEGER"),
    Column("offset", "BIGINT"),
    Column("log_id", "UBIGINT"),
    Column("id", "VARCHAR"),
    Column("source", "VARCHAR"),
    Column("type", "VARCHAR"),
    Column("subject", "VARCHAR"),
    Column("key", "VARCHAR"),
    _time("time"),
    _time("expire_time"),
    _time("not_before_time"),
    Column("correlation_id", "VARCHAR"),
    Column("causation_id", "VARCHAR"),
    Column("traceparent", "VARCHAR"),
    Column("tracestate", "VARCHAR"),
    Column("schema", "VARCHAR"),
    Column("attributes", "VARCHAR"),
    Column("principal", "VARCHAR"),
    Column("replayed", "BOOLEAN"),
    _time("admitted_time"),
    _time("stored_time"),
    Column("data", "BLOB"),
    # Not every text that Python takes for JSON is one for DuckDB, and one bad row would fail a whole query.
    Column("payload", "VARCHAR", "CASE WHEN json_valid({0}) THEN {0} END"),
)
CLUSTERED_BY: Final = ("key", "source", "topic", "partition", "offset")
# CloudEvents 1.0: source and id together name an event. A topic is part of it, since what is published again
# elsewhere is another message.
IDENTITY: Final = ("topic", "source", "id")
Identity: TypeAlias = "tuple[str, str, str]"  # Values of `IDENTITY`.


class Row(NamedTuple):
    """One message, in the order of `COLUMNS`; times in nanoseconds, None = not set or beyond 2262."""

    topic: str
    partition: int
    offset: int
    log_id: int
    id: str
    source: str
    type: str
    subject: str
    key: str
    time: int | None
    expire_time: int | None
    not_before_time: int | None
    correlation_id: str
    causation_id: str
    traceparent: str
    tracestate: str
    schema: str
    attributes: str | None
    principal: str
    replayed: bool
    admitted_time: int
    stored_time: int
    data: bytes
    payload: str | None

    @property
    def identity(self) -> Identity:
        """What the same message has again when it comes again."""
        return self.topic, self.source, self.id


def rows_of(batch: Batch, now_ns: int) -> Sequence[Row]:
    """Return a delivery as rows.

    Args:
        batch: The delivery.
        now_ns: When it is stored; also when it was admitted, where nobody told.
    """
    admitted_ns = _time_or_none(batch.admitted_time_unix_nano) or now_ns
    return [
        Row(
            topic=batch.topic,
            partition=batch.partition,
            offset=batch.offset_of(index),
            log_id=batch.log_id,
            id=message.id,
            source=message.source,
            type=message.type,
            subject=message.subject,
            key=message.key,
            time=_time_or_none(message.time_unix_nano),
            expire_time=_time_or_none(message.expire_time_unix_nano),
            not_before_time=_time_or_none(message.not_before_time_unix_nano),
            correlation_id=message.correlation_id,
            causation_id=message.causation_id,
            traceparent=message.traceparent,
            tracestate=message.tracestate,
            schema=message.schema,
            attributes=_attributes(message.attributes),
            principal=batch.principal,
            replayed=batch.replayed,
            admitted_time=admitted_ns,
            stored_time=now_ns,
            data=message.data,
            payload=payload_json(message.type, message.data),
        )
        for index, message in enumerate(batch.messages)
    ]


def day_of(row: Row) -> date:
    """Return the day (UTC) that a row is filed under: that of its admission.

    Where a message stands in the log, and since when, is the same whenever it is delivered again: so is its day.
    """
    return datetime.fromtimestamp(row.admitted_time // NANOS_PER_SECOND, UTC).date()


def _time_or_none(unix_nano: int) -> int | None:
    return unix_nano if 0 < unix_nano <= TIME_NS_MAX else None


def _attributes(attributes: object) -> str | None:
    pairs = dict(attributes)  # type: ignore[call-overload]  # A protobuf map, which has no common type.
    return json.dumps(pairs, ensure_ascii=False, sort_keys=True) if pairs else None
