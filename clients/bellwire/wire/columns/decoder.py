"""From the bytes of a serialized ColumnBatch to read-only arrays, views into them where they are int64."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from bellwire.trading.v1.column_pb2 import Column, ColumnBatch
from bellwire.wire.columns.columns import (
    DTYPE,
    Columns,
    check_column_count,
    check_name,
    check_numpy,
    check_row_count,
)
from bellwire.wire.columns.errors import (
    ColumnLengthError,
    ColumnRepeatedError,
    ColumnsCorruptError,
    ColumnWidthError,
)
from bellwire.wire.columns.fixed_point import check_scale
from bellwire.wire.columns.layout import (
    BASE_BYTES,
    VALUE_BYTES,
    WIDTHS,
    Field,
    Layout,
    layout_of,
)

if TYPE_CHECKING:
    from bellwire.wire.columns.columns import Int64Array

SIZES_KEPT: Final = 64  # A stream has one size, and one more for its last, shorter message.
LAYOUTS_PER_SIZE: Final = 8  # Instruments that differ in scale only give payloads of one size.
INT64_MAX: Final = (1 << 63) - 1
_BASE: Final = Struct("<q")

# Layouts that were met and checked, by the size of their payload. Filled through `_remember` alone.
_met: dict[int, tuple[Layout, ...]] = {}


def decode_columns(data: bytes) -> Columns:
    """Return the columns of a payload as read-only arrays.

    A column of eight bytes is a view, which keeps the payload alive: no value is copied. A narrower one
    is widened. A payload laid out as one met before is only compared with it; one of another make
    (another language, fields in another order) is parsed each time, which copies whole columns.

    Raises:
        ColumnsError: Its class says what is wrong.
    """
    for layout in _met.get(len(data), ()):
        if _is_laid_out(data, layout):
            return _read(data, layout)
    check_numpy()
    batch = _parse(data)
    layout = _checked_layout(batch)
    if layout.size_bytes == len(data) and _is_laid_out(data, layout):
        _remember(layout)
        return _read(data, layout)
    arrays = [
        _array(column.values, field, layout.row_count, 0, column.base)
        for field, column in zip(layout.fields, batch.columns, strict=True)
    ]
    return _hold(layout, arrays)


def _parse(data: bytes) -> ColumnBatch:
    try:
        return ColumnBatch.FromString(data)
    except DecodeError:
        raise ColumnsCorruptError(
            f"payload of {len(data)} bytes is no serialized ColumnBatch: it was damaged, or is of another type"
        ) from None


def _checked_layout(batch: ColumnBatch) -> Layout:
    """Check all but the values themselves, of which every one is valid."""
    rows = batch.row_count
    check_name("table", batch.table)
    check_column_count(len(batch.columns))
    check_row_count(rows)
    fields: dict[str, Field] = {}
    for column in batch.columns:
        if column.name in fields:
            raise ColumnRepeatedError(column.name)
        fields[column.name] = _checked_field(column, rows)
    return layout_of(batch.table, rows, tuple(fields.values()))


def _checked_field(column: Column, rows: int) -> Field:
    check_name("column", column.name)
    check_scale(column.name, column.scale)
    width = column.width_bytes or VALUE_BYTES
    if width not in WIDTHS:
        raise ColumnWidthError(column.name, width)
    if len(column.values) != width * rows:
        raise ColumnLengthError(
            column.name, f"{len(column.values)} bytes", f"{width * rows} for {rows} rows"
        )
    return Field(column.name, column.scale, width)


def _is_laid_out(data: bytes, layout: Layout) -> bool:
    """Tell whether all but values and their bases is, byte for byte, what our encoder writes."""
    return all(data.startswith(piece, at) for at, piece in layout.pieces)


def _remember(layout: Layout) -> None:
    known = _met.get(layout.size_bytes, ())
    if not known and len(_met) >= SIZES_KEPT:
        _met.pop(next(iter(_met), 0), None)
    _met[layout.size_bytes] = (layout, *known)[:LAYOUTS_PER_SIZE]


def _read(data: bytes, layout: Layout) -> Columns:
    arrays = []
    for field, (_, second), offset in zip(layout.fields, layout.heads, layout.offsets, strict=True):
        base_at = offset - len(second) - BASE_BYTES
        base = _BASE.unpack_from(data, base_at)[0] if second else 0
        arrays.append(_array(data, field, layout.row_count, offset, base))
    return _hold(layout, arrays)


def _hold(layout: Layout, arrays: list[Int64Array]) -> Columns:
    fields = layout.fields
    scales = {field.name: field.scale for field in fields}
    by_name = {field.name: array for field, array in zip(fields, arrays, strict=True)}
    return Columns.of_checked(layout.table, layout.row_count, scales, by_name)


def _array(data: bytes, field: Field, row_count: int, offset: int, base: int) -> Int64Array:
    import numpy as np

    if field.width_bytes == VALUE_BYTES:
        return np.frombuffer(data, DTYPE, row_count, offset)
    values = np.frombuffer(data, f"<u{field.width_bytes}", row_count, offset).astype(DTYPE)
    if base + (1 << 8 * field.width_bytes) > INT64_MAX and base + int(values.max()) > INT64_MAX:
        raise ColumnsCorruptError(
            f"column {field.name!r} reaches beyond 64 bits: its base is {base}, write it whole"
        )
    values += base
    values.flags.writeable = False
    return values
