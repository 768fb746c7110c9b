"""Generalised advantage estimation (Schulman et al., 2016, arXiv 1506.02438), equations 11-16."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]


class Advantages(NamedTuple):
    """What each step was worth, both (steps, environments)."""

    advantages: _Floats
    """Over what the critic expected."""
    returns: _Floats
    """What the critic should have expected: advantage + value."""


def advantages(
    rewards: _Floats, values: _Floats, last_values: _Floats, discount: float, trace_decay: float
) -> Advantages:
    """Return the advantage of every step of episodes that were cut off, not ended.

    The market goes on after the last step, so its worth is the critic's value of the state reached
    there; counting 0 instead would teach that the end of a rollout is a loss.

    Args:
        rewards: (steps, environments), shared by the agents.
        values: The critic's, before each step; of the same shape.
        last_values: (environments,) of the states reached by the last step.
        discount: gamma per step.
        trace_decay: lambda per step.
    """
    assert rewards.shape == values.shape, "one reward and one value for each step"
    assert last_values.shape == rewards.shape[1:], "one last value for each environment"
    found = np.empty_like(rewards)
    next_values, ahead = last_values, np.zeros_like(last_values)
    for step in range(len(rewards) - 1, -1, -1):
        surprise = rewards[step] + discount * next_values - values[step]
        ahead = surprise + discount * trace_decay * ahead
        found[step] = ahead
        next_values = values[step]
    return Advantages(found, found + values)
