"""The tactical network as it is served, in floats and in 8 bits: `python -m tests.benchmarks.tactical_models FOLDER`.

Both are versions that ship with the package, so that what is measured is what passed its gate.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.tactical.model_endpoint import BUNDLED_MODEL
from bellwire.agents.tactical.networks import OBSERVATION_SIZE
from bellwire.agents.tactical.onnx_graph import OBSERVATION, POSITION

FP32: Final = "fp32"
INT8: Final = "int8-static"
KINDS: Final = (FP32, INT8)
_VERSIONS: Final = ("1", "2")  # in the order of KINDS

Rows = dict[str, NDArray[np.float32]]


def observations(rows: int, seed: int) -> Rows:
    """Draw a batch: normal numbers for the matrix, a position in ±1."""
    draw = np.random.Generator(np.random.PCG64(seed))
    return {
        OBSERVATION.name: draw.standard_normal((rows, OBSERVATION_SIZE), np.float32),
        POSITION.name: draw.uniform(-1, 1, (rows, 1)).astype(np.float32),
    }


def write_models(folder: Path) -> None:
    """Copy both versions of the model, each into a folder named as it is quantized."""
    for kind, version in zip(KINDS, _VERSIONS, strict=True):
        shutil.copytree(BUNDLED_MODEL.parent / version, folder / kind)


if __name__ == "__main__":
    write_models(Path(sys.argv[1]))
