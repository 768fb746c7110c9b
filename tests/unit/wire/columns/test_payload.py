"""The payload of columns: what our encoder writes, what the decoder takes from anybody, what it refuses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from bellwire.trading.v1.column_pb2 import Column as ProtoColumn
from bellwire.trading.v1.column_pb2 import ColumnBatch
from bellwire.wire.batch import DEFAULT_LIMITS
from bellwire.wire.columns import (
    COLUMNS_BYTES_MAX,
    ROWS_MAX,
    Column,
    ColumnCountError,
    ColumnLengthError,
    ColumnNameError,
    ColumnRepeatedError,
    Columns,
    ColumnScaleError,
    ColumnsCorruptError,
    ColumnsError,
    ColumnWidthError,
    RowCountError,
    decode_columns,
    decoder,
    encode_columns,
    rows_per_message,
    split_columns,
)
from bellwire.wire.columns.layout import Field, layout_of
from bellwire.wire.errors import PayloadTooLargeError


def columns_of(rows: int, names: str = "ab", scale: int = 2) -> Columns:
    return Columns(
        "t", [Column(name, np.arange(rows) + 7 * n, scale) for n, name in enumerate(names)]
    )


THREE = np.arange(3, dtype="<i8").tobytes()
TWO_COLUMNS = (
    ProtoColumn(name="a", scale=2, values=THREE),
    ProtoColumn(name="b", values=THREE),
)


def proto(
    *, table: str = "t", row_count: int = 3, columns: Iterable[ProtoColumn] = TWO_COLUMNS
) -> ColumnBatch:
    return ColumnBatch(table=table, row_count=row_count, columns=columns)


def test_the_payload_is_a_serialized_column_batch():
    batch = ColumnBatch.FromString(encode_columns(columns_of(3)))
    assert (batch.table, batch.row_count) == ("t", 3)
    assert [(column.name, column.scale) for column in batch.columns] == [("a", 2), ("b", 2)]
    assert np.frombuffer(batch.columns[1].values, "<i8").tolist() == [7, 8, 9]


@pytest.mark.parametrize("names", ["a", "ab", "abcdefghij"])
@pytest.mark.parametrize("rows", [1, 15, 16, 2_048, 2_049])
def test_what_is_read_are_aligned_read_only_views_into_the_payload(rows, names):
    payload = encode_columns(columns_of(rows, names))
    for _ in range(2):  # The first of its layout, and one more like it.
        columns = decode_columns(payload)
        for name in names:
            view = columns[name]
            assert np.shares_memory(view, np.frombuffer(payload, np.uint8))
            assert view.flags.aligned
            assert not view.flags.writeable


def test_every_layout_is_aligned():
    for rows in (*range(1, 40, 3), 126, 127, 2_030, 2_047, 2_048, 65_536):
        for name_bytes in range(1, 65):
            for scale in (0, 1):
                for width in (1, 2, 4, 8):
                    name = "x" * name_bytes
                    fields = (Field(name, scale, width), Field("b", scale, width))
                    layout = layout_of("t", rows, fields)
                    assert [offset % 8 for offset in layout.offsets] == [0, 0]


@pytest.mark.parametrize("smallest", [-(2**63), -200, 0, 2**63 - 2**32])
@pytest.mark.parametrize(
    ("span", "width"), [(0, 1), (255, 1), (256, 2), (1 << 16, 4), (1 << 32, 8)]
)
def test_a_narrow_column_has_the_bytes_that_its_span_needs(smallest, span, width):
    largest = min(smallest + span, 2**63 - 1)
    values = np.array([smallest, largest, smallest])
    payload = encode_columns(Columns("t", [Column("a", values, 2)]), narrow=True)
    if largest - smallest == span:
        assert len(ColumnBatch.FromString(payload).columns[0].values) == 3 * width
    for _ in range(2):
        columns = decode_columns(payload)
        assert columns["a"].tolist() == values.tolist()
        assert columns["a"].dtype == np.dtype("int64")
        assert not columns["a"].flags.writeable


def test_a_narrow_column_of_another_writer_is_read_too():
    column = ProtoColumn(name="a", width_bytes=2, base=-5, values=b"\x00\x00\xff\xff")
    columns = decode_columns(proto(row_count=2, columns=[column]).SerializeToString())
    assert columns["a"].tolist() == [-5, 65_530]


def test_a_strided_column_is_gathered():
    table = np.arange(6).reshape(3, 2)
    payload = encode_columns(Columns("t", [Column("second", table[:, 1])]))
    assert decode_columns(payload)["second"].tolist() == [1, 3, 5]


def test_a_batch_of_another_writer_is_read_too():
    columns = decode_columns(proto().SerializeToString())
    assert columns.scales == {"a": 2, "b": 0}
    assert columns["b"].tolist() == [0, 1, 2]
    assert not columns["b"].flags.writeable


def test_payloads_of_one_size_that_differ_in_scale_are_told_apart():
    payloads = {scale: encode_columns(columns_of(4, scale=scale)) for scale in range(1, 19)}
    assert len(set(map(len, payloads.values()))) == 1
    for _ in range(2):
        for scale, payload in payloads.items():
            assert decode_columns(payload).scale("a") == scale


def test_what_is_remembered_of_layouts_is_bounded():
    for rows in range(1, 200):
        for scale in range(1, 19):
            decode_columns(encode_columns(columns_of(rows, "a", scale)))
    assert len(decoder._met) <= decoder.SIZES_KEPT
    assert max(map(len, decoder._met.values())) <= decoder.LAYOUTS_PER_SIZE


VALUES = bytes(24)


@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [
        (proto(table=""), ColumnNameError, "table is ''"),
        (proto(row_count=0), RowCountError, "0 rows"),
        (proto(row_count=ROWS_MAX + 1), RowCountError, "65537 rows"),
        (proto(columns=[]), ColumnCountError, "0 columns"),
        (proto(columns=[ProtoColumn(name=f"{n}") for n in range(65)]), ColumnCountError, "65"),
        (proto(columns=[ProtoColumn(values=VALUES)]), ColumnNameError, "column is ''"),
        (proto(columns=[ProtoColumn(name="a", values=VALUES)] * 2), ColumnRepeatedError, "twice"),
        (
            proto(columns=[ProtoColumn(name="a", scale=19, values=VALUES)]),
            ColumnScaleError,
            "is 19, expected an integer from 0 to 18",
        ),
        (
            proto(columns=[ProtoColumn(name="a", values=bytes(23))]),
            ColumnLengthError,
            "'a' holds 23 bytes, expected 24 for 3 rows",
        ),
        (
            proto(columns=[ProtoColumn(name="a", width_bytes=3, values=bytes(9))]),
            ColumnWidthError,
            "'a' have 3 bytes each, 1, 2, 4 or 8",
        ),
        (
            proto(columns=[ProtoColumn(name="a", width_bytes=4, values=bytes(24))]),
            ColumnLengthError,
            "24 bytes, expected 12 for 3 rows",
        ),
        (
            proto(columns=[ProtoColumn(name="a", width_bytes=1, base=2**63 - 1, values=b"abc")]),
            ColumnsCorruptError,
            "'a' reaches beyond 64 bits",
        ),
        (proto(row_count=4), ColumnLengthError, "24 bytes, expected 32 for 4 rows"),
    ],
)
def test_a_payload_with_wrong_columns_is_refused(batch, error, words):
    with pytest.raises(error, match=words):
        decode_columns(batch.SerializeToString())


def test_what_is_no_column_batch_is_refused():
    with pytest.raises(ColumnsCorruptError, match="5 bytes is no serialized ColumnBatch"):
        decode_columns(b"\xff" * 5)


def test_a_payload_cut_within_a_column_is_refused_even_when_its_layout_is_known():
    payload = encode_columns(columns_of(3))
    decode_columns(payload)
    first_column_ends = payload.index(np.arange(3).tobytes()) + 24
    for size in set(range(len(payload))) - {first_column_ends}:
        with pytest.raises(ColumnsError):
            decode_columns(payload[:size])


def test_more_rows_than_a_message_takes_are_refused_with_the_way_out():
    with pytest.raises(PayloadTooLargeError, match=f"limit is {COLUMNS_BYTES_MAX}: use split"):
        encode_columns(columns_of(40_000))
    with pytest.raises(RowCountError, match="use split"):
        encode_columns(columns_of(ROWS_MAX + 1, "a"))
    with pytest.raises(PayloadTooLargeError, match="limit is 100"):
        encode_columns(columns_of(10), bytes_max=100)


def test_the_largest_payload_leaves_room_for_its_envelope():
    assert DEFAULT_LIMITS.message_bytes_max >= COLUMNS_BYTES_MAX + 4_096


@pytest.mark.parametrize("rows_max", [None, 1_000])
def test_any_number_of_rows_is_cut_into_messages_that_fit(rows_max):
    columns = columns_of(100_000, "abcde")
    parts = list(split_columns(columns, rows_max=rows_max))
    assert all(len(encode_columns(part)) <= COLUMNS_BYTES_MAX for part in parts)
    assert all(np.shares_memory(part["a"], columns["a"]) for part in parts)
    assert np.concatenate([part["e"] for part in parts]).tolist() == columns["e"].tolist()
    assert len(parts) == (100 if rows_max else 8)


def test_a_limit_below_one_row_is_refused():
    with pytest.raises(PayloadTooLargeError, match="one row of 2 columns"):
        rows_per_message(columns_of(5), bytes_max=60)
