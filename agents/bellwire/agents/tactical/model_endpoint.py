"""A tactical model in its folder as an endpoint: loaded once, computed in the caller's turn."""

import time
from pathlib import Path
from typing import Final

import numpy as np

from bellwire.agents import data
from bellwire.agents.inference.endpoint import (
    CloseReason,
    Endpoint,
    InferenceRequest,
    InferenceResult,
)
from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.engines import EngineSettings, load_engine
from bellwire.agents.inference.errors import InvalidModelError, InvalidTensorError
from bellwire.agents.inference.model import ModelManifest, read_manifest
from bellwire.agents.inference.tensor import DTYPES, Tensors
from bellwire.agents.tactical.onnx_graph import OBSERVATION, POSITION, PROBABILITIES

BUNDLED_MODELS: Final = Path(data.__file__).parent / "models"
BUNDLED_MODEL: Final = BUNDLED_MODELS / "tactical" / "2"
"""Quantized to int8; version 1 is its parent."""
BUNDLED_PARENT: Final = BUNDLED_MODELS / "tactical" / "1"


def open_endpoint(folder: Path) -> Endpoint:
    """Load the model of a folder and compute it once, so that the first bar finds it warm.

    Raises:
        InvalidModelError: Absent, damaged, or no tactical model.
        GateFailedError: It is quantized, and no gate has passed it.
        EngineMissingError: ONNX Runtime is not installed.
        EngineFailedError: It cannot compute.
    """
    manifest = read_manifest(folder)
    _check_tactical(folder, manifest)
    endpoint = EngineEndpoint(load_engine(folder, manifest, EngineSettings()))
    endpoint.compute({s.name: np.zeros((1, *s.shape), DTYPES[s.dtype]) for s in manifest.inputs})
    return endpoint


class EngineEndpoint:
    """Answers each request at once with one engine; nothing is queued, shared or cached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Compute a request; blocks the loop for as long, tens of microseconds.

        Raises:
            InvalidTensorError: An input is absent or does not fit the model.
            EngineFailedError: It could not be computed.
        """
        began = time.perf_counter()
        outputs = self.compute(request.inputs)
        manifest = self._engine.manifest
        return InferenceResult(
            outputs,
            answered_by=manifest.key,
            quantization=manifest.quantization,
            batch_size=len(outputs[PROBABILITIES.name]),
            close_reason=CloseReason.IDLE,
            compute_seconds=time.perf_counter() - began,
        )

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Return the one model."""
        return (self._engine.manifest,)

    def compute(self, inputs: Tensors) -> Tensors:
        """Check the inputs and compute; errors as of `infer`."""
        for spec in self._engine.manifest.inputs:
            if spec.name not in inputs:
                raise InvalidTensorError(spec.name, "absent", f"{spec.dtype} {spec.shape_text}")
            spec.check(inputs[spec.name])
        return self._engine.infer(inputs)


def _check_tactical(folder: Path, manifest: ModelManifest) -> None:
    if manifest.engine != "onnx":
        raise InvalidModelError(str(folder), f"engine {manifest.engine!r}", "onnx")
    if manifest.inputs != (OBSERVATION, POSITION) or PROBABILITIES not in manifest.outputs:
        found = ", ".join(f"{each.name} {each.shape_text}" for each in manifest.inputs)
        expected = "observation (batch, 420), position (batch, 1) in, probabilities out"
        raise InvalidModelError(str(folder), f"a model of {found}", expected)
