"""From the bytes of a serialized ColumnBatch to read-only views into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from bellwire.trading.v1.column_pb2 import ColumnBatch
from bellwire.wire.columns.columns import (
    DTYPE,
    Columns,
    check_column_count,
    check_name,
    check_row_count,
)
from bellwire.wire.columns.encoder import VALUE_BYTES, Layout, layout_of
from bellwire.wire.columns.errors import (
    ColumnLengthError,
    ColumnRepeatedError,
    ColumnsCorruptError,
)
from bellwire.wire.columns.fixed_point import check_scale

if TYPE_CHECKING:
    from bellwire.wire.columns.columns import Int64Array

SIZES_KEPT: Final = 64  # A stream has one size, and one more for its last, shorter message.
LAYOUTS_PER_SIZE: Final = 8  # Instruments that differ in scale only give payloads of one size.

# Layouts that were met and checked, by the size of their payload. Filled through `_remember` alone.
_met: dict[int, tuple[Layout, ...]] = {}


def decode_columns(data: bytes) -> Columns:
    """Return the columns of a payload as read-only views, which keep the payload alive.

    A payload laid out as one met before is only compared with it; no value is copied. One of another
    make (another language, fields in another order) is parsed each time, which copies the values as
    whole columns.

    Raises:
        ColumnsError: Its class says what is wrong.
    """
    for layout in _met.get(len(data), ()):
        if _is_laid_out(data, layout):
            return _views(data, layout)
    batch = _parse(data)
    layout = _checked_layout(batch)
    if layout.size_bytes == len(data) and _is_laid_out(data, layout):
        _remember(layout)
        return _views(data, layout)
    arrays = {column.name: _view(column.values, layout.row_count, 0) for column in batch.columns}
    return Columns.of_checked(layout.table, layout.row_count, dict(layout.scales), arrays)


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
    scales: dict[str, int] = {}
    for column in batch.columns:
        check_name("column", column.name)
        if column.name in scales:
            raise ColumnRepeatedError(column.name)
        check_scale(column.name, column.scale)
        size_bytes = len(column.values)
        if size_bytes != VALUE_BYTES * rows:
            raise ColumnLengthError(
                column.name, f"{size_bytes} bytes", f"{VALUE_BYTES * rows} for {rows} rows"
            )
        scales[column.name] = column.scale
    return layout_of(batch.table, rows, tuple(scales.items()))


def _is_laid_out(data: bytes, layout: Layout) -> bool:
    """Tell whether everything but the values is, byte for byte, what our encoder writes."""
    return all(
        data.startswith(head, offset - len(head))
        for head, offset in zip(layout.heads, layout.offsets, strict=True)
    )


def _remember(layout: Layout) -> None:
    known = _met.get(layout.size_bytes, ())
    if not known and len(_met) >= SIZES_KEPT:
        _met.pop(next(iter(_met), 0), None)
    _met[layout.size_bytes] = (layout, *known)[:LAYOUTS_PER_SIZE]


def _views(data: bytes, layout: Layout) -> Columns:
    rows = layout.row_count
    arrays = {
        name: _view(data, rows, offset)
        for (name, _), offset in zip(layout.scales, layout.offsets, strict=True)
    }
    return Columns.of_checked(layout.table, rows, dict(layout.scales), arrays)


def _view(data: bytes, row_count: int, offset: int) -> Int64Array:
    import numpy as np

    return np.frombuffer(data, DTYPE, row_count, offset)
