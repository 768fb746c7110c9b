"""Where a client goes next."""

from __future__ import annotations

import pytest

from bellwire.policy.owner_search import ROUND_SECONDS, SHUN_SECONDS, OwnerSearch


def test_it_goes_to_the_named_owner_known_before_or_not() -> None:
    search = OwnerSearch(["a", "b"])
    assert search.refused("a", "c", 0.0)
    assert (search.current, search.has_choice) == ("c", True)


def test_where_nobody_is_known_the_next_is_asked() -> None:
    search = OwnerSearch(["a", "b", "c"])
    assert search.refused("a", None, 0.0)
    assert search.current == "b"


def test_a_lost_place_is_left_and_not_gone_back_to_because_somebody_names_it() -> None:
    search = OwnerSearch(["a", "b"])
    assert search.lost("a", 0.0)
    assert not search.refused("b", "a", SHUN_SECONDS - 0.1)
    assert search.current == "b"
    assert search.refused("b", "a", SHUN_SECONDS)
    assert search.current == "a"


def test_when_all_are_lost_it_stays_until_a_round_may_begin() -> None:
    search = OwnerSearch(["a", "b"])
    assert search.lost("a", 0.0)
    assert not search.lost("b", 0.1)
    assert not search.lost("b", ROUND_SECONDS - 0.1)
    assert search.lost("b", ROUND_SECONDS)
    assert search.current == "a"


def test_what_is_said_of_a_place_it_has_left_is_not_heard() -> None:
    search = OwnerSearch(["a", "b", "c"])
    search.refused("a", "b", 0.0)
    assert not search.refused("a", "c", 0.0)
    assert not search.lost("a", 0.0)
    assert search.current == "b"


def test_one_that_names_itself_is_asked_again() -> None:
    search = OwnerSearch(["a", "b"])
    assert not search.refused("a", "a", 0.0)


def test_alone_it_stays_and_comes_back_from_a_stranger() -> None:
    search = OwnerSearch(["a"])
    assert not search.has_choice
    assert not search.lost("a", 0.0)
    search.refused("a", "b", SHUN_SECONDS)
    assert search.lost("b", SHUN_SECONDS)
    assert search.current == "a"


def test_without_a_place_there_is_no_search() -> None:
    with pytest.raises(ValueError, match="at least one"):
        OwnerSearch([])
