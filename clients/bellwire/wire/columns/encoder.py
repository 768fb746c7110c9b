"""From columns to the bytes of a serialized ColumnBatch."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, Final

from bellwire.wire.batch import DEFAULT_LIMITS
from bellwire.wire.columns.columns import Columns, check_row_count
from bellwire.wire.columns.layout import VALUE_BYTES, WIDTHS, Field, layout_of
from bellwire.wire.errors import PayloadTooLargeError

if TYPE_CHECKING:
    from bellwire.wire.columns.columns import Int64Array

ENVELOPE_BYTES: Final = 4 << 10  # Id, names, trace and times of a message; attributes are extra.
COLUMNS_BYTES_MAX: Final = DEFAULT_LIMITS.message_bytes_max - ENVELOPE_BYTES
_BASE: Final = Struct("<q")


def encode_columns(
    columns: Columns, *, narrow: bool = False, bytes_max: int = COLUMNS_BYTES_MAX
) -> bytes:
    """Return the payload of one message.

    All columns are copied by one `join`; what stands between them is made once for each layout.

    Args:
        columns: What to send.
        narrow: Write each column in as few bytes per value as the distance of its largest to its
            smallest value needs. The payload of a feed is a third and compresses faster; a reader
            widens each column to int64, instead of reading it in place.
        bytes_max: Largest payload; the default leaves room for the envelope in the server's limit.

    Raises:
        RowCountError, PayloadTooLargeError: There are more rows than fit: use `split_columns`.
    """
    check_row_count(columns.row_count)
    # (base, width, values) of each column
    written = [_narrowed(columns[name]) if narrow else _whole(columns[name]) for name in columns]
    fields = tuple(
        Field(name, scale, width)
        for (name, scale), (_, width, _) in zip(columns.scales.items(), written, strict=True)
    )
    layout = layout_of(columns.table, columns.row_count, fields)
    if layout.size_bytes > bytes_max:
        raise PayloadTooLargeError(
            f"{columns.row_count} rows of {len(fields)} columns take {layout.size_bytes} bytes, "
            f"limit is {bytes_max}: use split_columns()",
            metadata={"bytes": str(layout.size_bytes), "limit": str(bytes_max)},
        )
    return b"".join(_parts(layout.heads, written))


def _parts(
    heads: tuple[tuple[bytes, bytes], ...], written: list[tuple[int, int, bytes | memoryview]]
) -> Iterator[bytes | memoryview]:
    for (first, second), (base, _, values) in zip(heads, written, strict=True):
        yield first
        if second:
            yield _BASE.pack(base)
            yield second
        yield values


def _whole(values: Int64Array) -> tuple[int, int, bytes | memoryview]:
    # A strided column, such as one of a two-dimensional array, is gathered by numpy.
    plain = values.data if values.flags.c_contiguous else values.tobytes()
    return 0, VALUE_BYTES, plain


def _narrowed(values: Int64Array) -> tuple[int, int, bytes | memoryview]:
    base = int(values.min())
    span = int(values.max()) - base
    width = next(width for width in WIDTHS if span >> (8 * width) == 0)
    if width == VALUE_BYTES:
        return _whole(values)
    return base, width, (values - base).astype(f"<u{width}").data
