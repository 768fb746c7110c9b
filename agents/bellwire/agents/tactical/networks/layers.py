"""Dense layers one after the other: what the convolutional actors and the strategic networks end in."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bellwire.agents.tactical.networks.errors import InvalidWeightsError
from bellwire.agents.tactical.networks.weights import Floats, freeze


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A dense layer; read-only float32 copies of what it was given."""

    weight: Floats
    """(inputs, outputs)."""
    bias: Floats
    """(outputs,)."""

    def __post_init__(self) -> None:
        freeze(self, "weight", self.weight.shape[:2])
        freeze(self, "bias", self.weight.shape[1:])


def check_layers(layers: tuple[Layer, ...], sizes: tuple[int, ...]) -> None:
    """Refuse layers of other sizes.

    Raises:
        InvalidWeightsError: Naming both.
    """
    found = [layer.weight.shape for layer in layers]
    if found != list(pairwise(sizes)):
        raise InvalidWeightsError("layers", f"of sizes {found}", f"{list(pairwise(sizes))}")


def through_layers(layers: tuple[Layer, ...], inputs: Floats) -> Floats:
    """Compute the layers; every one but the last is clamped below at 0."""
    outputs = inputs
    for layer in layers[:-1]:
        outputs = np.maximum(outputs @ layer.weight + layer.bias, 0.0)  # (batch, outputs)
    return outputs @ layers[-1].weight + layers[-1].bias


def initial_layers(sizes: tuple[int, ...], generator: np.random.Generator) -> tuple[Layer, ...]:
    """Return layers of the given sizes: weights and biases uniform in +-1/sqrt(inputs of a neuron)."""
    return tuple(
        Layer(uniform((before, after), before, generator), uniform((after,), before, generator))
        for before, after in pairwise(sizes)
    )


def uniform(shape: tuple[int, ...], inputs: int, generator: np.random.Generator) -> Floats:
    """Return numbers uniform in +-1/sqrt(inputs)."""
    bound = float(inputs) ** -0.5
    return generator.uniform(-bound, bound, shape).astype(np.float32)
