"""What the networks say about observations, network by network, in numpy."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bellwire.agents.features import COLUMNS, ROWS
from bellwire.agents.tactical.networks.convolution import (
    KERNEL_BARS,
    ConvActor,
    Convolution,
    ConvWeights,
    pooling_matrix,
)
from bellwire.agents.tactical.networks.layers import through_layers
from bellwire.agents.tactical.networks.weights import (
    DenseNetwork,
    DenseWeights,
    Floats,
    tiled_attention,
)

Weights: TypeAlias = DenseWeights | ConvWeights


class Outputs(NamedTuple):
    """What the whole system says about a batch."""

    probabilities: Floats
    """(batch, 3, 3): rows fvg, momentum, entry; each sums to 1, actions in ascending order."""
    value: Floats
    """(batch, 1): the critic's estimate."""


def forward(weights: Weights, observation: Floats, position: Floats) -> Outputs:
    """Compute the three actors and the critic, one after the other.

    Args:
        weights: Of any variant.
        observation: (batch, 420) float32, the matrix row by row.
        position: (batch, 1) float32 in [-1, 1].
    """
    logits, value = logits_and_value(weights, observation, position)
    return Outputs(softmax(logits), value)


def logits_and_value(
    weights: Weights, observation: Floats, position: Floats
) -> tuple[Floats, Floats]:
    """Return the logits (batch, 3, 3), before the softmax, and the value (batch, 1)."""
    inputs = np.concatenate([observation, position], axis=1)  # (batch, 421)
    if isinstance(weights, ConvWeights):
        rows = [_conv_logits(actor, observation, position) for actor in weights.actors]
        return np.stack(rows, axis=1), through_layers(weights.critic, inputs)
    ceiling = weights.definition.ceiling
    rows = [_dense(actor, inputs, ceiling) for actor in weights.actors]
    return np.stack(rows, axis=1), _dense(weights.critic, inputs, ceiling)


def softmax(logits: Floats) -> Floats:
    """Return the softmax along the last axis; the largest is subtracted first, so nothing overflows."""
    powers: Floats = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def _dense(network: DenseNetwork, inputs: Floats, ceiling: float) -> Floats:
    seen: Floats = np.multiply(inputs, tiled_attention(network.attention))
    hidden: Floats = seen @ network.hidden  # (batch, hidden)
    if network.hidden_bias is not None:
        hidden += network.hidden_bias
    np.clip(hidden, 0.0, ceiling, out=hidden)
    outputs: Floats = hidden @ network.output  # (batch, outputs)
    return outputs if network.output_bias is None else outputs + network.output_bias


def _conv_logits(actor: ConvActor, observation: Floats, position: Floats) -> Floats:
    bars = observation.reshape(-1, ROWS, COLUMNS) * actor.attention  # (batch, bar, column)
    channels = bars.transpose(0, 2, 1)  # (batch, channel, bar)
    for convolution in actor.convolutions:
        channels = np.maximum(_convolve(convolution, channels), 0.0)
    pooled = channels @ pooling_matrix()  # (batch, channel, 16)
    flat = pooled.reshape(len(pooled), -1)  # (batch, 1024)
    return through_layers(actor.layers, np.concatenate([flat, position], axis=1))


def _convolve(convolution: Convolution, channels: Floats) -> Floats:
    around = KERNEL_BARS // 2
    padded = np.pad(channels, ((0, 0), (0, 0), (around, around)))
    windows = sliding_window_view(padded, KERNEL_BARS, axis=2)  # (batch, channel, bar, kernel)
    result = np.einsum("bctk,ock->bot", windows, convolution.weight, optimize=True)
    biased: Floats = result + convolution.bias[:, None]
    return biased  # (batch, channel, bar)
