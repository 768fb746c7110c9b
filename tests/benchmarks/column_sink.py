"""What the subscriber does with columns: look at every value, and where asked keep a book of them."""

import time
from collections.abc import Callable, Sequence

from tests.benchmarks.column_stream import PRICE_SCALE, SEQUENCE, SIZE_SCALE
from tests.benchmarks.sink import Sink

from bellwire.agents.book import OrderBook
from bellwire.wire.columns import decode_columns


class ColumnSink(Sink):
    """Takes payloads of columns; messages are numbered by their first row."""

    def __init__(
        self,
        rows_per_message: int,
        *,
        builds_book: bool,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(clock)
        self._rows_per_message = rows_per_message
        self.total = 0
        """Sum of all values: proof that each was read."""
        self.book: OrderBook | None = None
        if builds_book:
            self.book = OrderBook(price_scale=PRICE_SCALE, size_scale=SIZE_SCALE)
            self.book.restart(-1)

    def take(self, payload: bytes) -> None:
        """Account for a payload that came just now."""
        self.take_all((payload,))

    def take_all(self, payloads: Sequence[bytes]) -> None:
        """Account for payloads that came together just now."""
        for payload in payloads:
            self._read(payload)
        self.last_ns = self._clock()  # Behind the reading: it is part of what is measured.
        if self._expected is not None:
            self._check_complete(self._expected)

    def _read(self, payload: bytes) -> None:
        columns = decode_columns(payload)
        for name in columns:
            self.total += int(columns[name].sum())
        if self.book is not None:
            self.book.apply(columns)
        self.arrivals.note(int(columns[SEQUENCE][0]) // self._rows_per_message)
