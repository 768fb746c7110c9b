"""The strategic networks as an ONNX graph, and as a model's folder that an engine can load."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.onnx_graph import OnnxGraph, write_graph
from bellwire.agents.inference.tensor import TensorSpec
from bellwire.agents.strategic.features import FEATURES
from bellwire.agents.strategic.networks import ACTOR_SIZES, AGENTS, VARIANT, StrategicWeights
from bellwire.agents.tactical.onnx_graph import PROBABILITIES, VALUE, probabilities, through_layers

MODEL: Final = "strategic"
SEEN: Final = TensorSpec("features", "FP32", (FEATURES,))
INPUTS: Final = (SEEN,)
OUTPUTS: Final = (PROBABILITIES, VALUE)


def write_strategic_model(
    folder: Path,
    weights: StrategicWeights,
    *,
    name: str = MODEL,
    version: int = 1,
    metadata: Mapping[str, object] | None = None,
) -> ModelManifest:
    """Write the graph and then its manifest into a folder; equal arguments give equal bytes.

    Args:
        folder: Made when absent; a model in it is replaced.
        weights: Of the networks.
        name: Of the model.
        version: At least 1.
        metadata: JSON values that go into the manifest beside the variant.

    Raises:
        EngineMissingError: The package `onnx` is not installed.
        InvalidModelError: Name or version cannot be.
        OSError: The folder cannot be written.
    """
    content = strategic_graph_bytes(weights)
    about = {**(metadata or {}), "variant": VARIANT}
    return write_graph(folder, content, (name, version), (INPUTS, OUTPUTS), about)


def strategic_graph_bytes(weights: StrategicWeights) -> bytes:
    """Return the serialized graph: `features` in, `probabilities` and `value` out.

    Raises:
        EngineMissingError: The package `onnx` is not installed.
    """
    graph = OnnxGraph()
    parts = tuple(f"{agent}.features" for agent in AGENTS)
    graph.split(SEEN.name, parts, tuple(ACTOR_SIZES[agent][0] for agent in AGENTS))
    logits = [
        through_layers(graph, agent, weights.actors[agent], part)
        for agent, part in zip(AGENTS, parts, strict=True)
    ]
    probabilities(graph, graph.node("Concat", "logits", *logits, axis=1))
    value = through_layers(graph, "critic", weights.critic, SEEN.name)
    graph.node("Identity", VALUE.name, value)
    return graph.model(MODEL, INPUTS, OUTPUTS).SerializeToString(deterministic=True)
