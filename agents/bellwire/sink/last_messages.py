"""The newest stored message of each key of a topic, and how far the store has come. Not for the event loop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bellwire.bus.v1.message_pb2 import Message
from bellwire.sink.engine import read_files, text
from bellwire.sink.folder import DataFile, StoreFolder, by_day, is_whole

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["StoredMessage", "covered_offsets", "last_messages"]

KEYS_MAX: Final = 10_000  # Where none are named.
_FIELDS: Final = (
    '"partition", "offset", log_id, id, source, type, subject, "key", epoch_ns("time"), epoch_ns(expire_time), '
    'epoch_ns(not_before_time), correlation_id, causation_id, traceparent, tracestate, "schema", attributes, data'
)


class StoredMessage(NamedTuple):
    """A message as the sink has stored it, and its place."""

    message: Message
    partition: int
    offset: int
    log_id: int


def last_messages(
    engine: DuckDBPyConnection,
    root: Path,
    topic: str,
    keys: Sequence[str],
    logs: Sequence[int],
    *,
    any_log: bool,
    days_max: int,
) -> Sequence[StoredMessage]:
    """Return the newest message of each key: of the logs given, else, if asked for, of any log of that topic.

    It looks through the newest day first, then through ever more of the days before, until all keys are found.

    Args:
        engine: Used by nobody else meanwhile.
        root: Of the store.
        topic: Of the messages.
        keys: Keys; none = of the `KEYS_MAX` keys stored last.
        logs: Log of each partition.
        any_log: Whether messages of other logs count.
        days_max: Days looked through, the newest included.

    Raises:
        AnalyticStoreError: There is no store.
        FileNotFoundError: A compaction took a file away meanwhile: ask again.
    """
    wanted = dict.fromkeys(keys)
    found: dict[str, StoredMessage] = {}
    for paths in _chunks(root, days_max):
        left = [key for key in wanted if key not in found]
        for row in engine.execute(_newest(paths, topic, left, logs, any_log=any_log)).fetchall():
            stored = _stored(row)
            found.setdefault(stored.message.key, stored)
        if (wanted and len(found) == len(wanted)) or len(found) >= KEYS_MAX:
            break
    return list(found.values())


def covered_offsets(
    engine: DuckDBPyConnection, root: Path, topic: str, logs: Sequence[int], *, days_max: int
) -> Mapping[int, int]:
    """Return for the partitions of these logs the offset after the last one stored.

    The sink stores a partition in the order of its offsets, so that all before it were stored, too.

    Raises:
        AnalyticStoreError: There is no store.
        FileNotFoundError: A compaction took a file away meanwhile: ask again.
    """
    found: dict[int, int] = {}
    for paths in _chunks(root, days_max):
        rows = engine.execute(
            f'SELECT "partition", max("offset") + 1 FROM ({read_files(paths)}) '
            f"WHERE topic = {text(topic)} AND log_id IN ({_numbers(logs)}) GROUP BY ALL"
        ).fetchall()
        for partition, next_offset in rows:
            found.setdefault(int(partition), int(next_offset))
        if len(found) == len(logs):
            break
    return found


def _newest(
    paths: Sequence[Path], topic: str, keys: Sequence[str], logs: Sequence[int], *, any_log: bool
) -> str:
    """Return a query of the newest message of each key."""
    of_today = f"log_id IN ({_numbers(logs)})"
    where = [f"topic = {text(topic)}", "\"key\" <> ''"]
    if keys:
        where.append(f'"key" IN ({", ".join(map(text, keys))})')
    if not any_log:
        where.append(of_today)
    order = f'{of_today} DESC, CASE WHEN {of_today} THEN "offset" END DESC, admitted_time DESC, "offset" DESC'
    return (
        f"SELECT {_FIELDS} FROM ({read_files(paths)}) WHERE {' AND '.join(where)} "
        f'QUALIFY row_number() OVER (PARTITION BY "key" ORDER BY {order}) = 1 '
        f"ORDER BY admitted_time DESC LIMIT {KEYS_MAX}"
    )


def _numbers(logs: Sequence[int]) -> str:
    return ", ".join(f"{log_id}::UBIGINT" for log_id in logs)


def _chunks(root: Path, days_max: int) -> Iterator[Sequence[Path]]:
    """Return the whole files of the newest day that has any, then of two days before it, of four…"""
    folder = StoreFolder(root)
    folder.check_there()
    days = by_day(folder.files())
    if not days:
        return
    newest = max(days)
    oldest = newest - timedelta(days=days_max - 1) if days_max < newest.toordinal() else date.min
    kept = sorted((day for day in days if day >= oldest), reverse=True)
    size = 1
    while kept:
        part, kept = kept[:size], kept[size:]
        yield [file.path for day in part for file in days[day] if _can_be_read(file)]
        size *= 2


def _can_be_read(file: DataFile) -> bool:
    return is_whole(file.path)


def _stored(row: Sequence[object]) -> StoredMessage:
    (
        partition, offset, log_id, id_, source, type_, subject, key, time_ns, expire_ns, not_before_ns,
        correlation_id, causation_id, traceparent, tracestate, schema, attributes, data,
    ) = row  # fmt: skip
    message = Message(
        id=_text(id_),
        source=_text(source),
        type=_text(type_),
        subject=_text(subject),
        key=_text(key),
        time_unix_nano=_number(time_ns),
        expire_time_unix_nano=_number(expire_ns),
        not_before_time_unix_nano=_number(not_before_ns),
        correlation_id=_text(correlation_id),
        causation_id=_text(causation_id),
        traceparent=_text(traceparent),
        tracestate=_text(tracestate),
        schema=_text(schema),
        data=data if isinstance(data, bytes) else b"",
    )
    if attributes:
        message.attributes.update(json.loads(_text(attributes)))
    return StoredMessage(message, _number(partition), _number(offset), _number(log_id))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
