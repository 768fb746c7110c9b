"""The tactical network as it is served, in floats and in 8 bits: `python -m tests.benchmarks.tactical_models FOLDER`.

A process of its own writes them, so that none that is measured has ever loaded `onnx`. Weights are drawn from a seed:
what a network costs does not depend on what it was taught.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.inference.model import MANIFEST, ModelManifest
from bellwire.agents.tactical.networks import OBSERVATION_SIZE, Variant, initial_weights
from bellwire.agents.tactical.onnx_graph import OBSERVATION, POSITION, write_model

FP32: Final = "fp32"
INT8: Final = "int8-static"
KINDS: Final = (FP32, INT8)
SEED: Final = 0
CALIBRATION_BATCHES: Final = 16  # Enough for the ranges of normal numbers to stand still.
CALIBRATION_ROWS: Final = 64

Rows = dict[str, NDArray[np.float32]]


def observations(rows: int, seed: int) -> Rows:
    """Draw a batch: normal numbers for the matrix, a position in ±1."""
    draw = np.random.Generator(np.random.PCG64(seed))
    return {
        OBSERVATION.name: draw.standard_normal((rows, OBSERVATION_SIZE), np.float32),
        POSITION.name: draw.uniform(-1, 1, (rows, 1)).astype(np.float32),
    }


def write_models(folder: Path) -> None:
    """Write both versions of the model, each into a folder named as it is.

    Raises:
        EngineMissingError: The package `onnx` is not installed.
    """
    parent = write_model(folder / FP32, initial_weights(Variant.TINY, SEED))
    _write_int8(folder / FP32 / parent.file, folder / INT8, parent)


def _write_int8(source: Path, folder: Path, parent: ModelManifest) -> None:
    """Quantize the products only, with a range a channel; their results stay floats."""
    from onnxruntime import quantization

    folder.mkdir(parents=True, exist_ok=True)
    target, prepared = folder / parent.file, folder / "prepared.onnx"
    quantization.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared),
        str(target),
        _Calibration(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
    )
    prepared.unlink()
    sha256 = hashlib.sha256(target.read_bytes()).hexdigest()
    manifest = replace(parent, quantization=INT8, sha256=sha256)
    (folder / MANIFEST).write_text(manifest.to_json())


class _Calibration:
    """Hands batches out as the quantizer asks for them."""

    def __init__(self) -> None:
        self._batches: Iterator[Rows] = (
            observations(CALIBRATION_ROWS, seed) for seed in range(CALIBRATION_BATCHES)
        )

    def get_next(self) -> Rows | None:
        return next(self._batches, None)


if __name__ == "__main__":
    write_models(Path(sys.argv[1]))
