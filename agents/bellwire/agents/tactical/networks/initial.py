"""Untrained weights, drawn from a seed."""

import math
from typing import Final

import numpy as np

from bellwire.agents.features import COLUMNS
from bellwire.agents.tactical.networks.weights import (
    ACTIONS,
    DENSE,
    INPUT_SIZE,
    NETWORKS,
    DenseDefinition,
    DenseNetwork,
    DenseWeights,
    Floats,
    Variant,
)

TINY_BOUND: Final = 0.1  # uniform in +-0.1: logits near 0, so that every action is tried


def initial_weights(variant: Variant, seed: int) -> DenseWeights:
    """Return weights that depend on variant and seed alone.

    Tiny: uniform in +-0.1. Hidden-128: uniform in +-sqrt(6 / (inputs + outputs)), biases 0 (Glorot
    and Bengio, AISTATS 2010, formula 16).
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    definition = DENSE[variant]
    networks = {name: _network(name, definition, generator) for name in NETWORKS}
    return DenseWeights(variant, **networks)


def _network(
    name: str, definition: DenseDefinition, generator: np.random.Generator
) -> DenseNetwork:
    is_critic = name == "critic"
    width = definition.critic_hidden if is_critic else definition.actor_hidden
    outputs = 1 if is_critic else ACTIONS
    biased = definition.has_bias
    return DenseNetwork(
        attention=np.array(definition.attention.get(name, (1.0,) * COLUMNS), np.float32),
        hidden=_matrix((INPUT_SIZE, width), biased, generator),
        output=_matrix((width, outputs), biased, generator),
        hidden_bias=np.zeros(width, np.float32) if biased else None,
        output_bias=np.zeros(outputs, np.float32) if biased else None,
    )


def _matrix(shape: tuple[int, int], glorot: bool, generator: np.random.Generator) -> Floats:
    bound = math.sqrt(6.0 / sum(shape)) if glorot else TINY_BOUND
    return generator.uniform(-bound, bound, shape).astype(np.float32)
