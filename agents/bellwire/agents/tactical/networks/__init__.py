"""The tactical networks in numpy: weights, forward pass and files."""

from bellwire.agents.tactical.networks.errors import InvalidWeightsError
from bellwire.agents.tactical.networks.initial import initial_weights
from bellwire.agents.tactical.networks.storage import load_weights, save_weights
from bellwire.agents.tactical.networks.weights import (
    ACTIONS,
    AGENTS,
    INPUT_SIZE,
    NETWORKS,
    OBSERVATION_SIZE,
    DenseNetwork,
    DenseWeights,
    Variant,
)

__all__ = [
    "ACTIONS",
    "AGENTS",
    "INPUT_SIZE",
    "NETWORKS",
    "OBSERVATION_SIZE",
    "DenseNetwork",
    "DenseWeights",
    "InvalidWeightsError",
    "Variant",
    "initial_weights",
    "load_weights",
    "save_weights",
]
