"""L2 updates for the column scenarios: numpy arrays that are numbered, cut and encoded while measured."""

import time
from typing import Final

import numpy as np

from bellwire.agents.book import L2_TABLE, Side
from bellwire.wire.columns import Column, Columns, encode_columns

PRICE_SCALE: Final = 2
SIZE_SCALE: Final = 8
SEQUENCE: Final = "sequence"
TIME: Final = "time_unix_nano"
# Prices, sizes and sides repeat after so many rows: a multiple of every number of rows per message.
RING_ROWS: Final = 240_000
BEST_BID: Final = 6_183_763  # Of the recorded day the shape below was chosen after.
LEVEL_CHANCE: Final = 0.01  # Geometric distance from the best price: a hundred levels on average.
DELETE_SHARE: Final = 0.3
SIZE_MAX: Final = 10**9
SEED: Final = 20_240_808
NANOSECONDS_PER_ROW: Final = 200  # Five million a second.
# Handed over at once: with five columns just below the megabyte that one batch may hold.
ROWS_PER_CALL: Final = 24_000
ROWS_PER_CALL_NARROW: Final = 72_000


class ColumnMaker:
    """Makes the payloads of consecutive messages; their rows are numbered from 0 without end.

    Bids and asks never meet, so that a book of them is never crossed. Every row is an event of its own.
    """

    def __init__(self, rows_per_message: int, *, narrow: bool = False) -> None:
        assert RING_ROWS % rows_per_message == 0, "a message must not reach over the ring's end"
        self.rows_per_message = rows_per_message
        rows_per_call = ROWS_PER_CALL_NARROW if narrow else ROWS_PER_CALL
        self.messages_per_call = max(1, rows_per_call // rows_per_message)
        self._narrow = narrow
        rng = np.random.default_rng(SEED)
        self._side = rng.integers(0, 2, RING_ROWS)
        distance = rng.geometric(LEVEL_CHANCE, RING_ROWS)
        self._price = np.where(self._side == Side.ASK, BEST_BID + distance, BEST_BID + 1 - distance)
        size = rng.integers(1, SIZE_MAX, RING_ROWS)
        self._size = np.where(rng.random(RING_ROWS) < DELETE_SHARE, 0, size)

    def make_many(self, first: int, count: int) -> list[bytes]:
        """Give the payloads of `count` messages numbered from `first`."""
        numbers, narrow = range(first, first + count), self._narrow
        return [encode_columns(self.make(number), narrow=narrow) for number in numbers]

    def make(self, number: int) -> Columns:
        """Give the columns of one message."""
        rows = self.rows_per_message
        first_row = number * rows
        start = first_row % RING_ROWS
        cut = slice(start, start + rows)
        sequence = np.arange(first_row, first_row + rows)
        return Columns(
            L2_TABLE,
            [
                Column(TIME, sequence * NANOSECONDS_PER_ROW + time.time_ns()),
                Column(SEQUENCE, sequence),
                Column("price", self._price[cut], PRICE_SCALE),
                Column("size", self._size[cut], SIZE_SCALE),
                Column("side", self._side[cut]),
            ],
        )
