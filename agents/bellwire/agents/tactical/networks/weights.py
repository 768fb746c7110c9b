"""The weights of the tactical networks with one hidden layer: three actors and a critic.

Every network sees 421 numbers: the observation of `bellwire.agents.features`, 60 x 7 row by row, and
then the position. An actor multiplies each column of the matrix by a fixed weight (its attention),
never the position::

    logits = clamp(input * attention @ hidden + hidden_bias, 0, ceiling) @ output + output_bias

Matrices are (inputs, outputs), the transpose of what torch keeps. Logits are in ascending order of the
action; one softmax over three turns them into probabilities.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.features import COLUMNS, ROWS
from bellwire.agents.tactical.networks.errors import InvalidWeightsError

Floats: TypeAlias = NDArray[np.float32]

AGENTS: Final = ("fvg", "momentum", "entry")  # order of the rows of the probabilities
NETWORKS: Final = (*AGENTS, "critic")
ACTIONS: Final = 3  # of each agent
OBSERVATION_SIZE: Final = ROWS * COLUMNS  # 420
POSITION_SIZE: Final = 1  # in [-1, 1]
INPUT_SIZE: Final = OBSERVATION_SIZE + POSITION_SIZE  # 421


class Variant(StrEnum):
    """Which networks."""

    TINY = "tiny"
    """Hidden layers of 64 (actors) and 32 (critic), no biases, clamped to 0 … 6."""
    HIDDEN_128 = "hidden-128"
    """Hidden layers of 128 and 64 with biases, clamped below at 0."""
    CONV = "conv"
    """Two convolutions over time and three layers; see `networks.convolution`."""


@dataclass(frozen=True, slots=True)
class DenseDefinition:
    """What tells one dense variant from the other."""

    actor_hidden: int
    critic_hidden: int
    has_bias: bool
    ceiling: float
    """Upper end of the clamp of the hidden layer; infinity = ReLU."""
    attention: Mapping[str, tuple[float, ...]]
    """Initial weight of each of the seven columns, by agent; the critic's are 1."""


DENSE: Final[Mapping[Variant, DenseDefinition]] = {
    Variant.TINY: DenseDefinition(
        actor_hidden=64,
        critic_hidden=32,
        has_bias=False,
        ceiling=6.0,
        attention={
            "fvg": (3.0, 3.0, 0.5, 0.1, 0.1, 0.1, 0.1),
            "momentum": (0.1, 0.1, 0.1, 0.1, 0.1, 3.0, 3.0),
            "entry": (1.0, 1.0, 0.5, 0.5, 0.5, 1.0, 1.0),
        },
    ),
    Variant.HIDDEN_128: DenseDefinition(
        actor_hidden=128,
        critic_hidden=64,
        has_bias=True,
        ceiling=float("inf"),
        attention={
            "fvg": (2.0, 2.0, 1.0, 0.5, 0.5, 0.3, 0.3),
            "momentum": (0.3, 0.3, 0.5, 0.2, 0.2, 2.0, 2.0),
            "entry": (1.0, 1.0, 1.0, 0.8, 0.8, 0.8, 0.8),
        },
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class DenseNetwork:
    """One hidden layer; read-only float32 copies of what it was given."""

    attention: Floats
    """(7,): what each column of the matrix is multiplied by."""
    hidden: Floats
    """(421, hidden)."""
    output: Floats
    """(hidden, outputs): 3 outputs of an actor, 1 of the critic."""
    hidden_bias: Floats | None = None
    """(hidden,); None = no bias."""
    output_bias: Floats | None = None
    """(outputs,); None = no bias."""

    def __post_init__(self) -> None:
        """Check and freeze every array.

        Raises:
            InvalidWeightsError: A shape that does not fit the others, NaN or infinity.
        """
        width, outputs = self.hidden.shape[-1:], self.output.shape[-1:]
        freeze(self, "attention", (COLUMNS,))
        freeze(self, "hidden", (INPUT_SIZE, *width))
        freeze(self, "output", (*width, *outputs))
        if (self.hidden_bias is None) != (self.output_bias is None):
            raise InvalidWeightsError("output_bias", "alone", "two biases or none")
        if self.hidden_bias is not None:
            freeze(self, "hidden_bias", width)
            freeze(self, "output_bias", outputs)


@dataclass(frozen=True, slots=True, eq=False)
class DenseWeights:
    """Three actors and their critic, of the tiny or the hidden-128 variant."""

    variant: Variant
    fvg: DenseNetwork
    momentum: DenseNetwork
    entry: DenseNetwork
    critic: DenseNetwork

    def __post_init__(self) -> None:
        """Check the sizes against the variant's definition.

        Raises:
            InvalidWeightsError: Naming the network that does not fit.
        """
        definition = DENSE.get(self.variant)
        if definition is None:
            raise InvalidWeightsError("variant", repr(self.variant), f"one of {[*DENSE]}")
        for name, network in self.networks.items():
            is_critic = name == "critic"
            width = definition.critic_hidden if is_critic else definition.actor_hidden
            expected = (width, 1 if is_critic else ACTIONS)
            if network.output.shape != expected:
                raise InvalidWeightsError(
                    f"{name}.output", f"of shape {network.output.shape}", f"{expected}"
                )
            if (network.hidden_bias is not None) != definition.has_bias:
                expected_bias = "biases" if definition.has_bias else "no biases"
                raise InvalidWeightsError(name, "otherwise", f"{expected_bias} in {self.variant}")

    @property
    def definition(self) -> DenseDefinition:
        """What the variant says."""
        return DENSE[self.variant]

    @property
    def actors(self) -> tuple[DenseNetwork, DenseNetwork, DenseNetwork]:
        """In the order of `AGENTS`."""
        return (self.fvg, self.momentum, self.entry)

    @property
    def networks(self) -> dict[str, DenseNetwork]:
        """The four by name, in the order of `NETWORKS`."""
        return dict(zip(NETWORKS, (*self.actors, self.critic), strict=True))


def freeze(owner: object, name: str, shape: tuple[int, ...]) -> None:
    """Replace an array of a frozen dataclass by a read-only float32 copy of it.

    Raises:
        InvalidWeightsError: It has another shape, no numbers, or NaN or infinity in it.
    """
    given = np.asarray(getattr(owner, name))
    if given.dtype.kind not in "fiu":
        raise InvalidWeightsError(name, f"of type {given.dtype}", "numbers")
    if given.shape != shape:
        raise InvalidWeightsError(name, f"of shape {given.shape}", f"{shape}")
    array = np.array(given, np.float32, order="C")
    if not np.isfinite(array).all():
        raise InvalidWeightsError(name, "not finite", "finite numbers only")
    array.setflags(write=False)
    object.__setattr__(owner, name, array)


def tiled_attention(attention: Floats) -> Floats:
    """Return the weight of each of the 421 inputs: the columns' in every row, 1 for the position."""
    weights = np.concatenate([np.tile(attention, ROWS), np.ones(POSITION_SIZE, np.float32)])
    return weights.astype(np.float32)  # (input,)
