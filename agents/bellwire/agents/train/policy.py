"""A trained network as a function from what is seen to what is done, in numpy."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.tactical.networks import (
    ACTIONS,
    AGENTS,
    INPUT_SIZE,
    OBSERVATION_SIZE,
    DenseWeights,
)
from bellwire.agents.tactical.networks.weights import tiled_attention

Floats: TypeAlias = NDArray[np.float32]

Policy: TypeAlias = Callable[[Floats, Floats], Floats]
"""(n, 420) observations and (n, 1) positions to (n, 3, 3) probabilities of fvg, momentum, entry."""


def policy_of(weights: DenseWeights) -> Policy:
    """Return the policy of these weights; the attention is folded into the first layer once."""
    actors = weights.actors
    hidden = np.concatenate(
        [actor.hidden * tiled_attention(actor.attention)[:, np.newaxis] for actor in actors],
        axis=1,
    )  # (421, 3 * width)
    output = np.stack([actor.output for actor in actors])  # (3, width, 3)
    width = output.shape[1]
    hidden_bias = np.concatenate([_bias(actor.hidden_bias, width) for actor in actors])
    output_bias = np.stack([_bias(actor.output_bias, ACTIONS) for actor in actors])  # (3, 3)
    ceiling = np.float32(weights.definition.ceiling)

    def probabilities(observation: Floats, position: Floats) -> Floats:
        seen = np.empty((len(observation), INPUT_SIZE), np.float32)
        seen[:, :OBSERVATION_SIZE] = observation
        seen[:, OBSERVATION_SIZE:] = position
        active = (seen @ hidden + hidden_bias).clip(0.0, ceiling)  # (n, 3 * width)
        by_agent = active.reshape(len(seen), len(AGENTS), 1, width)  # (n, 3, 1, width)
        logits = (by_agent @ output)[:, :, 0] + output_bias  # (n, 3, 3)
        powers = np.exp(logits - logits.max(axis=2, keepdims=True))
        shares: Floats = powers / powers.sum(axis=2, keepdims=True)
        return shares

    return probabilities


def _bias(values: Floats | None, size: int) -> Floats:
    return np.zeros(size, np.float32) if values is None else values
