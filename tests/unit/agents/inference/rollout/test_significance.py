"""Tests of significance against published values and known distributions."""

import math
import random

import pytest

from bellwire.agents.inference.rollout.significance import (
    Moments,
    student_quantile,
    student_two_sided,
    two_proportions,
    welch,
    wilson,
)


def moments(values: list[float]) -> Moments:
    found = Moments()
    for value in values:
        found = found.add(value)
    return found


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706205), (2, 4.302653), (10, 2.228139), (30, 2.042272), (1e7, 1.959964)],
)
def test_quantiles_are_those_of_the_tables(freedom: float, quantile: float) -> None:
    assert student_quantile(freedom, 0.975) == pytest.approx(quantile, abs=2e-6)


@pytest.mark.parametrize("t", [0.0, 1e-9, 0.3, 1.0, 2.5, 40.0, 1e6])
def test_tails_are_those_of_the_closed_forms(t: float) -> None:
    assert student_two_sided(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(t), abs=1e-9)
    assert student_two_sided(-t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), abs=1e-9)
    assert student_two_sided(t, 1e9) == pytest.approx(math.erfc(t / math.sqrt(2)), abs=1e-6)


def test_welch_is_the_t_test_where_both_sides_are_alike() -> None:
    """By hand: both variances 2.5, error 1, eight degrees of freedom, and t = 1."""
    found = welch(moments([1, 2, 3, 4, 5]), moments([2, 3, 4, 5, 6]))
    assert found is not None
    assert found.effect == pytest.approx(1)
    assert found.p_value == pytest.approx(0.346594, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((1 - 2.306004, 1 + 2.306004), abs=1e-5)
    assert not found.is_significant


def test_welch_gives_each_side_its_own_variance() -> None:
    """By hand: variances 1 of 3 and 100 of 3, so 2.04 degrees of freedom and not 4."""
    found = welch(moments([-1, 0, 1]), moments([0, 10, 20]))
    assert found is not None
    ours, theirs = 1 / 3, 100 / 3
    freedom = (ours + theirs) ** 2 / (ours**2 / 2 + theirs**2 / 2)
    t = 10 / math.sqrt(ours + theirs)
    assert freedom == pytest.approx(2.04, abs=0.01)
    assert found.p_value == pytest.approx(student_two_sided(t, freedom))


@pytest.mark.parametrize(
    ("serving", "candidate"),
    [([], []), ([1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0]), ([3.0, 3.0], [4.0, 4.0])],
)
def test_means_of_too_little_or_of_no_spread_are_not_compared(
    serving: list[float], candidate: list[float]
) -> None:
    assert welch(moments(serving), moments(candidate)) is None


def test_tiny_returns_are_compared_as_large_ones_are() -> None:
    chance = random.Random(1)
    values = [chance.gauss(0, 1) for _ in range(40)]
    large = welch(moments(values[:20]), moments(values[20:]))
    tiny = welch(
        moments([value * 1e-100 for value in values[:20]]),
        moments([value * 1e-100 for value in values[20:]]),
    )
    assert large is not None
    assert tiny is not None
    assert tiny.p_value == pytest.approx(large.p_value, rel=1e-9)


def test_false_alarms_of_welch_are_as_rare_as_its_level_says() -> None:
    chance = random.Random(5)
    alarms = 0
    for _ in range(400):
        serving = moments([chance.gauss(0, 1) for _ in range(12)])
        candidate = moments([chance.gauss(0, 5) for _ in range(30)])
        found = welch(serving, candidate)
        alarms += found is not None and found.is_significant
    # 20 are expected; four standard errors either way are 3 to 37.
    assert 3 <= alarms <= 37


def test_interval_of_two_shares_is_newcombes() -> None:
    """56 of 70 and 48 of 80 is the first example of Newcombe's 1998 paper, table II."""
    found = two_proportions(48, 80, 56, 70)
    assert found is not None
    assert found.effect == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.p_value == pytest.approx(0.00805, abs=1e-5)


@pytest.mark.parametrize(
    "counts", [(0, 0, 5, 9), (5, 9, 0, 0), (0, 50, 0, 50), (50, 50, 50, 50), (1, 40, 2, 40)]
)
def test_shares_of_too_few_are_not_compared(counts: tuple[int, int, int, int]) -> None:
    assert two_proportions(*counts) is None


def test_score_interval_of_a_share_stays_within_its_bounds() -> None:
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1), abs=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_observation_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        Moments().add(value)
