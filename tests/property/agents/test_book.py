"""The book made from columns is the one a dict per side gives, whatever the stream and its cuts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.book import Flag, OrderBook, l2_columns
from bellwire.wire.columns import decode_columns, encode_columns, split_columns

SNAPSHOT_SHARE = 20  # One row in so many begins a snapshot.
# A few prices, so that rows hit each other; now and then ones at the edge of what is allowed.
PRICES = st.integers(-5, 15) | st.sampled_from([(1 << 61) - 1, 1 - (1 << 61)])
SIZES = st.integers(0, 3) | st.integers(0, 2**63 - 1)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 1),  # by how much the sequence grows
        st.integers(0, 1),  # side
        PRICES,
        SIZES,
        st.integers(1, SNAPSHOT_SHARE).map(lambda chance: int(chance == SNAPSHOT_SHARE)),
    ),
    min_size=1,
    max_size=60,
)


class NaiveBook:
    """One dict per side, row by row."""

    def __init__(self) -> None:
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def apply(self, side: int, price: int, size: int, flags: int) -> None:
        if flags & Flag.SNAPSHOT:
            self.sides = ({}, {})
        if size:
            self.sides[side][price] = size
        else:
            self.sides[side].pop(price, None)

    def top(self, levels: int):
        bids = sorted(self.sides[0].items(), reverse=True)[:levels]
        return bids, sorted(self.sides[1].items())[:levels]


def table_of(rows):
    steps, side, price, size, flags = np.array(rows, "int64").T
    sequence = 100 + np.cumsum(steps)
    return l2_columns(sequence, price, size, side, price_scale=2, size_scale=8, flags=flags)


def levels_of(book: OrderBook, levels: int):
    top = book.top(levels)
    return (
        list(zip(top.bid_prices.tolist(), top.bid_sizes.tolist(), strict=True)),
        list(zip(top.ask_prices.tolist(), top.ask_sizes.tolist(), strict=True)),
    )


@given(ROWS, st.integers(1, 60), st.integers(1, 12))
def test_the_book_is_the_naive_one_after_every_batch(rows, rows_max: int, levels: int):
    book, naive = OrderBook(price_scale=2, size_scale=8, allow_crossed=True), NaiveBook()
    book.restart(100)
    done = 0
    for part in split_columns(table_of(rows), rows_max=rows_max):
        applied = book.apply(decode_columns(encode_columns(part)))
        assert applied == (len(part), 0)
        for _, *row in rows[done : done + len(part)]:
            naive.apply(*row)
        done += len(part)
        assert levels_of(book, levels) == naive.top(levels)
        bids, asks = naive.top(1)
        assert book.crossed == bool(bids and asks and bids[0][0] >= asks[0][0])
        assert book.levels == sum(map(len, naive.sides))


@given(ROWS, st.integers(1, 60), st.data())
def test_delivery_at_least_once_gives_the_same_book(rows, rows_max: int, data):
    parts = list(split_columns(table_of(rows), rows_max=rows_max))
    once, again = (OrderBook(price_scale=2, size_scale=8, allow_crossed=True) for _ in range(2))
    for book in (once, again):
        book.restart(100)
    for at, part in enumerate(parts):
        once.apply(part)
        again.apply(part)
        back = data.draw(
            st.integers(0, at + 1)
        )  # As after a lost connection: all since some point.
        for delivered in parts[at + 1 - back : at + 1]:
            again.apply(delivered)
        assert levels_of(again, 100) == levels_of(once, 100)


@given(ROWS)
def test_a_snapshot_makes_the_same_book(rows):
    book, other = (OrderBook(price_scale=2, size_scale=8, allow_crossed=True) for _ in range(2))
    book.restart(100)
    book.apply(table_of(rows))
    other.apply(book.snapshot())
    assert levels_of(other, 100) == levels_of(book, 100)
    assert other.sequence == book.sequence


@given(st.integers(0, 2**32), st.integers(256, 900), st.sampled_from([10, 10_000, 1 << 60]))
def test_large_batches_are_sorted_as_small_ones_are(seed: int, rows: int, spread: int):
    rng = np.random.default_rng(seed)
    side, price = rng.integers(0, 2, rows), rng.integers(-spread, spread, rows)
    size = rng.integers(0, 3, rows)
    columns = l2_columns(np.arange(rows), price, size, side, price_scale=2, size_scale=8)
    whole, in_parts = (OrderBook(price_scale=2, size_scale=8, allow_crossed=True) for _ in range(2))
    for book, rows_max in ((whole, rows), (in_parts, 100)):
        book.restart(-1)
        for part in split_columns(columns, rows_max=rows_max):
            book.apply(part)
    naive = NaiveBook()
    for row in zip(side.tolist(), price.tolist(), size.tolist(), strict=True):
        naive.apply(*row, 0)
    assert levels_of(whole, rows) == levels_of(in_parts, rows) == naive.top(rows)
