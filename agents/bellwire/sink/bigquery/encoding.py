"""Rows as protobuf messages of a type made from our columns. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from bellwire.sink.columns import COLUMNS, Row

__all__ = ["RowEncoder"]

_MESSAGE: Final = "BellwireMessage"
_NANOS_PER_MICRO: Final = 1_000
# What BigQuery takes for the types of `table`.
_FIELD_TYPES: Final = {
    "VARCHAR": FieldDescriptorProto.TYPE_STRING,
    "INTEGER": FieldDescriptorProto.TYPE_INT64,
    "BIGINT": FieldDescriptorProto.TYPE_INT64,
    "UBIGINT": FieldDescriptorProto.TYPE_UINT64,
    "TIMESTAMP_NS": FieldDescriptorProto.TYPE_INT64,
    "BOOLEAN": FieldDescriptorProto.TYPE_BOOL,
    "BLOB": FieldDescriptorProto.TYPE_BYTES,
}


class RowEncoder:
    """Encodes rows for a table that has some of our columns.

    Attributes:
        columns: Those it encodes.
        descriptor: Of the encoded messages; goes before the first of them. proto2, as the API wants it: what is
            not set is NULL, and an empty text is an empty text.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        # A field keeps its number, whichever other columns there are.
        chosen = [
            (number, column)
            for number, column in enumerate(COLUMNS, 1)
            if column.name in self.columns
        ]
        self.descriptor = DescriptorProto(
            name=_MESSAGE,
            field=[
                FieldDescriptorProto(
                    name=column.name,
                    number=number,
                    type=_FIELD_TYPES[column.sql_type],
                    label=FieldDescriptorProto.LABEL_OPTIONAL,
                )
                for number, column in chosen
            ],
        )
        self._plain = [
            (number - 1, column.name)
            for number, column in chosen
            if column.sql_type != "TIMESTAMP_NS"
        ]
        self._times = [
            (number - 1, column.name)
            for number, column in chosen
            if column.sql_type == "TIMESTAMP_NS"
        ]
        self._class = _message_class(self.descriptor)

    def encode(self, row: Row) -> bytes:
        """Return a row as a message; times lose what is below a microsecond."""
        values: dict[str, Any] = {name: row[index] for index, name in self._plain}
        for index, name in self._times:
            nanos: Any = row[index]
            values[name] = None if nanos is None else nanos // _NANOS_PER_MICRO
        encoded: bytes = self._class(**values).SerializeToString()
        return encoded


def _message_class(descriptor: DescriptorProto) -> Any:
    """Return the class, from a pool of its own: another table may have other columns."""
    pool = DescriptorPool()
    file = FileDescriptorProto(
        name="bellwire_message.proto", syntax="proto2", message_type=[descriptor]
    )
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(_MESSAGE))
