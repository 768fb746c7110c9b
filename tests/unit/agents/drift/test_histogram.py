"""bellwire.agents.drift.histogram: edges by quantiles, and bins at their borders."""

import numpy as np

from bellwire.agents.drift.histogram import action_edges, bin_of, bins_of, quantile_edges


def test_distinct_values_are_parted_into_equal_shares():
    values = np.arange(1_000, dtype=np.float64)
    edges = quantile_edges(values)
    assert len(edges) == 9
    assert set(np.bincount(bins_of(edges, values))) == {100}


def test_a_frequent_value_takes_a_bin_of_its_own():
    values = np.concatenate([np.zeros(700), np.linspace(1, 2, 300)])
    counts = np.bincount(bins_of(quantile_edges(values), values))
    assert counts.tolist() == [700, 100, 100, 100]


def test_a_flag_has_two_bins_however_rare_it_is():
    values = np.array([0.0] * 999 + [1.0])
    edges = quantile_edges(values)
    assert edges == (0.0,)
    assert [bin_of(edges, 0.0), bin_of(edges, 1.0)] == [0, 1]


def test_a_frequent_flag_has_two_bins_and_none_above_it():
    for ones in (500, 950, 999):
        assert quantile_edges(np.array([0.0] * (1_000 - ones) + [1.0] * ones)) == (0.0,)


def test_a_column_of_one_value_tells_both_what_is_below_and_what_is_above():
    edges = quantile_edges(np.full(50, 0.25))
    assert [bin_of(edges, value) for value in (0.2499999, 0.25, 0.2500001)] == [0, 1, 2]


def test_values_beyond_all_edges_fall_into_the_outer_bins():
    assert [bin_of((1.0, 2.0), value) for value in (-9.0, 1.0, 1.5, 2.0, 9.0)] == [0, 0, 1, 1, 2]


def test_each_action_has_a_bin():
    assert [bin_of(action_edges(3), action) for action in (0, 1, 2)] == [0, 1, 2]
