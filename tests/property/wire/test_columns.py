"""Columns of any shape come back as they were, and no payload is taken for what it is not."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import numpy as np
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from bellwire.trading.v1.column_pb2 import Column as ProtoColumn
from bellwire.trading.v1.column_pb2 import ColumnBatch
from bellwire.wire.columns import (
    Column,
    Columns,
    ColumnsError,
    decode_columns,
    encode_columns,
    from_floats,
    rows_per_message,
    split_columns,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
SPANS = (INT64, st.integers(-3, 250), st.integers(10**9, 10**9 + 60_000), st.integers(0, 2**31))
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
SCALES = st.integers(0, 18)


@st.composite
def tables(draw) -> Columns:
    rows = draw(st.integers(1, 40) | st.sampled_from([127, 128, 2_047, 2_048]))
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    columns = []
    for name in names:
        some = draw(st.lists(draw(st.sampled_from(SPANS)), min_size=1, max_size=min(rows, 10)))
        columns.append(Column(name, np.resize(np.array(some, "int64"), rows), draw(SCALES)))
    return Columns(draw(NAMES), columns)


def integers(column: ProtoColumn) -> list[int]:
    width = column.width_bytes or 8
    values = [column.values[at : at + width] for at in range(0, len(column.values), width)]
    if width == 8:
        return [int.from_bytes(value, "little", signed=True) for value in values]
    return [column.base + int.from_bytes(value, "little") for value in values]


def content(columns: Columns):
    values = {name: columns[name].tolist() for name in columns}
    return columns.table, columns.row_count, columns.scales, values


@given(tables(), st.booleans())
def test_a_table_comes_back_through_its_payload(table: Columns, narrow: bool):
    payload = encode_columns(table, narrow=narrow)
    for _ in range(2):  # The first of its layout is parsed, the next only compared.
        assert content(decode_columns(payload)) == content(table)


@given(tables())
def test_protobuf_reads_our_payload_and_we_read_protobufs(table: Columns):
    batch = ColumnBatch.FromString(encode_columns(table))
    for column in batch.columns:
        assert set(column.padding) <= {0}
        column.ClearField("padding")
    assert batch == ColumnBatch(
        table=table.table,
        row_count=table.row_count,
        columns=[
            ProtoColumn(name=name, scale=table.scale(name), values=table[name].tobytes())
            for name in table
        ],
    )
    assert content(decode_columns(batch.SerializeToString())) == content(table)


@given(tables(), st.booleans(), st.data())
def test_a_damaged_payload_is_refused_or_read_as_protobuf_reads_it(
    table: Columns, narrow: bool, data
):
    payload = bytearray(encode_columns(table, narrow=narrow))
    decode_columns(bytes(payload))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ColumnsError):
        columns = decode_columns(bytes(payload))
        batch = ColumnBatch.FromString(bytes(payload))
        assert columns.table == batch.table
        assert columns.scales == {column.name: column.scale for column in batch.columns}
        for column in batch.columns:
            assert columns[column.name].tolist() == integers(column)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_are_a_column_batch(payload: bytes):
    with contextlib.suppress(ColumnsError):
        decode_columns(payload)
        try:
            ColumnBatch.FromString(payload)
        except DecodeError:
            raise AssertionError("read what protobuf does not") from None


@given(tables(), st.integers(700, 3_000), st.booleans())
def test_parts_fit_their_limit_and_hold_every_row_once(
    table: Columns, bytes_max: int, narrow: bool
):
    parts = list(split_columns(table, bytes_max=bytes_max))
    again = [
        decode_columns(encode_columns(part, narrow=narrow, bytes_max=bytes_max)) for part in parts
    ]
    for name in table:
        assert np.concatenate([part[name] for part in again]).tolist() == table[name].tolist()
    assert all(len(part) == rows_per_message(table, bytes_max=bytes_max) for part in parts[:-1])


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=20), SCALES)
def test_a_decimal_read_as_a_float_becomes_its_digits_again(units: list[int], scale: int):
    floats = np.array([float(Decimal(unit).scaleb(-scale)) for unit in units])
    assert from_floats(floats, scale).tolist() == units
