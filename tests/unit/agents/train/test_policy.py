"""bellwire.agents.train.policy: the folded networks are the networks."""

import numpy as np
import pytest

from bellwire.agents.tactical.networks import DenseNetwork, DenseWeights, Variant, initial_weights
from bellwire.agents.train.policy import policy_of

RANDOM = np.random.default_rng(0)


def with_biases(weights):
    """Biases begin at 0, where a forgotten one would not show."""

    def biased(network):
        sizes = network.output.shape
        biases = (RANDOM.normal(size=size).astype(np.float32) for size in sizes)
        return DenseNetwork(network.attention, network.hidden, network.output, *biases)

    networks = {name: biased(network) for name, network in weights.networks.items()}
    return DenseWeights(weights.variant, **networks)


def one_by_one(network, ceiling, observation, position):
    matrix = observation.reshape(60, 7) * network.attention
    hidden = np.append(matrix.ravel(), position) @ network.hidden
    if network.hidden_bias is not None:
        hidden = hidden + network.hidden_bias
    logits = np.minimum(np.maximum(hidden, 0.0), ceiling) @ network.output
    if network.output_bias is not None:
        logits = logits + network.output_bias
    powers = np.exp(logits)
    return powers / powers.sum()


@pytest.mark.parametrize("variant", [Variant.TINY, Variant.HIDDEN_128])
@pytest.mark.parametrize("batch", [1, 64])
def test_folding_the_attention_changes_nothing(variant, batch):
    weights = initial_weights(variant, 3)
    if variant is Variant.HIDDEN_128:
        weights = with_biases(weights)
    observation = RANDOM.uniform(-1, 1, (batch, 420)).astype(np.float32)
    position = RANDOM.uniform(-1, 1, (batch, 1)).astype(np.float32)
    found = policy_of(weights)(observation, position)
    assert found.shape == (batch, 3, 3)
    for row in range(batch):
        for agent, network in enumerate(weights.actors):
            given = observation[row], position[row]
            expected = one_by_one(network, weights.definition.ceiling, *given)
            assert found[row, agent] == pytest.approx(expected, abs=1e-5)
