"""A trained network as a function from what is seen to what is done, in numpy."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.strategic.networks import StrategicWeights, strategic_forward
from bellwire.agents.tactical.networks import DenseWeights, forward_fused, fuse

Floats: TypeAlias = NDArray[np.float32]

Policy: TypeAlias = Callable[[Floats, Floats], Floats]
"""(n, size) observations and (n, 1) positions to (n, 3, 3) probabilities of the three agents."""


def policy_of(weights: DenseWeights) -> Policy:
    """Return the policy of tactical weights, which are fused once."""
    fused = fuse(weights)
    return lambda observation, position: forward_fused(fused, observation, position).probabilities


def strategic_policy_of(weights: StrategicWeights) -> Policy:
    """Return the policy of these weights, which do not see the position."""
    return lambda observation, position: strategic_forward(weights, observation).probabilities
