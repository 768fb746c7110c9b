"""bellwire.coordinator.services.paging: pages that miss nothing and repeat nothing."""

from __future__ import annotations

import pytest

from bellwire.coordinator.services.paging import page_of
from bellwire.wire.errors import CallerError

NAMES = [f"n{index:03}" for index in range(7)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_pages_put_together_are_the_list(size):
    read, token = [], ""
    while True:
        page, token = page_of(NAMES, str, size, token)
        read += page
        if not token:
            break
        assert len(page) == size
    assert read == NAMES


def test_a_token_of_a_name_that_is_gone_goes_on_behind_it():
    assert page_of(NAMES, str, 2, "n002x") == (["n003", "n004"], "n004")


def test_an_empty_list_is_one_empty_page():
    assert page_of([], str, 0, "") == ([], "")


def test_unasked_a_page_has_a_hundred():
    page, token = page_of([f"{n:04}" for n in range(101)], str, 0, "")
    assert (len(page), token) == (100, "0099")


@pytest.mark.parametrize("size", [-1, 1_001])
def test_a_page_of_another_size_is_refused(size):
    with pytest.raises(CallerError, match=f"page_size is {size}, 0 to 1000"):
        page_of(NAMES, str, size, "")
