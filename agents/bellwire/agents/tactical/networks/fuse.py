"""The four dense networks as two matrix products, exactly.

Steps: each attention is multiplied into the rows of its own first matrix; the four first matrices
stand side by side (421 x 224 for tiny); the four second ones on the diagonal of one (224 x 10).
Products with the zeros beside the diagonal add nothing, so only the rounding of the folded weights
differs.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bellwire.agents.tactical.networks.forward import Outputs, softmax
from bellwire.agents.tactical.networks.weights import (
    ACTIONS,
    AGENTS,
    DenseNetwork,
    DenseWeights,
    Floats,
    Variant,
    tiled_attention,
)

LOGITS: Final = len(AGENTS) * ACTIONS  # 9; the tenth output is the critic's value


@dataclass(frozen=True, slots=True, eq=False)
class FusedWeights:
    """Two matrices for the whole system."""

    variant: Variant
    """What it was fused from."""
    ceiling: float
    """Upper end of the clamp of the hidden layer; infinity = ReLU."""
    hidden: Floats
    """(421, hidden of all four)."""
    output: Floats
    """(hidden of all four, 10): logits of fvg, momentum and entry, then the value."""
    hidden_bias: Floats | None
    output_bias: Floats | None


def fuse(weights: DenseWeights) -> FusedWeights:
    """Return the same function as two matrices."""
    networks = list(weights.networks.values())
    has_bias = weights.definition.has_bias
    return FusedWeights(
        variant=weights.variant,
        ceiling=weights.definition.ceiling,
        hidden=np.hstack([tiled_attention(n.attention)[:, None] * n.hidden for n in networks]),
        output=_block_diagonal(networks),
        hidden_bias=_joined([n.hidden_bias for n in networks]) if has_bias else None,
        output_bias=_joined([n.output_bias for n in networks]) if has_bias else None,
    )


def forward_fused(weights: FusedWeights, observation: Floats, position: Floats) -> Outputs:
    """Compute what `forward` computes; arguments and result are the same."""
    inputs = np.concatenate([observation, position], axis=1)  # (batch, 421)
    hidden = inputs @ weights.hidden  # (batch, hidden)
    if weights.hidden_bias is not None:
        hidden += weights.hidden_bias
    np.clip(hidden, 0.0, weights.ceiling, out=hidden)
    outputs = hidden @ weights.output  # (batch, 10)
    if weights.output_bias is not None:
        outputs += weights.output_bias
    logits = outputs[:, :LOGITS].reshape(-1, len(AGENTS), ACTIONS)  # (batch, agent, action)
    return Outputs(softmax(logits), outputs[:, LOGITS:])


def _block_diagonal(networks: list[DenseNetwork]) -> Floats:
    widths, outputs = zip(*(network.output.shape for network in networks), strict=True)
    matrix = np.zeros((sum(widths), sum(outputs)), np.float32)
    row = column = 0
    for network, width, count in zip(networks, widths, outputs, strict=True):
        matrix[row : row + width, column : column + count] = network.output
        row, column = row + width, column + count
    return matrix


def _joined(biases: list[Floats | None]) -> Floats:
    return np.concatenate([bias for bias in biases if bias is not None])
