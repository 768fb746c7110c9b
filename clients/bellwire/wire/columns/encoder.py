"""From columns to the bytes of a serialized ColumnBatch, each value copied once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from bellwire.wire.batch import DEFAULT_LIMITS
from bellwire.wire.columns.columns import Columns, check_row_count
from bellwire.wire.errors import PayloadTooLargeError

ENVELOPE_BYTES: Final = 4 << 10  # Id, names, trace and times of a message; attributes are extra.
COLUMNS_BYTES_MAX: Final = DEFAULT_LIMITS.message_bytes_max - ENVELOPE_BYTES
LAYOUTS_KEPT: Final = 256  # A stream has one, and one more for its last, shorter message.

VALUE_BYTES: Final = 8
# Tags of the fields of column.proto: number << 3 | 2 (bytes), or | 0 (varint).
_TABLE, _ROW_COUNT, _COLUMN = b"\x0a", b"\x10", b"\x1a"
_NAME, _SCALE, _PADDING, _VALUES = b"\x0a", b"\x10", b"\x1a", b"\x22"
# No padding field, or one with so many zero bytes. Sixteen, because where they make the length of
# the column a byte longer one remainder of eight is passed over.
_PADDINGS: Final = (b"", *(_PADDING + bytes([size]) + bytes(size) for size in range(16)))
PADDING_BYTES_MAX: Final = len(_PADDINGS[-1])


class Layout(NamedTuple):
    """Where everything stands in the payload of a given table, columns and number of rows."""

    table: str
    row_count: int
    scales: tuple[tuple[str, int], ...]
    """Name and scale of each column."""
    heads: tuple[bytes, ...]
    """What stands before the values of each column."""
    offsets: tuple[int, ...]
    """Where the values of each column begin; multiples of eight."""
    size_bytes: int
    """Of the whole payload."""


@lru_cache(LAYOUTS_KEPT)
def layout_of(table: str, row_count: int, scales: tuple[tuple[str, int], ...]) -> Layout:
    """Lay out a payload (Protocol Buffers encoding guide, "Message Structure")."""
    name = table.encode()
    before = _TABLE + _varint(len(name)) + name + _ROW_COUNT + _varint(row_count)
    heads, offsets, offset = [], [], 0
    for column, scale in scales:
        head = before + _column_head(column.encode(), scale, row_count, offset + len(before))
        heads.append(head)
        offsets.append(offset + len(head))
        offset = offsets[-1] + VALUE_BYTES * row_count
        before = b""
    return Layout(table, row_count, scales, tuple(heads), tuple(offsets), offset)


def encode_columns(columns: Columns, *, bytes_max: int = COLUMNS_BYTES_MAX) -> bytes:
    """Return the payload of one message.

    The values are copied by one `join`; what stands between them is made once for each layout.

    Args:
        columns: What to send.
        bytes_max: Largest payload; the default leaves room for the envelope in the server's limit.

    Raises:
        RowCountError, PayloadTooLargeError: There are more rows than fit: use `split_columns`.
    """
    check_row_count(columns.row_count)
    layout = layout_of(columns.table, columns.row_count, tuple(columns.scales.items()))
    if layout.size_bytes > bytes_max:
        raise PayloadTooLargeError(
            f"{columns.row_count} rows of {len(columns.scales)} columns take {layout.size_bytes} bytes, "
            f"limit is {bytes_max}: use split_columns()",
            metadata={"bytes": str(layout.size_bytes), "limit": str(bytes_max)},
        )
    return b"".join(_parts(layout.heads, columns))


def _parts(heads: tuple[bytes, ...], columns: Columns) -> Iterable[bytes | memoryview]:
    for head, name in zip(heads, columns, strict=True):
        values = columns[name]
        yield head
        # A strided column, such as one of a two-dimensional array, is gathered by numpy.
        yield values.data if values.flags.c_contiguous else values.tobytes()


def _column_head(name: bytes, scale: int, row_count: int, offset: int) -> bytes:
    """Return what stands before the values of a column that begins at `offset`, padded to eight."""
    values_bytes = VALUE_BYTES * row_count
    fields = _NAME + _varint(len(name)) + name + (_SCALE + _varint(scale) if scale else b"")
    values = _VALUES + _varint(values_bytes)
    for padding in _PADDINGS:
        body = fields + padding + values
        head = _COLUMN + _varint(len(body) + values_bytes) + body
        if (offset + len(head)) % VALUE_BYTES == 0:
            return head
    raise AssertionError("paddings reach every remainder of eight")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:  # Seven bits each, the lowest first; the eighth says that more follow.
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
