"""Price levels of both sides in one sorted array."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]

# A level's key is sign × (price + 2^61), the sign negative for bids: bids sort before asks, and the
# best level comes first on either side.
PRICE_OFFSET: Final = 1 << 61
PRICE_MAX: Final = PRICE_OFFSET - 1  # Of either sign; keys stay within int64 and never meet at 0.

PACKED_ROWS_MIN: Final = 256  # Below, packing costs more than the slower sort.

NO_LEVELS: Final = np.empty(0, np.int64)
NO_LEVELS.flags.writeable = False


def keys_of(prices: Int64Array, sides: Int64Array) -> Int64Array:
    """Return the keys of levels; prices within ±PRICE_MAX, sides 0 or 1."""
    return (prices + PRICE_OFFSET) * (2 * sides - 1)


def prices_of(keys: Int64Array) -> Int64Array:
    """Return the prices of keys."""
    return np.abs(keys) - PRICE_OFFSET


def sorted_rows(prices: Int64Array, sides: Int64Array) -> Int64Array | None:
    """Return the order of rows by key, rows of one key in their own order; None to leave it to `merged`.

    A stable sort is a merge sort, several times slower than numpy's vectorised sort of plain integers.
    So each row's place among the keys and its number are packed into one integer, and those are sorted.
    """
    rows = len(prices)
    if rows < PACKED_ROWS_MIN:
        return None
    low, high = int(prices.min()), int(prices.max())
    span, row_bits = high - low + 1, rows.bit_length()
    if (2 * span) >> (63 - row_bits):
        return None
    packed = np.where(sides, prices + (span - low), high - prices)  # bids from the highest, asks
    packed <<= row_bits
    packed |= np.arange(rows)
    packed.sort()
    packed &= (1 << row_bits) - 1
    return packed


def merged(
    keys: Int64Array, sizes: Int64Array, new_keys: Int64Array, new_sizes: Int64Array
) -> tuple[Int64Array, Int64Array]:
    """Return the levels after updates: of one key the last size counts, and 0 removes the level.

    A stable sort puts a key's updates behind its level in their order, so the last of each run is what
    holds. It is a merge sort that finds the levels, and updates by `sorted_rows`, sorted already; that
    costs less than looking each update up, for few updates and for many.
    """
    keys = np.concatenate((keys, new_keys))
    sizes = np.concatenate((sizes, new_sizes))
    order = np.argsort(keys, kind="stable")
    keys, sizes = keys[order], sizes[order]
    stays = sizes != 0
    stays[:-1] &= keys[1:] != keys[:-1]
    return keys[stays], sizes[stays]
