"""ONNX Runtime: the default engine, for float and quantized networks."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any, Final, Protocol

import numpy as np

from bellwire.agents.inference.engines.model_file import ModelFile
from bellwire.agents.inference.engines.outputs import check_finite, float_names
from bellwire.agents.inference.engines.settings import EngineSettings
from bellwire.agents.inference.errors import EngineFailedError, EngineMissingError
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.tensor import DTYPES, Array, Tensors, TensorSpec

CUDA: Final = "CUDAExecutionProvider"
CPU: Final = "CPUExecutionProvider"
_LOG_ERRORS_ONLY: Final = 4  # ONNX Runtime's "fatal": what goes wrong is raised, and told once.
# Names of KServe's protocol → names of ONNX Runtime.
_TYPES: Final = {
    "BOOL": "tensor(bool)",
    "FP16": "tensor(float16)",
    "FP32": "tensor(float)",
    "FP64": "tensor(double)",
} | {
    f"{kind}{bits}": f"tensor({kind.lower()}{bits})"
    for kind in ("INT", "UINT")
    for bits in (8, 16, 32, 64)
}


class Binding(Protocol):
    """Buffers bound to a session, as onnxruntime.IOBinding."""

    def bind_input(
        self,
        name: str,
        device_type: str,
        device_id: int,
        element_type: type,
        shape: tuple[int, ...],
        buffer_ptr: int,
    ) -> None:
        """Read an input from that memory."""
        ...

    def bind_output(
        self,
        name: str,
        device_type: str,
        device_id: int,
        element_type: type,
        shape: tuple[int, ...],
        buffer_ptr: int,
    ) -> None:
        """Write an output to that memory."""
        ...


class Session(Protocol):
    """What is used of onnxruntime.InferenceSession."""

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, Array]) -> Sequence[Array]:
        """Compute the outputs named."""
        ...

    def io_binding(self) -> Binding:
        """Return buffers to be bound."""
        ...

    def run_with_iobinding(self, iobinding: Binding) -> None:
        """Compute from the bound inputs into the bound outputs."""
        ...


class OnnxEngine:
    """A session of ONNX Runtime.

    A batch of one row, which is what an agent asks for at each bar, goes through buffers that are bound to the
    session once; that pays for the look at every output. Larger batches gain nothing from it.
    """

    def __init__(self, manifest: ModelManifest, session: Session, *, bind: bool) -> None:
        """Take a session whose graph was checked; `bind` where its tensors are in this process's memory."""
        self._manifest = manifest
        self._session: Session | None = session
        self._names = tuple(spec.name for spec in manifest.outputs)
        self._floats = float_names(manifest.outputs)
        self._first = manifest.inputs[0].name
        self._one_row = _OneRow(manifest, session) if bind else None

    @property
    def manifest(self) -> ModelManifest:
        """What it was loaded from."""
        return self._manifest

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the outputs for a batch that was checked against the manifest's specs.

        Raises:
            EngineFailedError: ONNX Runtime failed, the outputs are not finite, or it is closed.
        """
        if self._session is None:
            raise EngineFailedError(self._manifest.key, "it is closed")
        try:
            if self._one_row is not None and len(inputs[self._first]) == 1:
                outputs: Tensors = self._one_row.run(inputs)
            else:
                feed = inputs if type(inputs) is dict else dict(inputs)
                values = self._session.run(self._names, feed)
                outputs = dict(zip(self._names, values, strict=True))
        except Exception as error:
            raise EngineFailedError(self._manifest.key, str(error)) from error
        check_finite(self._manifest.key, outputs, self._floats)
        return outputs

    def close(self) -> None:
        """Let the session go, and with it its memory."""
        self._session = self._one_row = None


class _OneRow:
    """Buffers for one row, bound to a session; users of an engine who do not take turns get no mixture."""

    def __init__(self, manifest: ModelManifest, session: Session) -> None:
        self._lock = Lock()  # 0.1 µs, where a mixture of two rows would be an order nobody meant.
        self._binding = session.io_binding()
        self._run = session.run_with_iobinding
        self._inputs = tuple((spec.name, _row(spec)) for spec in manifest.inputs)
        self._outputs = tuple((spec.name, _row(spec)) for spec in manifest.outputs)
        for bind, buffers in (
            (self._binding.bind_input, self._inputs),
            (self._binding.bind_output, self._outputs),
        ):
            for name, buffer in buffers:
                bind(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)

    def run(self, inputs: Tensors) -> dict[str, Array]:
        with self._lock:
            for name, buffer in self._inputs:
                buffer[...] = inputs[name]
            self._run(self._binding)
            return {name: buffer.copy() for name, buffer in self._outputs}


def _row(spec: TensorSpec) -> Array:
    return np.zeros((1, *spec.shape), DTYPES[spec.dtype])


def load_onnx(manifest: ModelManifest, file: ModelFile, settings: EngineSettings) -> OnnxEngine:
    """Load an ONNX file that carries its weights in itself.

    Raises:
        EngineMissingError: onnxruntime is not installed, or CUDA is asked for and not there.
        InvalidModelError: It is damaged, or its inputs and outputs are not the manifest's.
    """
    try:
        onnxruntime = import_module("onnxruntime")
    except ImportError as error:
        raise EngineMissingError("onnx", "onnxruntime", "pip install 'bellwire[agents]'") from error
    providers = _providers(onnxruntime, settings)
    try:
        session = onnxruntime.InferenceSession(
            file.content, _options(onnxruntime, settings), providers=providers
        )
    except Exception as error:
        raise file.invalid(str(error), "an ONNX model with its weights in the file") from error
    if settings.device == "cuda" and session.get_providers()[0] != CUDA:
        raise EngineMissingError("onnx", "a CUDA device", "start it with device = cpu")
    _check_graph(manifest, file, session)
    return OnnxEngine(manifest, session, bind=settings.device == "cpu")


def _options(onnxruntime: ModuleType, settings: EngineSettings) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _LOG_ERRORS_ONLY
    # Spinning threads take the core from the event loop that waits for them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _providers(onnxruntime: ModuleType, settings: EngineSettings) -> list[Any]:
    if settings.device == "cpu":
        return [CPU]
    if CUDA not in onnxruntime.get_available_providers():
        raise EngineMissingError("onnx", "onnxruntime with CUDA", "pip install onnxruntime-gpu")
    return [(CUDA, {"device_id": settings.device_index}), CPU]


def _check_graph(manifest: ModelManifest, file: ModelFile, session: Any) -> None:
    for side, specs, nodes in (
        ("inputs", manifest.inputs, session.get_inputs()),
        ("outputs", manifest.outputs, session.get_outputs()),
    ):
        found = {node.name: node for node in nodes}
        if set(found) != {spec.name for spec in specs}:
            names = ", ".join(sorted(spec.name for spec in specs))
            raise file.invalid(f"{side} {', '.join(sorted(found))}", f"{names}, the manifest's")
        for spec in specs:
            node = found[spec.name]
            if not _fits(spec, node.type, node.shape, manifest.batch_max):
                raise file.invalid(
                    f"{spec.name!r} is {node.type} of shape {node.shape}",
                    f"{spec.dtype} of shape {spec.shape_text}, batch being up to {manifest.batch_max}",
                )


def _fits(spec: TensorSpec, kind: str, shape: list[int | str | None], batch_max: int) -> bool:
    """Compare; sizes that the graph leaves open are measured at warm-up."""
    if kind != _TYPES[spec.dtype] or len(shape) != len(spec.shape) + 1:
        return False
    batch, *rest = shape
    if isinstance(batch, int) and not batch == batch_max == 1:
        return False
    return all(
        not isinstance(size, int) or size == wanted
        for size, wanted in zip(rest, spec.shape, strict=True)
    )
