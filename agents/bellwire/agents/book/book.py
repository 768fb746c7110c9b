"""The order book of one instrument."""

from decimal import Decimal
from enum import Enum
from typing import Final, NamedTuple

import numpy as np

from bellwire.agents.book._ladder import (
    NO_LEVELS,
    Int64Array,
    keys_of,
    merged,
    prices_of,
    sorted_rows,
)
from bellwire.agents.book._updates import Updates, checked_updates
from bellwire.agents.book.errors import (
    BookFullError,
    BookGapError,
    CrossedBookError,
    StaleBookError,
)
from bellwire.agents.book.l2 import L2_TABLE, Flag, Side, l2_columns
from bellwire.agents.book.top import BookTop
from bellwire.wire.columns import Columns

LEVELS_MAX_DEFAULT: Final = 100_000  # Ten times the deepest books venues send; 1.6 MB.


class BookState(Enum):
    """Whether the levels mean anything."""

    AWAITING_SNAPSHOT = "awaiting snapshot"
    """No snapshot yet, or none since a batch was refused: updates are passed over."""
    LIVE = "live"
    """The levels are those of the feed."""


class Applied(NamedTuple):
    """What became of a batch."""

    rows: int
    """Rows that were applied, those a later snapshot of the same batch replaced included."""
    skipped: int
    """Rows passed over: of events applied before, or while the book awaits a snapshot."""


