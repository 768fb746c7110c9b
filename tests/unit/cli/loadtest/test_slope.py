"""bellwire.cli.loadtest.slope: lines through samples."""

from __future__ import annotations

import random

import pytest

from bellwire.cli.loadtest.slope import Slope, fit_slope


def test_a_straight_line_has_its_slope_and_no_error():
    slope = fit_slope([0, 1, 2, 3], [5, 7, 9, 11])
    assert slope is not None
    assert slope.value == pytest.approx(2)
    assert slope.standard_error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("xs", "ys"), [([], []), ([1, 2], [1, 2]), ([3, 3, 3], [1, 2, 3])])
def test_nothing_is_fitted_through_too_little(xs, ys):
    assert fit_slope(xs, ys) is None


def test_the_standard_error_is_the_textbook_one_for_independent_noise():
    chance = random.Random(7)
    xs = [float(i) for i in range(2_000)]
    ys = [chance.gauss(0, 3) for _ in xs]
    slope = fit_slope(xs, ys)
    assert slope is not None
    textbook = 3 / (sum((x - 999.5) ** 2 for x in xs)) ** 0.5
    assert slope.standard_error == pytest.approx(textbook, rel=0.2)


def test_samples_that_resemble_their_neighbours_count_for_less():
    chance = random.Random(7)
    news = [chance.gauss(0, 3) for _ in range(400)]
    xs = [float(i) for i in range(2_000)]
    stepping = fit_slope(xs, [news[i // 5] for i in range(2_000)])
    jumping = fit_slope(xs, [news[(i * 7) % 400] for i in range(2_000)])
    assert stepping is not None
    assert jumping is not None
    assert stepping.standard_error > 1.5 * jumping.standard_error


def test_growth_is_significant_only_beyond_so_many_standard_errors():
    slope = Slope(value=10.0, standard_error=2.0)
    assert slope.is_above(3.9, standard_errors=3)
    assert not slope.is_above(4.1, standard_errors=3)
