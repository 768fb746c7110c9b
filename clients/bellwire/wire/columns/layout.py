"""Where everything stands in the payload of columns: made once for each table, columns and number of rows."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

LAYOUTS_KEPT: Final = 256  # A stream has one, and one more for its last, shorter message.
VALUE_BYTES: Final = 8
BASE_BYTES: Final = 8
WIDTHS: Final = (1, 2, 4, VALUE_BYTES)

# Tags of the fields of column.proto: number << 3 | 2 (bytes), | 1 (64 bit) or | 0 (varint).
_TABLE, _ROW_COUNT, _COLUMN = b"\x0a", b"\x10", b"\x1a"
_NAME, _SCALE, _WIDTH, _BASE, _PADDING, _VALUES = (
    bytes([number << 3 | wire_type])
    for number, wire_type in ((1, 2), (2, 0), (3, 0), (4, 1), (5, 2), (6, 2))
)
# No padding field, or one with so many zero bytes. Sixteen, because where they make the length of
# the column a byte longer one remainder of eight is passed over.
_PADDINGS: Final = (b"", *(_PADDING + bytes([size]) + bytes(size) for size in range(16)))
HEAD_BYTES_MORE: Final = len(_PADDINGS[-1]) + len(_WIDTH) + 1 + len(_BASE) + BASE_BYTES
"""How much longer the head of a narrow, padded column is than that of a whole one without padding."""


class Field(NamedTuple):
    """What is written of a column besides its values and their base."""

    name: str
    scale: int
    width_bytes: int


class Layout(NamedTuple):
    """A payload without its values."""

    table: str
    row_count: int
    fields: tuple[Field, ...]
    heads: tuple[tuple[bytes, bytes], ...]
    """What stands before the values of each column; between the two parts the base, where it has one."""
    offsets: tuple[int, ...]
    """Where the values of each column begin; multiples of eight."""
    pieces: tuple[tuple[int, bytes], ...]
    """The parts of all heads and where they stand."""
    size_bytes: int
    """Of the whole payload."""


@lru_cache(LAYOUTS_KEPT)
def layout_of(table: str, row_count: int, fields: tuple[Field, ...]) -> Layout:
    """Lay out a payload (Protocol Buffers encoding guide, "Message Structure")."""
    name = table.encode()
    before = _TABLE + _varint(len(name)) + name + _ROW_COUNT + _varint(row_count)
    heads, offsets, pieces, offset = [], [], [], 0
    for field in fields:
        first, second = _column_head(field, row_count, offset + len(before))
        first, before = before + first, b""
        values_at = offset + len(first) + len(second) + (BASE_BYTES if second else 0)
        heads.append((first, second))
        offsets.append(values_at)
        pieces += [(offset, first), (values_at - len(second), second)]
        offset = values_at + field.width_bytes * row_count
    met = tuple((at, piece) for at, piece in pieces if piece)
    return Layout(table, row_count, fields, tuple(heads), tuple(offsets), met, offset)


def _column_head(field: Field, row_count: int, offset: int) -> tuple[bytes, bytes]:
    """Return what stands around the base of a column that begins at `offset`, padded to eight."""
    name, values_bytes = field.name.encode(), field.width_bytes * row_count
    names = _NAME + _varint(len(name)) + name
    scale = _SCALE + _varint(field.scale) if field.scale else b""
    narrow = field.width_bytes < VALUE_BYTES
    width = _WIDTH + _varint(field.width_bytes) + _BASE if narrow else b""
    first, base_bytes = names + scale + width, BASE_BYTES if narrow else 0
    for padding in _PADDINGS:
        second = padding + _VALUES + _varint(values_bytes)
        size = _COLUMN + _varint(len(first) + base_bytes + len(second) + values_bytes)
        if (offset + len(size) + len(first) + base_bytes + len(second)) % VALUE_BYTES == 0:
            return (size + first, second) if narrow else (size + first + second, b"")
    raise AssertionError("paddings reach every remainder of eight")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:  # Seven bits each, the lowest first; the eighth says that more follow.
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
