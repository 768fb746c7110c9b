"""A strategic model in its folder, loaded once: 13 features in, one table of probabilities out."""

from pathlib import Path
from typing import Final

import numpy as np

from bellwire.agents import data
from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.engines import EngineSettings, load_engine
from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.model import ModelManifest, read_manifest
from bellwire.agents.inference.tensor import Array
from bellwire.agents.strategic.onnx_graph import INPUTS, SEEN
from bellwire.agents.tactical.networks.weights import Floats
from bellwire.agents.tactical.onnx_graph import PROBABILITIES

BUNDLED_MODEL: Final = Path(data.__file__).parent / "models" / "strategic" / "1"


class StrategicModel:
    """Computes in the caller's turn: tens of microseconds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def key(self) -> str:
        """Name and version, "strategic:1"."""
        return self._engine.manifest.key

    def ask(self, features: Floats) -> Array:
        """Return the probabilities of mlmi, nwrqk and mmd, (3, 3), on features (13,).

        Raises:
            InvalidTensorError: The features do not fit.
            EngineFailedError: It could not be computed.
        """
        given = features[np.newaxis]  # (1, 13)
        SEEN.check(given)
        table: Array = self._engine.infer({SEEN.name: given})[PROBABILITIES.name][0]
        return table

    def close(self) -> None:
        """Free the engine; ask nothing afterwards."""
        self._engine.close()


def open_model(folder: Path) -> StrategicModel:
    """Load the model of a folder and compute it once, so that the first bar finds it warm. Blocks.

    Raises:
        InvalidModelError: Absent, damaged, or no strategic model.
        GateFailedError: It is quantized, and no gate has passed it.
        EngineMissingError: ONNX Runtime is not installed.
        EngineFailedError: It cannot compute.
    """
    manifest = read_manifest(folder)
    _check_strategic(folder, manifest)
    model = StrategicModel(load_engine(folder, manifest, EngineSettings()))
    model.ask(np.zeros(SEEN.shape, np.float32))
    return model


def _check_strategic(folder: Path, manifest: ModelManifest) -> None:
    if manifest.inputs != INPUTS or PROBABILITIES not in manifest.outputs:
        found = ", ".join(f"{each.name} {each.shape_text}" for each in manifest.inputs)
        expected = f"{SEEN.name} {SEEN.shape_text} in, {PROBABILITIES.name} out"
        raise InvalidModelError(str(folder), f"a model of {found}", expected)
