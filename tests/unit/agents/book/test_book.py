"""An order book from columns: what its levels are, and what it refuses to guess."""

from __future__ import annotations

import numpy as np
import pytest

from bellwire.agents.book import (
    Applied,
    BookFullError,
    BookGapError,
    BookScaleError,
    BookState,
    BookUpdateError,
    CrossedBookError,
    Flag,
    Level,
    OrderBook,
    StaleBookError,
    l2_columns,
)
from bellwire.wire.columns import (
    Column,
    ColumnMissingError,
    Columns,
    decode_columns,
    encode_columns,
)

BID, ASK = 0, 1
SNAPSHOT = int(Flag.SNAPSHOT)
Row = tuple[int, int, int, int]  # sequence, side, price, size


def updates(*rows: Row, flags: list[int] | None = None, price_scale: int = 2) -> Columns:
    sequence, side, price, size = np.array(rows, "int64").T
    flagged = None if flags is None else np.array(flags, "int64")
    return l2_columns(
        sequence, price, size, side, price_scale=price_scale, size_scale=3, flags=flagged
    )


def new_book(levels_max: int = 100, allow_crossed: bool = False) -> OrderBook:
    return OrderBook(
        price_scale=2, size_scale=3, levels_max=levels_max, allow_crossed=allow_crossed
    )


def live_book(*rows: Row, levels_max: int = 100, allow_crossed: bool = False) -> OrderBook:
    book = new_book(levels_max, allow_crossed)
    book.restart(0)
    if rows:
        book.apply(updates(*rows))
    return book


def levels(book: OrderBook, count: int = 10):
    top = book.top(count)
    return (
        list(zip(top.bid_prices.tolist(), top.bid_sizes.tolist(), strict=True)),
        list(zip(top.ask_prices.tolist(), top.ask_sizes.tolist(), strict=True)),
    )


def test_levels_stand_best_first_on_both_sides():
    book = live_book((1, BID, 98, 1), (1, ASK, 102, 2), (1, BID, 99, 3), (1, ASK, 101, 4))
    assert levels(book) == ([(99, 3), (98, 1)], [(101, 4), (102, 2)])
    top = book.top(1)
    assert (top.best_bid, top.best_ask) == (Level(99, 3), Level(101, 4))
    assert (top.sequence, top.price_scale, top.size_scale) == (1, 2, 3)


def test_the_last_size_of_a_price_counts_and_0_removes_it():
    book = live_book((1, BID, 99, 3), (1, BID, 98, 1), (2, BID, 99, 7), (2, BID, 98, 0))
    assert levels(book) == ([(99, 7)], [])
    book.apply(updates((3, BID, 99, 0), (4, BID, 99, 5), (5, BID, 97, 0)))
    assert levels(book) == ([(99, 5)], [])
    assert (book.sequence, book.levels) == (5, 1)


def test_one_price_may_stand_on_both_sides_only_as_a_crossed_book():
    book = live_book(allow_crossed=True)
    book.apply(updates((1, BID, 100, 1), (1, ASK, 100, 2)))
    assert book.crossed
    assert levels(book) == ([(100, 1)], [(100, 2)])


def test_prices_may_be_negative_and_as_large_as_the_keys_allow():
    largest = (1 << 61) - 1
    book = live_book((1, BID, -largest, 1), (1, BID, -5, 2), (1, ASK, -4, 3), (1, ASK, largest, 4))
    assert levels(book) == ([(-5, 2), (-largest, 1)], [(-4, 3), (largest, 4)])


def test_a_top_is_a_copy_that_cannot_be_written():
    book = live_book((1, BID, 99, 3))
    top = book.top(5)
    book.apply(updates((2, BID, 99, 4)))
    assert top.bid_sizes.tolist() == [3]
    with pytest.raises(ValueError, match="read-only"):
        top.bid_sizes[0] = 1
    empty = live_book().top(3)
    assert (empty.best_bid, empty.best_ask) == (None, None)


def test_a_new_book_awaits_a_snapshot_and_passes_updates_over():
    book = new_book()
    assert book.apply(updates((7, BID, 99, 3))) == Applied(0, 1)
    assert book.state is BookState.AWAITING_SNAPSHOT
    with pytest.raises(StaleBookError, match="awaits a snapshot"):
        book.top(1)
    applied = book.apply(updates((9, BID, 98, 1), (9, ASK, 99, 1), flags=[SNAPSHOT, 0]))
    assert applied == Applied(2, 0)
    assert levels(book) == ([(98, 1)], [(99, 1)])


def test_a_snapshot_replaces_what_was_there_whatever_its_sequence():
    book = live_book((1, BID, 99, 3))
    rows = ((2, BID, 97, 1), (50, BID, 90, 1), (51, ASK, 91, 2))
    book.apply(updates(*rows, flags=[0, SNAPSHOT, 0]))
    assert levels(book) == ([(90, 1)], [(91, 2)])
    assert book.sequence == 51


