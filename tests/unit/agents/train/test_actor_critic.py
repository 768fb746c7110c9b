"""bellwire.agents.train.actor_critic: the networks in torch are those in numpy."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="make test-torch installs it")

from bellwire.agents.tactical.networks import (  # noqa: E402
    DenseNetwork,
    DenseWeights,
    Variant,
    initial_weights,
)
from bellwire.agents.train.actor_critic import ActorCritic  # noqa: E402
from bellwire.agents.train.policy import policy_of  # noqa: E402

pytestmark = pytest.mark.torch

ARRAYS = ("attention", "hidden", "output", "hidden_bias", "output_bias")


def weights_of(variant):
    drawn = initial_weights(variant, 1)
    if variant is Variant.TINY:
        return drawn
    random = np.random.default_rng(2)
    networks = {
        name: DenseNetwork(
            network.attention,
            network.hidden,
            network.output,
            *(np.array(random.normal(size=size), np.float32) for size in network.output.shape),
        )
        for name, network in drawn.networks.items()
    }
    return DenseWeights(variant, **networks)


@pytest.fixture(params=[Variant.TINY, Variant.HIDDEN_128])
def weights(request):
    return weights_of(request.param)


@pytest.fixture
def inputs():
    return np.random.default_rng(0).uniform(-1, 1, (64, 421)).astype(np.float32)


def test_the_actors_say_what_the_numpy_policy_says(weights, inputs):
    with torch.no_grad():
        log_probs, _ = ActorCritic(weights)(torch.from_numpy(inputs))
    expected = policy_of(weights)(inputs[:, :420], inputs[:, 420:])
    assert log_probs.exp().numpy() == pytest.approx(expected, abs=1e-5)


def test_the_critic_is_one_network_on_the_same_inputs(weights, inputs):
    with torch.no_grad():
        _, values = ActorCritic(weights)(torch.from_numpy(inputs))
    critic, ceiling = weights.critic, weights.definition.ceiling
    hidden = inputs @ critic.hidden + (0.0 if critic.hidden_bias is None else critic.hidden_bias)
    expected = hidden.clip(0.0, ceiling) @ critic.output
    if critic.output_bias is not None:
        expected = expected + critic.output_bias
    assert values.numpy() == pytest.approx(expected[:, 0], abs=1e-4)


def test_weights_come_out_as_they_went_in(weights):
    found = ActorCritic(weights).weights()
    assert found.variant is weights.variant
    for name, network in weights.networks.items():
        for array in ARRAYS:
            given, returned = getattr(network, array), getattr(found.networks[name], array)
            assert (given is None) == (returned is None)
            assert given is None or np.array_equal(given, returned)


def test_the_given_weights_are_never_changed(weights, inputs):
    networks = ActorCritic(weights)
    before = weights.fvg.hidden.copy()
    with torch.no_grad():
        for parameter in networks.parameters.values():
            parameter.add_(1.0)
    assert np.array_equal(weights.fvg.hidden, before)
