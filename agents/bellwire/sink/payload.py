"""Payloads as JSON, and which typed columns the payloads of the contract have."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, NoReturn, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from bellwire.trading.v1 import market_data_pb2, order_pb2, risk_pb2, signal_pb2

__all__ = ["PayloadColumn", "payload_columns", "payload_json", "view_name"]

JSON_BYTES_MAX: Final = (
    1 << 20
)  # Above, a payload stays bytes: parsing it would hold the writer up.
NANO_SUFFIX: Final = "_unix_nano"
# Decimal texts of the contract, by what they are called: they are measures, and questions add them up.
_MEASURE: Final = re.compile(r"(^|_)(qty|px|price|commission|volume|pnl|open|high|low|close)$")
_WORD_BEGINS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MODULES: Final = (market_data_pb2, order_pb2, risk_pb2, signal_pb2)


@dataclass(frozen=True, slots=True)
class PayloadColumn:
    """A field of a payload as a column.

    Attributes:
        name: The field's, without the unit of times.
        field: As it stands in the JSON.
        sql_type: VARCHAR, DOUBLE, BIGINT, BOOLEAN, TIMESTAMP_NS or JSON.
    """

    name: str
    field: str
    sql_type: str


@cache
def _types() -> Mapping[str, type[Message]]:
    return {
        descriptor.full_name: getattr(module, name)
        for module in _MODULES
        for name, descriptor in module.DESCRIPTOR.message_types_by_name.items()
    }


def payload_json(type_name: str, data: bytes) -> str | None:
    """Return a payload as JSON text: a type of the contract by its fields, JSON as it is, all else None.

    What a type of the contract cannot be read as is None too; the bytes are kept in any case.
    """
    cls = _types().get(type_name)
    if cls is not None:
        try:
            message = cls.FromString(data)
        except DecodeError:
            return None
        fields = MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return _own_json(data)


def _own_json(data: bytes) -> str | None:
    if data[:1] not in (b"{", b"[") or len(data) > JSON_BYTES_MAX:
        return None
    try:
        text = data.decode("utf-8")
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return text


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


@cache
def payload_columns(type_name: str) -> tuple[PayloadColumn, ...]:
    """Return the columns of a payload type; none for a type the contract does not have."""
    cls = _types().get(type_name)
    if cls is None:
        return ()
    # The two implementations of protobuf have a class of descriptors each; they read the same.
    return tuple(_column(cast("FieldDescriptor", found)) for found in cls.DESCRIPTOR.fields)


def view_name(type_name: str) -> str:
    """Return the name of a type's view: "bellwire.trading.v1.ExecutionReport" is `execution_report`."""
    return _WORD_BEGINS.sub("_", type_name.rpartition(".")[2]).lower()


def _column(found: FieldDescriptor) -> PayloadColumn:
    if found.name.endswith(NANO_SUFFIX):
        return PayloadColumn(found.name.removesuffix(NANO_SUFFIX), found.name, "TIMESTAMP_NS")
    return PayloadColumn(found.name, found.name, _sql_type(found))


def _sql_type(found: FieldDescriptor) -> str:
    if found.is_repeated or found.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return "JSON"
    if found.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return "BOOLEAN"
    if found.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return "DOUBLE"
    if found.cpp_type in (FieldDescriptor.CPPTYPE_STRING, FieldDescriptor.CPPTYPE_ENUM):
        return "DOUBLE" if _MEASURE.search(found.name) else "VARCHAR"
    return "HUGEINT"
