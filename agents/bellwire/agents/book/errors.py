"""What an order book refuses."""

from bellwire.wire.errors import CallerError, CapacityError


class BookError(CallerError):
    """The updates do not make an order book."""

    reason = "BOOK_INVALID"


class BookGapError(BookError):
    """Events are missing; the book waits for a snapshot now."""

    reason = "BOOK_GAP"

    def __init__(self, row: int, found: int, after: int) -> None:
        self.row = row
        self.found = found
        self.after = after
        """Sequence of the row before."""
        missing = f"{found - after - 1} events are missing" if found > after else "it goes back"
        super().__init__(
            f"sequence of row {row} is {found} after {after}: {missing}; wait for the next snapshot, or ask for one",
            metadata={"row": str(row), "found": str(found), "after": str(after)},
        )


class BookUpdateError(BookError):
    """A row holds a value no price level can have."""

    reason = "BOOK_UPDATE_INVALID"

    def __init__(self, column: str, row: int, found: int, expected: str) -> None:
        self.column = column
        self.row = row
        self.found = found
        self.expected = expected
        super().__init__(
            f"{column} of row {row} is {found}, expected {expected}; mend the feed, then send a snapshot",
            metadata={"column": column, "row": str(row), "found": str(found)},
        )


class BookScaleError(BookError):
    """Prices or sizes come with another scale than the book has."""

    reason = "BOOK_SCALE"

    def __init__(self, column: str, found: int, expected: int) -> None:
        self.column = column
        self.found = found
        self.expected = expected
        super().__init__(
            f"scale of column {column!r} is {found}, this book has {expected}: "
            "publish with one scale per instrument, or make a book of the other scale",
            metadata={"column": column, "found": str(found), "expected": str(expected)},
        )


class CrossedBookError(BookError):
    """The best bid is not below the best ask."""

    reason = "BOOK_CROSSED"

    def __init__(self, bid: str, ask: str, sequence: int) -> None:
        self.bid = bid
        self.ask = ask
        self.sequence = sequence
        super().__init__(
            f"best bid {bid} is not below best ask {ask} at sequence {sequence}: "
            "a deletion is missing, or the batch ends within an event; send a snapshot, or allow_crossed",
            metadata={"bid": bid, "ask": ask, "sequence": str(sequence)},
        )


class StaleBookError(BookError):
    """The book has no snapshot yet, or none since something went wrong."""

    reason = "BOOK_STALE"


class BookFullError(CapacityError):
    """The updates would make more price levels than the book may hold."""

    reason = "BOOK_FULL"
    retryable = False

    def __init__(self, found: int, limit: int) -> None:
        self.found = found
        self.limit = limit
        super().__init__(
            f"book would hold {found} price levels, limit is {limit}: "
            "deletions are missing, or levels_max is too small for this market",
            metadata={"found": str(found), "limit": str(limit)},
        )