def test_another_book_begins_with_the_snapshot_of_one():
    book = live_book((1, BID, 98, 1), (1, BID, 99, 3), (1, ASK, 101, 4))
    again = new_book()
    again.apply(decode_columns(encode_columns(book.snapshot())))
    assert levels(again) == levels(book)
    assert again.sequence == book.sequence
    again.apply(book.snapshot(1))
    assert levels(again) == ([(99, 3)], [(101, 4)])
    again.apply(live_book().snapshot())
    assert levels(again) == ([], [])


def test_events_missing_between_batches_are_a_gap_until_the_next_snapshot():
    book = live_book((1, BID, 99, 3))
    with pytest.raises(
        BookGapError, match=r"row 0 is 4 after 1: 2 events are missing.*snapshot"
    ) as e:
        book.apply(updates((4, BID, 99, 5)))
    assert (e.value.row, e.value.found, e.value.after) == (0, 4, 1)
    assert book.state is BookState.AWAITING_SNAPSHOT
    assert book.apply(updates((5, BID, 99, 6))) == Applied(0, 1)
    book.apply(updates((9, BID, 99, 8), flags=[SNAPSHOT]))
    assert levels(book) == ([(99, 8)], [])


def test_one_missing_event_is_a_gap_and_none_is_not():
    book = live_book((1, BID, 99, 3))
    book.apply(updates((2, BID, 99, 5)))
    with pytest.raises(BookGapError, match="1 events are missing"):
        book.apply(updates((4, BID, 99, 5)))


@pytest.mark.parametrize(
    ("sequences", "words"),
    [
        ((2, 4), "row 1 is 4 after 2: 1 events are missing"),
        ((2, 1), "row 1 is 1 after 2: it goes back"),
        ((2, -(2**63)), "it goes back"),
    ],
)
def test_sequences_that_do_not_go_on_within_a_batch_are_a_gap(sequences, words):
    book = live_book((1, BID, 99, 3))
    with pytest.raises(BookGapError, match=words):
        book.apply(updates(*((sequence, BID, 90, 1) for sequence in sequences)))
    assert book.state is BookState.AWAITING_SNAPSHOT


def test_what_is_delivered_again_is_passed_over():
    book = live_book((1, BID, 99, 3), (2, BID, 98, 2), (3, BID, 97, 1))
    again = updates((1, BID, 99, 3), (2, BID, 98, 2))
    assert book.apply(again) == Applied(0, 2)
    overlapping = updates((2, BID, 98, 2), (3, BID, 97, 1), (4, BID, 97, 9))
    assert book.apply(overlapping) == Applied(2, 1)
    assert levels(book) == ([(99, 3), (98, 2), (97, 9)], [])
    assert book.sequence == 4


def test_a_crossed_book_is_told_applied_and_can_be_mended():
    book = live_book((1, BID, 100, 3), (1, ASK, 105, 3))
    with pytest.raises(CrossedBookError, match=r"best bid 1\.06 is not below best ask 1\.05 at"):
        book.apply(updates((2, BID, 106, 1)))
    assert book.crossed
    assert book.state is BookState.LIVE
    book.apply(updates((3, BID, 106, 0)))
    assert not book.crossed


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ((2, 2, 99, 1), "side", "side of row 1 is 2, expected 0 .bid. or 1 .ask."),
        ((2, -1, 99, 1), "side", "is -1"),
        ((2, BID, 99, -1), "size", "size of row 1 is -1, expected 0 or more"),
        ((2, BID, 1 << 61, 1), "price", "expected from"),
        ((2, BID, -(1 << 63), 1), "price", "expected from"),
    ],
)
def test_a_value_no_level_can_have_is_refused_with_its_row(row, column, words):
    book = live_book((1, BID, 99, 3))
    with pytest.raises(BookUpdateError, match=words) as e:
        book.apply(updates((2, BID, 98, 5), row))
    assert (e.value.column, e.value.row) == (column, 1)
    assert book.state is BookState.AWAITING_SNAPSHOT


def test_a_flag_nobody_knows_is_refused():
    with pytest.raises(BookUpdateError, match="flags of row 1 is 4, expected 0 or 1"):
        live_book().apply(updates((1, BID, 98, 5), (1, BID, 98, 5), flags=[0, 4]))


def test_another_scale_is_refused():
    with pytest.raises(BookScaleError, match="scale of column 'price' is 5, this book has 2"):
        live_book().apply(updates((1, BID, 98, 5), price_scale=5))


def test_a_table_without_the_columns_of_a_book_is_refused():
    with pytest.raises(ColumnMissingError, match="no column 'price'"):
        live_book().apply(Columns("trades", [Column("quantity", np.array([1], "int64"))]))


def test_more_levels_than_it_may_hold_are_refused():
    book = live_book((1, BID, 99, 3), levels_max=2)
    with pytest.raises(BookFullError, match="would hold 3 price levels, limit is 2"):
        book.apply(updates((2, BID, 98, 5), (2, BID, 97, 5)))
    assert book.state is BookState.AWAITING_SNAPSHOT
