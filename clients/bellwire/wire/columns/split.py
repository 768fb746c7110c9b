"""Cuts columns into messages."""

from __future__ import annotations

from collections.abc import Iterator

from bellwire.wire.columns.columns import ROWS_MAX, Columns
from bellwire.wire.columns.encoder import COLUMNS_BYTES_MAX
from bellwire.wire.columns.layout import HEAD_BYTES_MORE, VALUE_BYTES, Field, layout_of
from bellwire.wire.errors import PayloadTooLargeError


def rows_per_message(columns: Columns, *, bytes_max: int = COLUMNS_BYTES_MAX) -> int:
    """Return how many rows of such columns fit into one payload, be it narrow or not.

    Args:
        columns: Any rows of the table; names and scales count, not how many there are.
        bytes_max: Largest payload.

    Raises:
        PayloadTooLargeError: Not even one row fits.
    """
    fields = tuple(Field(name, scale, VALUE_BYTES) for name, scale in columns.scales.items())
    # The largest payload has the longest lengths, but perhaps neither a base nor the longest padding.
    largest = layout_of(columns.table, ROWS_MAX, fields)
    heads_bytes = sum(len(piece) + HEAD_BYTES_MORE for _, piece in largest.pieces)
    rows = (bytes_max - heads_bytes) // (VALUE_BYTES * len(fields))
    if rows < 1:
        raise PayloadTooLargeError(
            f"one row of {len(fields)} columns takes {heads_bytes + VALUE_BYTES * len(fields)} bytes, "
            f"limit is {bytes_max}: send fewer columns",
            metadata={"limit": str(bytes_max)},
        )
    return min(rows, ROWS_MAX)


def split_columns(
    columns: Columns, *, rows_max: int | None = None, bytes_max: int = COLUMNS_BYTES_MAX
) -> Iterator[Columns]:
    """Yield the rows in order as batches that fit into a message each, as views.

    Args:
        columns: What to send, any number of rows.
        rows_max: Rows in one batch, at least 1; None = as many as fit.
        bytes_max: Largest payload.

    Raises:
        PayloadTooLargeError: Not even one row fits.
    """
    step = rows_per_message(columns, bytes_max=bytes_max)
    if rows_max is not None:
        assert rows_max >= 1, "a batch has at least one row"
        step = min(step, rows_max)
    for start in range(0, columns.row_count, step):
        yield columns.rows(start, start + step)
