"""Which models can be quantized here, and how they are asked: tactical ones, in ONNX, at full precision."""

from typing import Final

from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.tensor import TensorSpec
from bellwire.agents.quantize.errors import NotQuantizableError
from bellwire.agents.quantize.method import Method
from bellwire.agents.tactical.onnx_graph import OBSERVATION, POSITION, PROBABILITIES
from bellwire.agents.train.policy import Floats, Policy

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


def policy_in(engine: Engine) -> Policy:
    """Return what the model in an engine says; it raises `EngineFailedError` where that is no number."""

    def probabilities(observations: Floats, positions: Floats) -> Floats:
        inputs = {OBSERVATION.name: observations, POSITION.name: positions}
        said: Floats = engine.infer(inputs)[PROBABILITIES.name]
        return said

    return probabilities


def _named(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype} {spec.shape_text}" for spec in specs)
