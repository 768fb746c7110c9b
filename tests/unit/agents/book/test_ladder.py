"""Rows are sorted by level, those of one level in their own order, or left to the merge."""

from __future__ import annotations

import numpy as np
import pytest

from bellwire.agents.book._ladder import (
    PACKED_ROWS_MIN,
    PRICE_MAX,
    keys_of,
    prices_of,
    sorted_rows,
)


@pytest.mark.parametrize("rows", [PACKED_ROWS_MIN, 1_023, 1_024, 5_000])
@pytest.mark.parametrize(("low", "high"), [(-3, 4), (10**12, 10**12 + 1), (-(10**14), 10**14)])
def test_many_rows_are_sorted_as_a_stable_sort_of_their_keys_does(rows, low, high):
    rng = np.random.default_rng(rows)
    price, side = rng.integers(low, high, rows), rng.integers(0, 2, rows)
    expected = np.argsort(keys_of(price, side), kind="stable")
    order = sorted_rows(price, side)
    assert order is not None
    assert order.tolist() == expected.tolist()


def test_few_rows_and_prices_too_far_apart_to_be_packed_are_left_to_the_merge():
    side = np.zeros(PACKED_ROWS_MIN, "int64")
    price = np.arange(PACKED_ROWS_MIN)
    assert sorted_rows(price[:-1], side[:-1]) is None
    price[0], price[-1] = -PRICE_MAX, PRICE_MAX
    assert sorted_rows(price, side) is None


def test_keys_have_bids_before_asks_and_the_best_of_each_first():
    price = np.array([PRICE_MAX, 2, 1, -PRICE_MAX] * 2)
    side = np.array([0] * 4 + [1] * 4)
    keys = keys_of(price, side)
    assert prices_of(np.sort(keys)).tolist() == [
        *(PRICE_MAX, 2, 1, -PRICE_MAX),
        *(-PRICE_MAX, 1, 2, PRICE_MAX),
    ]
