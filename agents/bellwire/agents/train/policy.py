"""A trained network as a function from what is seen to what is done, in numpy."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.tactical.networks import DenseWeights, forward_fused, fuse

Floats: TypeAlias = NDArray[np.float32]

Policy: TypeAlias = Callable[[Floats, Floats], Floats]
"""(n, 420) observations and (n, 1) positions to (n, 3, 3) probabilities of fvg, momentum, entry."""


def policy_of(weights: DenseWeights) -> Policy:
    """Return the policy of these weights, which are fused once."""
    fused = fuse(weights)
    return lambda observation, position: forward_fused(fused, observation, position).probabilities
