"""An L2 order book kept from columns of price level updates."""

from bellwire.agents.book.book import LEVELS_MAX_DEFAULT, Applied, BookState, OrderBook
from bellwire.agents.book.errors import (
    BookError,
    BookFullError,
    BookGapError,
    BookScaleError,
    BookUpdateError,
    CrossedBookError,
    StaleBookError,
)
from bellwire.agents.book.l2 import L2_TABLE, Flag, Side, l2_columns
from bellwire.agents.book.top import BookTop, Level

__all__ = [
    "L2_TABLE",
    "LEVELS_MAX_DEFAULT",
    "Applied",
    "BookError",
    "BookFullError",
    "BookGapError",
    "BookScaleError",
    "BookState",
    "BookTop",
    "BookUpdateError",
    "CrossedBookError",
    "Flag",
    "Level",
    "OrderBook",
    "Side",
    "StaleBookError",
    "l2_columns",
]
