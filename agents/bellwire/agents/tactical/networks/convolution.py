"""The convolutional variant: two convolutions over the 60 bars, then layers, for each agent.

::

    columns * attention -> conv 7 to 32 -> conv 32 to 64 -> 60 bars averaged to 16
        -> with the position: layers of 256, 128, 3

Both convolutions look one bar to each side (kernel 3, zeros outside); every layer but the last is
clamped below at 0. The critic is layers only: 512, 256, 128, 1 of the 421 inputs.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from bellwire.agents.features import COLUMNS, ROWS
from bellwire.agents.tactical.networks.errors import InvalidWeightsError
from bellwire.agents.tactical.networks.layers import (
    Layer,
    check_layers,
    initial_layers,
    uniform,
)
from bellwire.agents.tactical.networks.weights import (
    ACTIONS,
    AGENTS,
    INPUT_SIZE,
    POSITION_SIZE,
    Floats,
    Variant,
    freeze,
)

KERNEL_BARS: Final = 3
CHANNELS: Final = (COLUMNS, 32, 64)  # of the input and after each convolution
POOLED: Final = 16  # averages the 60 bars become
ACTOR_LAYERS: Final = (CHANNELS[-1] * POOLED + POSITION_SIZE, 256, 128, ACTIONS)
CRITIC_LAYERS: Final = (INPUT_SIZE, 512, 256, 128, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A convolution over time."""

    weight: Floats
    """(channels out, channels in, 3), as torch and ONNX keep it."""
    bias: Floats
    """(channels out,)."""

    def __post_init__(self) -> None:
        freeze(self, "weight", (*self.weight.shape[:2], KERNEL_BARS))
        freeze(self, "bias", self.weight.shape[:1])


@dataclass(frozen=True, slots=True, eq=False)
class ConvActor:
    """One agent's network."""

    attention: Floats
    """(7,): what each column of the matrix is multiplied by."""
    convolutions: tuple[Convolution, ...]
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        """Check every size against the definition above.

        Raises:
            InvalidWeightsError: A shape that does not fit.
        """
        freeze(self, "attention", (COLUMNS,))
        found = [each.weight.shape[:2] for each in self.convolutions]
        expected = [(after, before) for before, after in pairwise(CHANNELS)]
        if found != expected:
            raise InvalidWeightsError("convolutions", f"of sizes {found}", f"{expected}")
        check_layers(self.layers, ACTOR_LAYERS)


@dataclass(frozen=True, slots=True, eq=False)
class ConvWeights:
    """Three convolutional actors and the critic."""

    fvg: ConvActor
    momentum: ConvActor
    entry: ConvActor
    critic: tuple[Layer, ...]

    def __post_init__(self) -> None:
        """Check the critic's sizes.

        Raises:
            InvalidWeightsError: A shape that does not fit.
        """
        check_layers(self.critic, CRITIC_LAYERS)

    @property
    def variant(self) -> Variant:
        """Always the convolutional one."""
        return Variant.CONV

    @property
    def actors(self) -> tuple[ConvActor, ConvActor, ConvActor]:
        """In the order of `AGENTS`."""
        return (self.fvg, self.momentum, self.entry)


def pooling_matrix() -> Floats:
    """Return (60, 16): column i averages the bars from floor(60 i / 16) to ceil(60 (i + 1) / 16).

    The bins overlap where 60 / 16 is no whole number, as in torch's adaptive average pooling; as a
    matrix it is one more product that every engine can compute.
    """
    matrix = np.zeros((ROWS, POOLED), np.float32)
    for column in range(POOLED):
        first, last = column * ROWS // POOLED, -(-(column + 1) * ROWS // POOLED)
        matrix[first:last, column] = 1.0 / (last - first)
    return matrix


def initial_conv_weights(seed: int) -> ConvWeights:
    """Return weights that depend on the seed alone: uniform in +-1/sqrt(inputs of a neuron).

    The attention starts at 1 everywhere: it is learned, and no column is better before.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    fvg, momentum, entry = (_initial_actor(generator) for _ in AGENTS)
    return ConvWeights(fvg, momentum, entry, initial_layers(CRITIC_LAYERS, generator))


def _initial_actor(generator: np.random.Generator) -> ConvActor:
    convolutions = tuple(
        Convolution(
            uniform((after, before, KERNEL_BARS), before * KERNEL_BARS, generator),
            uniform((after,), before * KERNEL_BARS, generator),
        )
        for before, after in pairwise(CHANNELS)
    )
    layers = initial_layers(ACTOR_LAYERS, generator)
    return ConvActor(np.ones(COLUMNS, np.float32), convolutions, layers)
