"""bellwire.agents.drift.noise: independent bars vary as chi-square says, dependent ones more."""

import numpy as np
import pytest

from bellwire.agents.drift.noise import BLOCK_BARS, noise_of


def test_independent_bars_need_next_to_no_correction():
    noise = noise_of(np.random.default_rng(3).integers(0, 4, 200_000), 4)
    assert noise.scale == pytest.approx(1.0, abs=0.05)
    assert noise.degrees == pytest.approx(3.0, abs=0.1)


def test_bars_that_repeat_are_worth_as_many_times_fewer():
    drawn = np.random.default_rng(4).integers(0, 2, 40_000)
    noise = noise_of(np.repeat(drawn, 6), 2)
    assert noise.scale == pytest.approx(6.0, rel=0.1)
    assert noise.degrees == 1.0


@pytest.mark.parametrize("bars", [1, 7])
def test_too_few_bars_for_blocks_count_as_independent(bars):
    noise = noise_of(np.zeros(bars, np.intp), 5)
    assert (noise.scale, noise.degrees) == (1.0, 4.0)


def test_a_column_that_never_changes_counts_as_independent():
    noise = noise_of(np.ones(20 * BLOCK_BARS, np.intp), 3)
    assert (noise.scale, noise.degrees) == (1.0, 2.0)
