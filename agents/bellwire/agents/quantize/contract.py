"""Which models can be quantized here: tactical ones, in ONNX, at full precision."""

from typing import Final

from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.tensor import TensorSpec
from bellwire.agents.quantize.calibration import OBSERVATION_SIZE
from bellwire.agents.quantize.errors import NotQuantizableError
from bellwire.agents.quantize.held_out import ACTIONS, HEADS
from bellwire.agents.quantize.method import Method

OBSERVATION: Final = TensorSpec("observation", "FP32", (OBSERVATION_SIZE,))
POSITION: Final = TensorSpec("position", "FP32", (1,))
PROBABILITIES: Final = TensorSpec("probabilities", "FP32", (len(HEADS), ACTIONS))
_INPUTS: Final = frozenset({OBSERVATION, POSITION})


def check_parent(manifest: ModelManifest, method: Method) -> None:
    """Refuse a model that cannot be quantized, or whose decisions the gate could not judge.

    Raises:
        NotQuantizableError: Of another engine, quantized already, or with other inputs and outputs.
    """
    complaints = [
        (manifest.engine != "onnx", f"its engine is {manifest.engine!r}", "export it to ONNX"),
        (
            manifest.quantization != "none",
            f"it is {manifest.quantization} already",
            "quantize the model it was made from",
        ),
        (
            frozenset(manifest.inputs) != _INPUTS or PROBABILITIES not in manifest.outputs,
            f"its inputs are {_named(manifest.inputs)}, its outputs {_named(manifest.outputs)}",
            f"the gate knows {_named((OBSERVATION, POSITION))} to {_named((PROBABILITIES,))}",
        ),
    ]
    for wrong, found, remedy in complaints:
        if wrong:
            raise NotQuantizableError(manifest.key, method, found, remedy)


def invalid_graph(path: str, cause: str) -> InvalidModelError:
    """Return the error for a file that is no ONNX model."""
    return InvalidModelError(path, cause, "an ONNX model with its weights in the file")


def _named(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype} {spec.shape_text}" for spec in specs)
