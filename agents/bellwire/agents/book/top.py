"""The best levels of a book at one moment."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Level(NamedTuple):
    """One price level, as integers of the book's scales."""

    price: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class BookTop:
    """The best levels of both sides, best first; arrays are of their own and read-only."""

    sequence: int
    """Of the last event applied."""
    bid_prices: NDArray[np.int64]
    bid_sizes: NDArray[np.int64]
    ask_prices: NDArray[np.int64]
    ask_sizes: NDArray[np.int64]
    price_scale: int
    """Decimal places of prices."""
    size_scale: int
    """Decimal places of sizes."""

    @property
    def best_bid(self) -> Level | None:
        """The highest bid; None without bids."""
        return _first(self.bid_prices, self.bid_sizes)

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask; None without asks."""
        return _first(self.ask_prices, self.ask_sizes)


def _first(prices: NDArray[np.int64], sizes: NDArray[np.int64]) -> Level | None:
    return Level(int(prices[0]), int(sizes[0])) if len(prices) else None
