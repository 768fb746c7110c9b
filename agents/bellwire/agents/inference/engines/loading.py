"""From a folder with a manifest to an engine that may be asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.engines.model_file import ModelFile, read_model_file
from bellwire.agents.inference.engines.numpy_engine import load_numpy
from bellwire.agents.inference.engines.onnx_engine import load_onnx
from bellwire.agents.inference.engines.settings import EngineSettings
from bellwire.agents.inference.engines.torch_engine import load_torch
from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.gate import check_gate
from bellwire.agents.inference.model import MANIFEST, ModelManifest

# None of these modules imports what it loads with before it is asked to.
_LOADERS: Final[dict[str, Callable[[ModelManifest, ModelFile, EngineSettings], Engine]]] = {
    "numpy": load_numpy,
    "onnx": load_onnx,
    "torch": load_torch,
}
ENGINES: Final = tuple(_LOADERS)


def load_engine(folder: Path, manifest: ModelManifest, settings: EngineSettings) -> Engine:
    """Check the gate and the file's hash, and load it; blocks, from milliseconds to seconds. It is not warm yet.

    Raises:
        GateFailedError: It is quantized, and no gate has passed it.
        InvalidModelError: No such engine, or the file cannot be used.
        EngineMissingError: The package or the device that its engine needs is not there.
    """
    check_gate(manifest)
    load = _LOADERS.get(manifest.engine)
    if load is None:
        raise InvalidModelError(
            str(folder / MANIFEST), f"engine {manifest.engine!r}", " or ".join(ENGINES)
        )
    return load(manifest, read_model_file(folder, manifest), settings)
