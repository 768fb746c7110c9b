"""Checks a batch of L2 updates as a whole: nothing of a bad one reaches the book."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.book._ladder import PRICE_MAX
from bellwire.agents.book.errors import BookGapError, BookScaleError, BookUpdateError
from bellwire.agents.book.l2 import FLAGS, PRICE, SEQUENCE, SIDE, SIZE, Flag, Side
from bellwire.wire.columns import Columns

Int64Array = NDArray[np.int64]
_FLAGS_KNOWN: Final = int(Flag.SNAPSHOT)


class Updates(NamedTuple):
    """The rows of a batch that count."""

    first_row: int
    """Where they begin; what stands before belongs to a book that the batch itself replaces."""
    snapshot: bool
    """Whether they begin with a snapshot."""
    sequences: Int64Array
    prices: Int64Array
    sizes: Int64Array
    sides: Int64Array


def checked_updates(columns: Columns, price_scale: int, size_scale: int) -> Updates:
    """Return the rows from the last snapshot on, or all of them.

    Raises:
        ColumnMissingError: The table lacks a column.
        BookScaleError: Prices or sizes have another scale.
        BookUpdateError: A value is outside its range.
        BookGapError: Sequences do not go on one by one.
    """
    _check_scale(columns, PRICE, price_scale)
    _check_scale(columns, SIZE, size_scale)
    first_row, snapshot = _begin(columns)
    sequences, prices, sizes, sides = (
        columns[name][first_row:] for name in (SEQUENCE, PRICE, SIZE, SIDE)
    )
    if int(np.bitwise_or.reduce(sides)) & ~1:
        wrong = (sides & ~1) != 0
        _refuse(SIDE, first_row, sides, wrong, f"{Side.BID:d} (bid) or {Side.ASK:d} (ask)")
    if sizes.min() < 0:
        _refuse(SIZE, first_row, sizes, sizes < 0, "0 or more")
    if prices.max() > PRICE_MAX or prices.min() < -PRICE_MAX:
        wrong = (prices > PRICE_MAX) | (prices < -PRICE_MAX)
        _refuse(PRICE, first_row, prices, wrong, "from -(2^61 - 1) to 2^61 - 1")
    _check_sequences(first_row, sequences)
    return Updates(first_row, snapshot, sequences, prices, sizes, sides)


def _begin(columns: Columns) -> tuple[int, bool]:
    if FLAGS not in columns:
        return 0, False
    flags = columns[FLAGS]
    union = int(np.bitwise_or.reduce(flags))
    if union & ~_FLAGS_KNOWN:
        _refuse(FLAGS, 0, flags, (flags & ~_FLAGS_KNOWN) != 0, f"0 or {_FLAGS_KNOWN} (snapshot)")
    if not union:
        return 0, False
    return int(np.flatnonzero(flags)[-1]), True


def _check_scale(columns: Columns, name: str, expected: int) -> None:
    found = columns.scale(name)
    if found != expected:
        raise BookScaleError(name, found, expected)


def _check_sequences(first_row: int, sequences: Int64Array) -> None:
    # Compared, not subtracted: the difference of two int64 may not be one.
    before, after = sequences[:-1], sequences[1:]
    goes_on = (after == before) | ((after > before) & (after - 1 == before))
    if not goes_on.all():
        row = int(goes_on.argmin()) + 1
        raise BookGapError(first_row + row, int(sequences[row]), int(sequences[row - 1]))


def _refuse(
    column: str, first_row: int, values: Int64Array, wrong: NDArray[np.bool_], expected: str
) -> None:
    row = int(wrong.argmax())
    raise BookUpdateError(column, first_row + row, int(values[row]), expected)
