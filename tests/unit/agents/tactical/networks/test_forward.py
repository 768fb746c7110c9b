import dataclasses
import itertools

import numpy as np
import pytest

from bellwire.agents.tactical.networks import (
    AGENTS,
    DenseWeights,
    Variant,
    forward,
    initial_weights,
    logits_and_value,
    softmax,
)
from bellwire.agents.tactical.networks.convolution import pooling_matrix

JOINT_ACTIONS = list(itertools.product(range(3), repeat=3))


def test_every_variant_gives_three_distributions_and_a_value(weights, batch):
    outputs = forward(weights, batch.observation, batch.position)
    rows = len(batch.observation)
    assert outputs.probabilities.shape == (rows, 3, 3)
    assert outputs.value.shape == (rows, 1)
    assert outputs.probabilities.dtype == outputs.value.dtype == np.float32
    np.testing.assert_allclose(outputs.probabilities.sum(axis=-1), 1.0, atol=1e-6)


def test_the_most_probable_action_is_that_of_the_largest_logit(weights, batch):
    logits, _ = logits_and_value(weights, batch.observation, batch.position)
    assert (logits.argmax(-1) == softmax(logits).argmax(-1)).all()


def test_a_row_does_not_depend_on_the_batch_it_comes_in(weights, batch):
    together = forward(weights, batch.observation, batch.position)
    alone = forward(weights, batch.observation[-1:], batch.position[-1:])
    np.testing.assert_allclose(together.probabilities[-1:], alone.probabilities, atol=1e-6)


def test_every_network_sees_the_position(weights, batch):
    one = logits_and_value(weights, batch.observation, np.ones_like(batch.position))
    other = logits_and_value(weights, batch.observation, -np.ones_like(batch.position))
    assert (one[0] != other[0]).any(axis=(0, 2)).all()
    assert (one[1] != other[1]).any()


def test_softmax_does_not_overflow():
    huge = np.array([[1e30, 0.0, -1e30]], np.float32)
    assert softmax(huge).tolist() == [[1.0, 0.0, 0.0]]


def test_a_tiny_actor_computes_what_its_definition_says(batch):
    weights = initial_weights(Variant.TINY, 5)
    logits, value = logits_and_value(weights, batch.observation, batch.position)
    for agent, actor in enumerate(weights.actors):
        columns = batch.observation.reshape(-1, 60, 7).astype(np.float64) * actor.attention
        seen = np.hstack([columns.reshape(-1, 420), batch.position])
        hidden = np.clip(seen @ actor.hidden.astype(np.float64), 0.0, 6.0)
        np.testing.assert_allclose(logits[:, agent], hidden @ actor.output, atol=2e-5)
    seen = np.hstack([batch.observation, batch.position]).astype(np.float64)
    hidden = np.clip(seen @ weights.critic.hidden, 0.0, 6.0)
    np.testing.assert_allclose(value, hidden @ weights.critic.output, atol=2e-5)


@pytest.mark.parametrize("wanted", JOINT_ACTIONS)
def test_networks_can_be_made_to_choose_any_joint_action(wanted):
    outputs = forward(forced_weights(wanted), np.ones((1, 420), np.float32), np.zeros((1, 1), "f4"))
    assert tuple(outputs.probabilities[0].argmax(axis=-1)) == wanted


def forced_weights(wanted):
    """Hidden layers that say 6 to any observation of ones, and an output that likes one action."""
    initial = initial_weights(Variant.TINY, 0)
    networks = initial.networks
    for agent, action in zip(AGENTS, wanted, strict=True):
        output = np.zeros((64, 3), np.float32)
        output[:, action] = 1.0
        hidden = np.ones((421, 64), np.float32)
        networks[agent] = dataclasses.replace(networks[agent], hidden=hidden, output=output)
    return DenseWeights(Variant.TINY, **networks)


def test_pooling_takes_the_mean_of_the_bins_between_floor_and_ceiling():
    matrix = pooling_matrix()
    np.testing.assert_allclose(matrix.sum(axis=0), 1.0, atol=1e-6)
    bars = [np.flatnonzero(matrix[:, column]).tolist() for column in (0, 1, 15)]
    assert bars == [[0, 1, 2, 3], [3, 4, 5, 6, 7], [56, 57, 58, 59]]


def test_a_convolution_looks_one_bar_to_each_side_and_no_further():
    from bellwire.agents.tactical.networks.convolution import Convolution
    from bellwire.agents.tactical.networks.forward import _convolve

    weight = np.zeros((1, 7, 3), np.float32)
    weight[0, 2] = (1.0, 10.0, 100.0)  # before, at, after
    channels = np.zeros((1, 7, 60), np.float32)
    channels[0, 2, 0] = channels[0, 2, 30] = 1.0
    (result,) = _convolve(Convolution(weight, np.zeros(1, np.float32)), channels)
    assert {bar: result[0, bar] for bar in np.flatnonzero(result[0])} == {
        0: 10.0,
        1: 1.0,
        29: 100.0,
        30: 10.0,
        31: 1.0,
    }
