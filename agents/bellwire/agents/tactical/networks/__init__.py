"""The tactical networks in numpy: weights, forward pass, fusion and files."""

from bellwire.agents.tactical.networks.convolution import ConvWeights, initial_conv_weights
from bellwire.agents.tactical.networks.errors import InvalidWeightsError
from bellwire.agents.tactical.networks.forward import (
    Outputs,
    Weights,
    forward,
    logits_and_value,
    softmax,
)
from bellwire.agents.tactical.networks.fuse import FusedWeights, forward_fused, fuse
from bellwire.agents.tactical.networks.initial import initial_weights
from bellwire.agents.tactical.networks.storage import (
    load_conv_weights,
    load_weights,
    save_weights,
)
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
    "ConvWeights",
    "DenseNetwork",
    "DenseWeights",
    "FusedWeights",
    "InvalidWeightsError",
    "Outputs",
    "Variant",
    "Weights",
    "forward",
    "forward_fused",
    "fuse",
    "initial_conv_weights",
    "initial_weights",
    "load_conv_weights",
    "load_weights",
    "logits_and_value",
    "save_weights",
    "softmax",
]
