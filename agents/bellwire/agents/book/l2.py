"""The table of L2 updates: which columns it has and what their values mean."""

from enum import IntEnum, IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bellwire.wire.columns import Column, Columns

L2_TABLE: Final = "l2"

SEQUENCE: Final = "sequence"
"""Number of the feed's event a row belongs to: rows of one event share it, the next event has one more."""
PRICE: Final = "price"
"""Price of the level."""
SIZE: Final = "size"
"""Quantity at that price from now on, not a change of it; 0 = the level is gone."""
SIDE: Final = "side"
"""A `Side`."""
FLAGS: Final = "flags"
"""`Flag`s; the column may be left out when no row has any."""


class Side(IntEnum):
    """Side of a level, numbered as in FIX MDEntryType (269)."""

    BID = 0
    """Somebody buys at this price."""
    ASK = 1
    """Somebody sells at this price."""


class Flag(IntFlag):
    """What else a row says."""

    SNAPSHOT = 1
    """A snapshot begins: the book is emptied before this row; what follows may have any sequence."""


def l2_columns(
    sequence: NDArray[np.int64],
    price: NDArray[np.int64],
    size: NDArray[np.int64],
    side: NDArray[np.int64],
    *,
    price_scale: int,
    size_scale: int,
    flags: NDArray[np.int64] | None = None,
    table: str = L2_TABLE,
) -> Columns:
    """Return L2 updates as columns; rows in the order in which the feed has them.

    Args:
        sequence: Event number of each row.
        price: Integers of `price_scale`.
        size: Integers of `size_scale`; 0 = the level is gone.
        side: 0 = bid, 1 = ask.
        price_scale: Decimal places, 0..18.
        size_scale: Decimal places, 0..18.
        flags: None = no row has any.
        table: Name of the table.

    Raises:
        ColumnsError: Arrays of other kinds or unequal lengths.
    """
    columns = [
        Column(SEQUENCE, sequence),
        Column(PRICE, price, price_scale),
        Column(SIZE, size, size_scale),
        Column(SIDE, side),
    ]
    return Columns(table, columns if flags is None else [*columns, Column(FLAGS, flags)])
