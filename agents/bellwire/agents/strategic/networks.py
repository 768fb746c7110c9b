"""Three small networks and their critic on the strategic features.

::

    mlmi 4 -> 64 -> 3    nwrqk 6 -> 64 -> 3    mmd 3 -> 32 -> 3    critic 13 -> 64 -> 1

Hidden layers are clamped below at 0. Probabilities are in ascending order of the action.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from bellwire.agents.strategic.features import FEATURES, MLMI, MMD, NWRQK
from bellwire.agents.tactical.networks.forward import softmax
from bellwire.agents.tactical.networks.layers import (
    Layer,
    check_layers,
    initial_layers,
    through_layers,
)
from bellwire.agents.tactical.networks.weights import Floats

AGENTS: Final = ("mlmi", "nwrqk", "mmd")  # order of the rows of the probabilities
MLMI_SIZES: Final = (4, 64, 3)
NWRQK_SIZES: Final = (6, 64, 3)
MMD_SIZES: Final = (3, 32, 3)
CRITIC_SIZES: Final = (FEATURES, 64, 1)
ACTOR_SIZES: Final = dict(zip(AGENTS, (MLMI_SIZES, NWRQK_SIZES, MMD_SIZES), strict=True))
VARIANT: Final = ", ".join(f"{name} {'-'.join(map(str, s))}" for name, s in ACTOR_SIZES.items())
"""Of the networks, for cards and manifests; there is only this one."""


@dataclass(frozen=True, slots=True, eq=False)
class StrategicWeights:
    """All weights."""

    mlmi: tuple[Layer, ...]
    nwrqk: tuple[Layer, ...]
    mmd: tuple[Layer, ...]
    critic: tuple[Layer, ...]

    def __post_init__(self) -> None:
        """Check every size.

        Raises:
            InvalidWeightsError: Naming what was found and expected.
        """
        check_layers(self.mlmi, MLMI_SIZES)
        check_layers(self.nwrqk, NWRQK_SIZES)
        check_layers(self.mmd, MMD_SIZES)
        check_layers(self.critic, CRITIC_SIZES)

    @property
    def actors(self) -> dict[str, tuple[Layer, ...]]:
        """The three that act, in the order of `AGENTS`."""
        return dict(zip(AGENTS, (self.mlmi, self.nwrqk, self.mmd), strict=True))


class StrategicOutputs(NamedTuple):
    """What they say about a batch."""

    probabilities: Floats
    """(batch, 3, 3): rows mlmi, nwrqk, mmd."""
    value: Floats
    """(batch, 1)."""


def initial_strategic_weights(seed: int) -> StrategicWeights:
    """Return weights that depend on the seed alone."""
    generator = np.random.Generator(np.random.PCG64(seed))
    sizes = (MLMI_SIZES, NWRQK_SIZES, MMD_SIZES, CRITIC_SIZES)
    mlmi, nwrqk, mmd, critic = (initial_layers(each, generator) for each in sizes)
    return StrategicWeights(mlmi, nwrqk, mmd, critic)


def strategic_forward(weights: StrategicWeights, features: Floats) -> StrategicOutputs:
    """Compute all four; `features` is (batch, 13) float32."""
    logits = [
        through_layers(weights.mlmi, features[:, MLMI]),
        through_layers(weights.nwrqk, features[:, NWRQK]),
        through_layers(weights.mmd, features[:, MMD]),
    ]
    table = softmax(np.stack(logits, axis=1))  # (batch, agent, action)
    return StrategicOutputs(table, through_layers(weights.critic, features))
