"""bellwire.agents.drift.psi: the index, what chance makes of it, and its limit."""

from math import log

import pytest

from bellwire.agents.drift.psi import chi_square_limit, psi, psi_by_chance, psi_limit


def test_the_index_is_that_of_the_formula():
    assert psi([50, 50], [80, 20]) == pytest.approx(
        (0.5 - 0.8) * log(0.5 / 0.8) + (0.5 - 0.2) * log(0.5 / 0.2)
    )


def test_an_empty_bin_counts_as_one_in_a_hundred():
    assert psi([100, 0], [99, 1]) == pytest.approx(0.01 * log(1 / 0.99))
    assert psi([0, 100], [100, 0]) == pytest.approx(2 * 0.99 * log(100))


def test_independent_bars_have_the_expectation_of_the_literature():
    assert psi_by_chance(500, 2_000, scale=1.0, degrees=9.0) == pytest.approx(
        9 * (1 / 500 + 1 / 2_000)
    )


@pytest.mark.parametrize(
    ("degrees", "exceeded", "table", "relative"),
    [(9, 0.05, 16.919, 0.01), (9, 0.0001, 33.720, 0.02), (5, 0.01, 15.086, 0.01)],
)
def test_the_limit_is_that_of_the_tables(degrees, exceeded, table, relative):
    assert chi_square_limit(degrees, exceeded) == pytest.approx(table, rel=relative)


def test_for_one_degree_the_limit_errs_to_the_safe_side():
    assert 15.137 < chi_square_limit(1, 0.0001) < 15.137 * 1.08


def test_dependence_raises_the_limit_and_more_bars_lower_it():
    usual = psi_limit(500, 500, scale=1.0, degrees=9.0, false_alarms=0.01)
    assert psi_limit(500, 500, scale=4.0, degrees=9.0, false_alarms=0.01) == 4 * usual
    assert psi_limit(5_000, 5_000, scale=1.0, degrees=9.0, false_alarms=0.01) < usual
