"""Untrained weights whose actors are undecided between their actions: a small orthogonal last layer."""

from typing import Final

import numpy as np

from bellwire.agents.strategic.networks import StrategicWeights, initial_strategic_weights
from bellwire.agents.tactical.networks import (
    AGENTS,
    DenseNetwork,
    DenseWeights,
    Variant,
    initial_weights,
)
from bellwire.agents.tactical.networks.layers import Layer
from bellwire.agents.tactical.networks.weights import Floats

_STREAM: Final = 1  # beside the seed: other numbers than those the hidden layers were drawn with


def beginning(variant: Variant, seed: int, output_gain: float) -> DenseWeights:
    """Return untrained tactical weights."""
    drawn = initial_weights(variant, seed)
    random = np.random.default_rng((seed, _STREAM))
    actors = {
        agent: DenseNetwork(
            network.attention,
            network.hidden,
            output_gain * _orthogonal(network.output.shape, random),
            network.hidden_bias,
            network.output_bias,
        )
        for agent, network in zip(AGENTS, drawn.actors, strict=True)
    }
    return DenseWeights(variant, **actors, critic=drawn.critic)


def strategic_beginning(seed: int, output_gain: float) -> StrategicWeights:
    """Return untrained strategic weights; the last biases of the actors are 0."""
    drawn = initial_strategic_weights(seed)
    random = np.random.default_rng((seed, _STREAM))
    actors = {
        agent: (*hidden, _undecided(last, output_gain, random))
        for agent, (*hidden, last) in drawn.actors.items()
    }
    return StrategicWeights(**actors, critic=drawn.critic)


def _undecided(layer: Layer, gain: float, random: np.random.Generator) -> Layer:
    weight = gain * _orthogonal(layer.weight.shape, random)
    return Layer(weight, np.zeros_like(layer.bias))


def _orthogonal(shape: tuple[int, ...], random: np.random.Generator) -> Floats:
    """Return a matrix with orthonormal columns (Saxe et al., 2014)."""
    basis, scale = np.linalg.qr(random.standard_normal(shape))
    return (basis * np.sign(np.diag(scale))).astype(np.float32)