class OrderBook:
    """Price levels of one instrument, kept from `l2_columns` batch by batch.

    Begins with a snapshot (`Flag.SNAPSHOT`) or `restart`. A batch that is refused leaves a gap, so the
    book then awaits the next snapshot: it passes updates over and shows no levels.

    Args:
        price_scale: Decimal places of prices, 0..18.
        size_scale: Decimal places of sizes, 0..18.
        levels_max: Price levels of both sides together.
        allow_crossed: Do not raise when the best bid is not below the best ask.
    """

    __slots__ = (
        "_keys",
        "_sizes",
        "allow_crossed",
        "levels_max",
        "price_scale",
        "sequence",
        "size_scale",
        "state",
    )

    def __init__(
        self,
        *,
        price_scale: int,
        size_scale: int,
        levels_max: int = LEVELS_MAX_DEFAULT,
        allow_crossed: bool = False,
    ) -> None:
        self.price_scale = price_scale
        self.size_scale = size_scale
        self.levels_max = levels_max
        self.allow_crossed = allow_crossed
        self.state = BookState.AWAITING_SNAPSHOT
        self.sequence = 0
        """Of the last event applied; means nothing while the book awaits a snapshot."""
        self._keys: Int64Array = NO_LEVELS
        self._sizes: Int64Array = NO_LEVELS

    def restart(self, sequence: int) -> None:
        """Begin with no levels after event `sequence`, as a snapshot of an empty market would."""
        self._keys = self._sizes = NO_LEVELS
        self.sequence = sequence
        self.state = BookState.LIVE

    def apply(self, columns: Columns) -> Applied:
        """Apply a batch of updates, wholly or not at all.

        Raises:
            BookGapError: Events are missing between two rows, or since the last batch.
            BookError, BookFullError, ColumnMissingError: The batch is refused; the class says why.
            CrossedBookError: The best bid is not below the best ask. The batch is applied and the
                book goes on, as the next event may mend it.
        """
        state, self.state = self.state, BookState.AWAITING_SNAPSHOT
        updates = checked_updates(columns, self.price_scale, self.size_scale)
        if state is BookState.AWAITING_SNAPSHOT and not updates.snapshot:
            return Applied(0, len(columns))
        skipped = 0 if updates.snapshot else self._known_rows(updates)
        self._merge(updates, skipped)
        self.state = BookState.LIVE
        if not self.allow_crossed and self.crossed:
            self._refuse_crossed()
        return Applied(len(columns) - skipped, skipped)

    @property
    def levels(self) -> int:
        """Price levels of both sides together."""
        return len(self._keys)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is not below the best ask."""
        bids = self._bids()
        return 0 < bids < len(self._keys) and bool(
            # key(bid) + key(ask) = ask - bid
            self._keys[0] + self._keys[bids] <= 0
        )

    def top(self, levels: int) -> BookTop:
        """Return the best levels of each side, at most so many, as copies.

        Raises:
            StaleBookError: The book awaits a snapshot.
        """
        self._check_live()
        bids = self._bids()
        bid, ask = slice(0, min(levels, bids)), slice(bids, bids + levels)
        return BookTop(
            self.sequence,
            _frozen(prices_of(self._keys[bid])),
            _frozen(self._sizes[bid].copy()),
            _frozen(prices_of(self._keys[ask])),
            _frozen(self._sizes[ask].copy()),
            self.price_scale,
            self.size_scale,
        )

    def snapshot(self, levels: int | None = None, *, table: str = L2_TABLE) -> Columns:
        """Return the best levels of each side as a batch that any book can begin with.

        Args:
            levels: Levels of each side; None = all of them.
            table: Name of the table.

        Raises:
            StaleBookError: The book awaits a snapshot.
        """
        top = self.top(len(self._keys) if levels is None else levels)
        sides = np.repeat([Side.BID, Side.ASK], [len(top.bid_prices), len(top.ask_prices)])
        prices = np.concatenate((top.bid_prices, top.ask_prices))
        sizes = np.concatenate((top.bid_sizes, top.ask_sizes))
        if not len(prices):  # A batch has a row: here the removal of a level that is not there.
            sides, prices, sizes = (np.zeros(1, np.int64) for _ in range(3))
        flags = np.zeros(len(prices), np.int64)
        flags[0] = Flag.SNAPSHOT
        return l2_columns(
            np.full(len(prices), self.sequence),
            prices,
            sizes,
            sides.astype(np.int64),
            price_scale=self.price_scale,
            size_scale=self.size_scale,
            flags=flags,
            table=table,
        )

    def _known_rows(self, updates: Updates) -> int:
        """Count the leading rows of events applied before: the bus delivers at least once."""
        first = int(updates.sequences[0])
        if first > self.sequence + 1:
            raise BookGapError(0, first, self.sequence)
        # Rows of the last event itself may be its continuation; sizes are absolute, so twice is once.
        return 0 if first >= self.sequence else int(updates.sequences.searchsorted(self.sequence))

    def _merge(self, updates: Updates, skipped: int) -> None:
        empty = updates.snapshot
        prices, sides, sizes = (
            array[skipped:] for array in (updates.prices, updates.sides, updates.sizes)
        )
        new_keys, order = keys_of(prices, sides), sorted_rows(prices, sides)
        if order is not None:
            new_keys, sizes = new_keys[order], sizes[order]
        keys, sizes = merged(
            NO_LEVELS if empty else self._keys,
            NO_LEVELS if empty else self._sizes,
            new_keys,
            sizes,
        )
        if len(keys) > self.levels_max:
            raise BookFullError(len(keys), self.levels_max)
        self._keys, self._sizes = keys, sizes
        if len(prices):
            self.sequence = int(updates.sequences[-1])

    def _bids(self) -> int:
        return int(self._keys.searchsorted(0))

    def _check_live(self) -> None:
        if self.state is not BookState.LIVE:
            raise StaleBookError(
                "book awaits a snapshot: apply a batch whose first row is flagged SNAPSHOT"
            )

    def _refuse_crossed(self) -> None:
        top = self.top(1)
        bid, ask = (
            f"{Decimal(int(price)).scaleb(-self.price_scale):f}"
            for price in (top.bid_prices[0], top.ask_prices[0])
        )
        raise CrossedBookError(bid, ask, self.sequence)


def _frozen(array: Int64Array) -> Int64Array:
    array.flags.writeable = False
    return array
