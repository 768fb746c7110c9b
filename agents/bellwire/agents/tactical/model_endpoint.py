"""A tactical model in its folder as an endpoint: loaded once, computed in the caller's turn."""

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bellwire.agents import data
from bellwire.agents.inference.endpoint import (
    CloseReason,
    Endpoint,
    InferenceRequest,
    InferenceResult,
)
from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.errors import (
    EngineFailedError,
    EngineMissingError,
    InvalidModelError,
    InvalidTensorError,
)
from bellwire.agents.inference.model import ModelManifest, read_manifest
from bellwire.agents.inference.tensor import DTYPES, Tensors
from bellwire.agents.tactical.onnx_graph import OBSERVATION, POSITION, PROBABILITIES

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FILE_BYTES_MAX: Final = 64 * 1024 * 1024  # the largest variant has 5 MB
BUNDLED_MODEL: Final = Path(data.__file__).parent / "models" / "tactical" / "1"


def open_endpoint(folder: Path) -> Endpoint:
    """Load the model of a folder and compute it once, so that the first bar finds it warm.

    Raises:
        InvalidModelError: Absent, damaged, or no tactical model.
        EngineMissingError: ONNX Runtime is not installed.
        EngineFailedError: It cannot compute.
    """
    manifest = read_manifest(folder)
    _check_tactical(folder, manifest)
    endpoint = EngineEndpoint(_OnnxEngine(folder, manifest))
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


class _OnnxEngine:
    """ONNX Runtime on one thread."""

    def __init__(self, folder: Path, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self._outputs = [spec.name for spec in manifest.outputs]
        self._session = _session(folder / manifest.file, manifest)

    @property
    def manifest(self) -> ModelManifest:
        return self._manifest

    def infer(self, inputs: Tensors) -> Tensors:
        try:
            values = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # ONNX Runtime's errors have no base class of their own.
            raise EngineFailedError(self._manifest.key, str(error)) from error
        return dict(zip(self._outputs, values, strict=True))

    def close(self) -> None:
        del self._session


def _session(path: Path, manifest: ModelManifest) -> "InferenceSession":
    try:
        import onnxruntime
    except ImportError as error:
        remedy = "install bellwire[agents]"
        raise EngineMissingError("onnx", "the package onnxruntime", remedy) from error
    content = _read(path)
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise InvalidModelError(str(path), "another sha256", manifest.sha256)
    options = onnxruntime.SessionOptions()
    # One forward takes microseconds: handing parts of it to other threads would cost more.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # As above.
        raise InvalidModelError(str(path), str(error), "an ONNX graph") from error


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InvalidModelError(str(path), "too large", f"at most {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise InvalidModelError(str(path), error.strerror or str(error), "a model") from error


def _check_tactical(folder: Path, manifest: ModelManifest) -> None:
    if manifest.engine != "onnx":
        raise InvalidModelError(str(folder), f"engine {manifest.engine!r}", "onnx")
    if manifest.inputs != (OBSERVATION, POSITION) or PROBABILITIES not in manifest.outputs:
        found = ", ".join(f"{each.name} {each.shape_text}" for each in manifest.inputs)
        expected = "observation (batch, 420), position (batch, 1) in, probabilities out"
        raise InvalidModelError(str(folder), f"a model of {found}", expected)
