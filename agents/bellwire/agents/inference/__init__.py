"""Inference: models in versions, engines that compute them, batches, caches and fall-backs."""

from bellwire.agents.inference.endpoint import (
    CloseReason,
    Endpoint,
    Fallback,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
)
from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.errors import (
    EngineFailedError,
    EngineMissingError,
    EngineTimeoutError,
    GateFailedError,
    InvalidModelError,
    InvalidTensorError,
    UnknownModelError,
)
from bellwire.agents.inference.gate import check_gate
from bellwire.agents.inference.model import ModelManifest, read_manifest
from bellwire.agents.inference.tensor import DTYPES, Array, Tensors, TensorSpec

__all__ = [
    "DTYPES",
    "Array",
    "CloseReason",
    "Endpoint",
    "Engine",
    "EngineFailedError",
    "EngineMissingError",
    "EngineTimeoutError",
    "Fallback",
    "FallbackReason",
    "GateFailedError",
    "InferenceRequest",
    "InferenceResult",
    "InvalidModelError",
    "InvalidTensorError",
    "ModelManifest",
    "TensorSpec",
    "Tensors",
    "UnknownModelError",
    "check_gate",
    "read_manifest",
]
