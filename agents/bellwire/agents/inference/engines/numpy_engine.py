"""The engine that needs nothing but numpy: small networks, and the last resort where ONNX Runtime is absent.

Its file is an `.npz`: arrays, and under the name `layers` the JSON text of what to do with them (`layers.py`).
How many threads the BLAS behind it takes is settled by OPENBLAS_NUM_THREADS before numpy is imported.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from bellwire.agents.inference.engines.layers import Layer, Step, compile_layers, run_steps
from bellwire.agents.inference.engines.model_file import ModelFile
from bellwire.agents.inference.engines.outputs import check_finite, check_outputs, float_names
from bellwire.agents.inference.engines.settings import EngineSettings
from bellwire.agents.inference.errors import (
    EngineFailedError,
    EngineMissingError,
    InvalidTensorError,
)
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.tensor import DTYPES, Array, Tensors

LAYERS: Final = "layers"
ARRAYS_BYTES_MAX: Final = 256 * 1024 * 1024  # Opened; 600 times the tactical networks.


class NumpyEngine:
    """A list of layers in memory."""

    def __init__(self, manifest: ModelManifest, steps: Sequence[Step]) -> None:
        self._manifest = manifest
        self._steps = tuple(steps)
        self._names = tuple(spec.name for spec in manifest.outputs)
        self._floats = float_names(manifest.outputs)

    @property
    def manifest(self) -> ModelManifest:
        """What it was loaded from."""
        return self._manifest

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the outputs for a batch that was checked against the manifest's specs.

        Raises:
            EngineFailedError: The outputs are not finite, or it is closed.
        """
        if not self._steps:
            raise EngineFailedError(self._manifest.key, "it is closed")
        try:
            # What overflows on the way may still end finite behind a clamp; what does not is refused below.
            with np.errstate(all="ignore"):
                values = run_steps(self._steps, inputs)
                outputs = {name: _own(values[name], inputs) for name in self._names}
        except (KeyError, TypeError, ValueError, MemoryError) as error:
            raise EngineFailedError(self._manifest.key, repr(error)) from error
        check_finite(self._manifest.key, outputs, self._floats)
        return outputs

    def close(self) -> None:
        """Let the weights go."""
        self._steps = ()


def _own(output: Array, inputs: Tensors) -> Array:
    """Return an output that whoever asked may keep: a slice or a reshape of an input would change with it."""
    is_shared = any(np.may_share_memory(output, array) for array in inputs.values())
    return output.copy() if is_shared else output


def numpy_model(layers: Sequence[Layer], arrays: Mapping[str, Array]) -> bytes:
    """Return the content of the file from which `load_numpy` makes a model.

    Raises:
        ValueError: An array is called "layers", or holds objects.
    """
    if LAYERS in arrays:
        raise ValueError(f"no array may be called {LAYERS!r}")
    text = np.array(json.dumps(list(layers)))
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **{LAYERS: text}, **arrays)
    return content.getvalue()


def load_numpy(manifest: ModelManifest, file: ModelFile, settings: EngineSettings) -> NumpyEngine:
    """Load an `.npz` of layers and compute zeros once, to see that it gives what the manifest says.

    Raises:
        EngineMissingError: Another device than the CPU is asked for.
        InvalidModelError: It is damaged, or not what its manifest says.
    """
    if settings.device != "cpu":
        raise EngineMissingError("numpy", f"device {settings.device!r}", "it computes on the cpu")
    try:
        arrays = _arrays(file.content)
        layers = json.loads(str(arrays.pop(LAYERS)))
        steps = compile_layers(layers, arrays, manifest.inputs[0].name)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, OSError, EOFError) as error:
        raise file.invalid(repr(error), "an .npz of layers and their arrays") from error
    engine = NumpyEngine(manifest, steps)
    _try_out(engine, file)
    return engine


def _arrays(content: bytes) -> dict[str, Array]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        opened = sum(member.file_size for member in archive.infolist())
    if opened > ARRAYS_BYTES_MAX:
        raise ValueError(f"{opened} bytes when opened, above {ARRAYS_BYTES_MAX}")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return dict(archive)


def _try_out(engine: NumpyEngine, file: ModelFile) -> None:
    manifest = engine.manifest
    rows = min(2, manifest.batch_max)  # With one, a batch and a row look the same.
    zeros = {
        spec.name: np.zeros((rows, *spec.shape), DTYPES[spec.dtype]) for spec in manifest.inputs
    }
    try:
        check_outputs(manifest, engine.infer(zeros), rows)
    except (EngineFailedError, InvalidTensorError) as error:
        raise file.invalid(str(error), "layers that give the manifest's outputs") from error
