import dataclasses

import numpy as np
import pytest

from bellwire.agents.tactical.networks import (
    DenseWeights,
    InvalidWeightsError,
    Variant,
    initial_conv_weights,
    initial_weights,
)


@pytest.fixture
def tiny():
    return initial_weights(Variant.TINY, 0)


def test_weights_cannot_be_changed_neither_through_what_they_were_made_of(tiny):
    mine = np.array(tiny.fvg.output)
    network = dataclasses.replace(tiny.fvg, output=mine)
    mine[:] = 7.0
    assert (network.output != 7.0).all()
    with pytest.raises(ValueError, match="read-only"):
        network.output[0, 0] = 1.0


@pytest.mark.parametrize("name", ["attention", "hidden", "output"])
def test_an_array_of_another_shape_is_refused_by_name(tiny, name):
    with pytest.raises(InvalidWeightsError, match=r"of shape .* expected"):
        dataclasses.replace(tiny.fvg, **{name: np.zeros((5, 5), np.float32)})


def test_weights_that_are_not_finite_are_refused(tiny):
    hidden = np.array(tiny.fvg.hidden)
    hidden[3, 4] = np.nan
    with pytest.raises(InvalidWeightsError, match="'hidden' are not finite"):
        dataclasses.replace(tiny.fvg, hidden=hidden)


def test_one_bias_without_the_other_is_refused(tiny):
    with pytest.raises(InvalidWeightsError, match="two biases or none"):
        dataclasses.replace(tiny.fvg, hidden_bias=np.zeros(64, np.float32))


def test_networks_of_another_variant_are_refused(tiny):
    with pytest.raises(InvalidWeightsError, match=r"fvg\.output"):
        DenseWeights(Variant.HIDDEN_128, **tiny.networks)
    with pytest.raises(InvalidWeightsError, match="variant"):
        DenseWeights(Variant.CONV, **tiny.networks)
    biased = dataclasses.replace(
        tiny.fvg, hidden_bias=np.zeros(64, np.float32), output_bias=np.zeros(3, np.float32)
    )
    with pytest.raises(InvalidWeightsError, match="no biases"):
        dataclasses.replace(tiny, fvg=biased)


def test_the_critic_cannot_be_an_actor(tiny):
    with pytest.raises(InvalidWeightsError, match=r"critic\.output"):
        DenseWeights(Variant.TINY, **{**tiny.networks, "critic": tiny.fvg})


def test_a_convolutional_actor_needs_all_its_layers():
    actor = initial_conv_weights(0).entry
    with pytest.raises(InvalidWeightsError, match="layers"):
        dataclasses.replace(actor, layers=actor.layers[:2])
    with pytest.raises(InvalidWeightsError, match="convolutions"):
        dataclasses.replace(actor, convolutions=actor.convolutions[::-1])
