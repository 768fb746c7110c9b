"""bellwire.agents.train.gae: against the definition, summed term by term."""

import numpy as np
import pytest

from bellwire.agents.train.gae import advantages


def by_definition(rewards, values, last_value, discount, decay):
    """Equation 16 of Schulman et al. (2016) for one episode, O(T²)."""
    following = np.append(values[1:], last_value)
    surprises = rewards + discount * following - values
    return [
        sum((discount * decay) ** (t - start) * surprises[t] for t in range(start, len(rewards)))
        for start in range(len(rewards))
    ]


@pytest.mark.parametrize(("discount", "decay"), [(0.99, 0.95), (1.0, 1.0), (0.9, 0.0)])
def test_the_recursion_gives_the_sum_of_the_definition(discount, decay):
    random = np.random.default_rng(1)
    rewards, values = random.normal(size=(2, 37, 3))
    last = random.normal(size=3)
    found = advantages(rewards, values, last, discount, decay)
    for episode in range(3):
        column = rewards[:, episode], values[:, episode], last[episode]
        expected = by_definition(*column, discount, decay)
        assert found.advantages[:, episode] == pytest.approx(expected)
    assert np.array_equal(found.returns, found.advantages + values)


def test_the_state_behind_a_cut_off_end_is_worth_what_the_critic_says():
    found = advantages(np.zeros((1, 1)), np.zeros((1, 1)), np.array([10.0]), 0.5, 0.95)
    assert found.returns.tolist() == [[5.0]]


def test_rewards_and_values_must_have_one_shape():
    with pytest.raises(AssertionError, match="one reward and one value"):
        advantages(np.zeros((4, 2, 3)), np.zeros((4, 2)), np.zeros(2), 0.99, 0.95)
