"""The tactical networks as an ONNX graph, and as a model's folder that an engine can load.

Dense variants become the two products of `networks.fuse`. The package `onnx` is needed to write a graph,
not to compute one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from bellwire.agents.features import COLUMNS, ROWS
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.onnx_graph import OnnxGraph, write_graph
from bellwire.agents.inference.tensor import TensorSpec
from bellwire.agents.tactical.networks.convolution import (
    CHANNELS,
    POOLED,
    ConvActor,
    ConvWeights,
    pooling_matrix,
)
from bellwire.agents.tactical.networks.forward import Weights
from bellwire.agents.tactical.networks.fuse import LOGITS, FusedWeights, fuse
from bellwire.agents.tactical.networks.layers import Layer
from bellwire.agents.tactical.networks.weights import (
    ACTIONS,
    AGENTS,
    OBSERVATION_SIZE,
    POSITION_SIZE,
)

OBSERVATION: Final = TensorSpec("observation", "FP32", (OBSERVATION_SIZE,))
POSITION: Final = TensorSpec("position", "FP32", (POSITION_SIZE,))
PROBABILITIES: Final = TensorSpec("probabilities", "FP32", (len(AGENTS), ACTIONS))
VALUE: Final = TensorSpec("value", "FP32", (1,))
INPUTS: Final = (OBSERVATION, POSITION)
OUTPUTS: Final = (PROBABILITIES, VALUE)


def write_model(
    folder: Path,
    weights: Weights,
    *,
    name: str = "tactical",
    version: int = 1,
    metadata: Mapping[str, object] | None = None,
) -> ModelManifest:
    """Write the graph and then its manifest into a folder; equal arguments give equal bytes.

    Args:
        folder: Made when absent; a model in it is replaced.
        weights: Of any variant.
        name: Of the model.
        version: At least 1.
        metadata: JSON values that go into the manifest beside the variant.

    Raises:
        EngineMissingError: The package `onnx` is not installed.
        InvalidModelError: Name or version cannot be.
        OSError: The folder cannot be written.
    """
    about = {**(metadata or {}), "variant": str(weights.variant)}
    return write_graph(folder, graph_bytes(weights), (name, version), (INPUTS, OUTPUTS), about)


def graph_bytes(weights: Weights) -> bytes:
    """Return the serialized graph: `observation` and `position` in, `probabilities` and `value` out.

    Raises:
        EngineMissingError: The package `onnx` is not installed.
    """
    graph = OnnxGraph()
    if isinstance(weights, ConvWeights):
        _convolutional(graph, weights)
    else:
        _dense(graph, fuse(weights))
    model = graph.model("tactical", INPUTS, OUTPUTS)
    return model.SerializeToString(deterministic=True)


def _dense(graph: OnnxGraph, fused: FusedWeights) -> None:
    inputs = graph.node("Concat", "inputs", OBSERVATION.name, POSITION.name, axis=1)
    hidden = graph.layer("hidden", inputs, fused.hidden, fused.hidden_bias)
    if np.isinf(fused.ceiling):
        clamped = graph.node("Relu", "clamped", hidden)
    else:
        floor = graph.constant("floor", np.array(0.0, np.float32))
        ceiling = graph.constant("ceiling", np.array(fused.ceiling, np.float32))
        clamped = graph.node("Clip", "clamped", hidden, floor, ceiling)
    outputs = graph.layer("output", clamped, fused.output, fused.output_bias)
    graph.split(outputs, ("logits", VALUE.name), (LOGITS, 1))
    probabilities(graph, "logits")


def _convolutional(graph: OnnxGraph, weights: ConvWeights) -> None:
    shape = graph.integers("matrix.shape", -1, ROWS, COLUMNS)
    matrix = graph.node("Reshape", "matrix", OBSERVATION.name, shape)
    channels = graph.node("Transpose", "channels", matrix, perm=[0, 2, 1])
    graph.constant("pooling", pooling_matrix())
    graph.integers("flat.shape", -1, CHANNELS[-1] * POOLED)
    logits = [
        _conv_actor(graph, name, actor, channels)
        for name, actor in zip(AGENTS, weights.actors, strict=True)
    ]
    probabilities(graph, graph.node("Concat", "logits", *logits, axis=1))
    inputs = graph.node("Concat", "inputs", OBSERVATION.name, POSITION.name, axis=1)
    value = through_layers(graph, "critic", weights.critic, inputs)
    graph.node("Identity", VALUE.name, value)


def _conv_actor(graph: OnnxGraph, name: str, actor: ConvActor, channels: str) -> str:
    """Add one branch; the attention is multiplied into the first convolution's input channels."""
    source, attention = channels, actor.attention[:, None]
    for number, convolution in enumerate(actor.convolutions):
        part = f"{name}.convolution{number}"
        weight = graph.constant(f"{part}.w", convolution.weight * attention)
        bias = graph.constant(f"{part}.b", convolution.bias)
        sums = graph.node("Conv", part, source, weight, bias, pads=[1, 1])
        source, attention = graph.node("Relu", f"{part}.clamped", sums), np.ones((1, 1), np.float32)
    pooled = graph.node("MatMul", f"{name}.pooled", source, "pooling")
    flat = graph.node("Reshape", f"{name}.flat", pooled, "flat.shape")
    return through_layers(
        graph, name, actor.layers, graph.node("Concat", f"{name}.seen", flat, POSITION.name, axis=1)
    )


def through_layers(graph: OnnxGraph, name: str, layers: tuple[Layer, ...], source: str) -> str:
    """Add dense layers one after the other; all but the last are clamped below at 0."""
    *hidden, last = layers
    for number, layer in enumerate(hidden):
        sums = graph.layer(f"{name}.layer{number}", source, layer.weight, layer.bias)
        source = graph.node("Relu", f"{name}.layer{number}.clamped", sums)
    return graph.layer(f"{name}.layer{len(hidden)}", source, last.weight, last.bias)


def probabilities(graph: OnnxGraph, logits: str) -> None:
    """Add the output `probabilities`, (batch, 3, 3), of nine logits."""
    shape = graph.integers("table.shape", -1, len(AGENTS), ACTIONS)
    table = graph.node("Reshape", "table", logits, shape)
    graph.node("Softmax", PROBABILITIES.name, table, axis=-1)
