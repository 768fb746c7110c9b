"""A table: how one kind of record lies in rows, and the checksum by which a damaged one is found.

SQLite checks the shape of its pages, not what is in them: a flipped bit in a cursor would quietly lose
messages. So every row carries a CRC-32 over all its other columns.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar
from zlib import crc32

from google.protobuf.message import DecodeError

from bellwire.wire.errors import DataCorruptError

Value: TypeAlias = "int | str | bytes"
Row: TypeAlias = tuple[Any, ...]  # As sqlite3 types it.
R = TypeVar("R")


@dataclass(frozen=True)
class Table(Generic[R]):
    """One table and the record it holds.

    Attributes:
        keys: How many of the columns, the first ones, make the primary key.
        pack: From a record to its columns, without the checksum.
        unpack: Back from them.
    """

    name: str
    columns: tuple[str, ...]
    keys: int
    pack: Callable[[R], tuple[Value, ...]]
    unpack: Callable[..., R]

    @property
    def upsert(self) -> str:
        """Return the statement that adds a row or replaces the one with its key."""
        marks = ",".join("?" * (len(self.columns) + 1))
        return f"INSERT OR REPLACE INTO {self.name} ({self._names}) VALUES ({marks})"

    @property
    def select(self) -> str:
        """Return the statement that reads every row; conditions can be added."""
        return f"SELECT {self._names} FROM {self.name}"

    @property
    def order(self) -> str:
        """Return the clause that puts rows into the order of their key."""
        return f" ORDER BY {','.join(self.columns[: self.keys])}"

    @property
    def _names(self) -> str:
        return ",".join((*self.columns, "checksum"))

    def row(self, record: R) -> tuple[Value, ...]:
        """Return a record as the row to be written."""
        values = self.pack(record)
        return (*values, self.checksum(values))

    def record(self, row: Row) -> R:
        """Return the record a row holds.

        Raises:
            DataCorruptError: It is not what was written.
        """
        values = self.verified(row)
        try:
            return self.unpack(*values)
        except (ValueError, TypeError, struct.error, DecodeError):
            raise self.corrupt(values) from None  # Whatever it is, nobody has written it.

    def verified(self, row: Row) -> list[Value]:
        """Return a row's columns without the checksum.

        Raises:
            DataCorruptError: It is not what was written.
        """
        *values, checksum = row
        try:
            if self.checksum(values) == checksum:
                return values
        except TypeError:
            pass  # Of a broken row, values may be of any type, or missing.
        raise self.corrupt(values)

    def checksum(self, values: Sequence[Value]) -> int:
        """Return what the row's last column must say."""
        parts = [self.name.encode()]
        for value in values:
            if isinstance(value, int):
                parts.append(b"i%d" % value)
            elif isinstance(value, str):
                data = value.encode()
                parts += (b"s%d:" % len(data), data)
            else:
                parts += (b"b%d:" % len(value), value)
        return crc32(b"".join(parts))

    def corrupt(self, values: Sequence[object]) -> DataCorruptError:
        """Return the error that names a row by its key."""
        key = ", ".join(
            f"{column} {value!r}"
            for column, value in zip(self.columns[: self.keys], values, strict=False)
        )
        return DataCorruptError(
            f"row of {self.name} with {key} is not what was written: run `bellwire doctor` on the data folder",
            metadata={"table": self.name, "key": key},
        )
