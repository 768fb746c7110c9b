"""The tables a query sees: all messages, one for each topic, one for each payload type of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bellwire.sink.columns import COLUMNS, IDENTITY, TIME_NS_MAX
from bellwire.sink.engine import distinct_rows, quoted, read_files, text
from bellwire.sink.folder import DataFile, by_day
from bellwire.sink.payload import PayloadColumn, payload_columns, view_name

__all__ = ["DAILY_SCHEMA", "TYPE_SCHEMA", "View", "messages_view", "topic_views", "type_views"]

TYPE_SCHEMA: Final = "trading"
DAILY_SCHEMA: Final = "daily"
_OWN: Final = frozenset(column.name for column in COLUMNS) | {"day", "trace_id", "span_id"}
# W3C: version-traceid-spanid-flags, of 2, 32, 16 and 2 hex digits.
_TRACE: Final = (
    "CASE WHEN length(traceparent) = 55 THEN substr(traceparent, 4, 32) END AS trace_id, "
    "CASE WHEN length(traceparent) = 55 THEN substr(traceparent, 37, 16) END AS span_id"
)


class View:
    """A table by name.

    Attributes:
        schema: Part before the dot; "main" = none is needed.
        name: Its name.
        sql: What it selects.
        other_name: True when the same table has a handier name.
    """

    def __init__(self, schema: str, name: str, sql: str, *, other_name: bool = False) -> None:
        self.schema = schema
        self.name = name
        self.sql = sql
        self.other_name = other_name

    @property
    def is_base(self) -> bool:
        """True of the table that all others are made of."""
        return (self.schema, self.name) == ("main", "messages")

    @property
    def written(self) -> str:
        """How a query names it."""
        parts = (self.name,) if self.schema == "main" else (self.schema, self.name)
        return ".".join(part if _is_plain(part) else quoted(part) for part in parts)

    def create(self, *, replace: bool = False) -> str:
        """Return the SQL that makes it."""
        word = "CREATE OR REPLACE" if replace else "CREATE"
        return f"{word} VIEW {quoted(self.schema)}.{quoted(self.name)} AS {self.sql}"


def messages_view(files: Sequence[DataFile]) -> View:
    """Return the table of all messages, each once.

    A day in one file holds each message once, and is read as it is. Of a day in several files, each message is
    taken once by topic, source and id.
    """
    single: list[Path] = []
    several: list[Path] = []
    for of_day in by_day(files).values():
        (single if len(of_day) == 1 else several).extend(file.path for file in of_day)
    rows = f"({read_files(single)})"
    if several:
        rows += f" UNION ALL BY NAME ({_each_once(read_files(several))})"
    return View("main", "messages", f"SELECT *, {_TRACE} FROM ({rows})")


def _each_once(rows: str) -> str:
    """Return a query of rows that shows each message of a day once.

    Most messages are there once, and to count identities costs much less than to rank all rows; only the others are
    ranked.
    """
    names = ", ".join(("day", *(quoted(name) for name in IDENTITY)))
    again = f"SELECT {names} FROM ({rows}) GROUP BY ALL HAVING count(*) > 1"
    several = distinct_rows(f"SELECT * FROM ({rows}) SEMI JOIN again USING ({names})", also="day")
    return (
        f"WITH again AS ({again}) SELECT * FROM ({rows}) ANTI JOIN again USING ({names}) "
        f"UNION ALL BY NAME ({several})"
    )


def topic_views(topics: Mapping[str, Iterable[str]]) -> Iterator[View]:
    """Return a table for each topic: its messages, and the fields of the payload types it carries.

    "signals.tactical" is the table `signals.tactical`, and as every topic `"signals.tactical"`, its name in quotes.
    """
    for topic, types in sorted(topics.items()):
        columns = [column for type_name in sorted(types) for column in payload_columns(type_name)]
        sql = _selected(columns, f"topic = {text(topic)}")
        schema, _, rest = topic.partition(".")
        is_dotted = bool(schema and rest) and "." not in rest and schema not in RESERVED_SCHEMAS
        if is_dotted:
            yield View(schema, rest, sql)
        if topic not in RESERVED_NAMES:
            yield View("main", topic, sql, other_name=is_dotted)


def type_views(topics: Mapping[str, Iterable[str]]) -> Iterator[View]:
    """Return a table for each payload type of the contract that was stored, over all topics."""
    for type_name in sorted({name for types in topics.values() for name in types}):
        columns = payload_columns(type_name)
        if columns:
            yield View(
                TYPE_SCHEMA, view_name(type_name), _selected(columns, f"type = {text(type_name)}")
            )


RESERVED_NAMES: Final = frozenset({"messages", "answers"})
RESERVED_SCHEMAS: Final = frozenset(
    {
        "main",
        "temp",
        "system",
        "memory",
        "information_schema",
        "pg_catalog",
        TYPE_SCHEMA,
        DAILY_SCHEMA,
    }
)


def _selected(columns: Iterable[PayloadColumn], where: str) -> str:
    typed: dict[str, str] = {}
    for column in columns:
        name = f"payload_{column.name}" if column.name in _OWN else column.name
        typed.setdefault(name, _extracted(column))
    made = "".join(f", {sql} AS {quoted(name)}" for name, sql in typed.items())
    return f"SELECT *{made} FROM main.messages WHERE {where}"


def _extracted(column: PayloadColumn) -> str:
    """Return SQL that reads a field; what is no such value, in an older or newer type, is NULL."""
    path = text(f"$.{column.field}")
    if column.sql_type == "JSON":
        return f"json_extract(payload, {path})"
    found = f"json_extract_string(payload, {path})"
    if column.sql_type == "TIMESTAMP_NS":
        nanos = f"TRY_CAST({found} AS BIGINT)"
        return f"make_timestamp_ns(CASE WHEN {nanos} BETWEEN 1 AND {TIME_NS_MAX} THEN {nanos} END)"
    return found if column.sql_type == "VARCHAR" else f"TRY_CAST({found} AS {column.sql_type})"


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isidentifier() and name == name.lower()
