import dataclasses

import numpy as np
import pytest

from bellwire.agents.strategic import initial_strategic_weights, strategic_forward
from bellwire.agents.tactical.networks import InvalidWeightsError


def features(rows):
    return np.random.default_rng(2).uniform(-1.0, 1.0, (rows, 13)).astype(np.float32)


@pytest.mark.parametrize("rows", [1, 64])
def test_they_give_three_distributions_and_a_value(rows):
    outputs = strategic_forward(initial_strategic_weights(1), features(rows))
    assert outputs.probabilities.shape == (rows, 3, 3)
    assert outputs.value.shape == (rows, 1)
    assert outputs.value.dtype == np.float32
    np.testing.assert_allclose(outputs.probabilities.sum(axis=-1), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("agent", "columns"), [(0, range(4)), (1, range(4, 10)), (2, range(10, 13))]
)
def test_each_network_sees_its_own_features_and_no_other(agent, columns):
    weights, given = initial_strategic_weights(1), features(8)
    before = strategic_forward(weights, given)
    for column in range(13):
        changed = given.copy()
        changed[:, column] += 1.0
        after = strategic_forward(weights, changed)
        differs = (before.probabilities[:, agent] != after.probabilities[:, agent]).any()
        assert differs == (column in columns), column
        assert (before.value != after.value).any()


def test_the_same_seed_gives_the_same_weights():
    first, same, other = (initial_strategic_weights(seed) for seed in (1, 1, 2))
    assert (first.mmd[0].weight == same.mmd[0].weight).all()
    assert (first.mmd[0].weight != other.mmd[0].weight).any()
    sizes = [layer.weight.shape for layer in (*first.mlmi, *first.nwrqk, *first.mmd, *first.critic)]
    assert sizes == [(4, 64), (64, 3), (6, 64), (64, 3), (3, 32), (32, 3), (13, 64), (64, 1)]


def test_networks_of_other_sizes_are_refused():
    weights = initial_strategic_weights(0)
    with pytest.raises(InvalidWeightsError, match="layers"):
        dataclasses.replace(weights, mmd=weights.mlmi)
