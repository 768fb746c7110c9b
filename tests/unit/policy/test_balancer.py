"""Power of two choices."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from random import Random

import pytest

from bellwire.policy.balancer import pick_of_two


def test_the_less_loaded_of_the_two_drawn_is_picked() -> None:
    draws = iter([0, 1])
    picked = pick_of_two(
        ["a", "b", "c"], {"a": 5.0, "b": 1.0, "c": 2.0}.__getitem__, lambda n: next(draws)
    )
    assert picked == "c"  # The second draw skips the first candidate: index 1 of the others is "c".


def _next_of(draws: Iterator[int], _: int) -> int:
    return next(draws)


def test_two_different_candidates_are_always_drawn() -> None:
    for first in range(3):
        for second in range(2):
            draws = iter([first, second])
            loads: list[str] = []

            def load(candidate: str, seen: list[str] = loads) -> float:
                seen.append(candidate)
                return 0.0

            pick_of_two("abc", load, partial(_next_of, draws))
            assert len(set(loads)) == 2


def test_a_single_candidate_needs_no_draw() -> None:
    assert pick_of_two(["only"], lambda _: 1.0, lambda n: 1 // 0) == "only"


def test_no_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="no candidates"):
        pick_of_two([], lambda _: 0.0)


def test_the_most_loaded_of_all_is_never_picked() -> None:
    chance = Random(1)
    loads = {"a": 1.0, "b": 2.0, "c": 3.0}
    picks = Counter(
        pick_of_two(list(loads), loads.__getitem__, chance.randrange) for _ in range(600)
    )
    assert picks["c"] == 0
    assert picks["a"] > picks["b"] > 0
