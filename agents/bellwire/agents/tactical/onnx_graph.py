"""The tactical networks as an ONNX graph, and as a model's folder that an engine can load.

Dense variants become the two products of `networks.fuse`. Every product is a MatMul with its bias in
an Add of its own (no Gemm), since weight-only quantizers look for MatMul. The package `onnx` is
needed to write a graph, not to compute one.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bellwire.agents.features import COLUMNS, ROWS
from bellwire.agents.inference.durable_file import replace_file
from bellwire.agents.inference.errors import EngineMissingError
from bellwire.agents.inference.model import MANIFEST, ModelManifest, read_manifest
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
    Floats,
)

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

MODEL_FILE: Final = "model.onnx"
OPSET: Final = 17  # the newest with IR 8: also runtimes of 2022 load it
IR_VERSION: Final = 8

OBSERVATION: Final = TensorSpec("observation", "FP32", (OBSERVATION_SIZE,))
POSITION: Final = TensorSpec("position", "FP32", (POSITION_SIZE,))
PROBABILITIES: Final = TensorSpec("probabilities", "FP32", (len(AGENTS), ACTIONS))
VALUE: Final = TensorSpec("value", "FP32", (1,))


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
    content = graph_bytes(weights)
    manifest = ModelManifest(
        name=name,
        version=version,
        engine="onnx",
        file=MODEL_FILE,
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=(OBSERVATION, POSITION),
        outputs=(PROBABILITIES, VALUE),
        metadata={**(metadata or {}), "variant": str(weights.variant)},
    )
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / MODEL_FILE, content)
    replace_file(folder / MANIFEST, manifest.to_json().encode())
    return read_manifest(folder)


def graph_bytes(weights: Weights) -> bytes:
    """Return the serialized graph: `observation` and `position` in, `probabilities` and `value` out.

    Raises:
        EngineMissingError: The package `onnx` is not installed.
    """
    graph = _Graph()
    if isinstance(weights, ConvWeights):
        _convolutional(graph, weights)
    else:
        _dense(graph, fuse(weights))
    return graph.model().SerializeToString(deterministic=True)


class _Graph:
    """Nodes and constants, added one after the other; each call returns its output's name."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            remedy = "install bellwire[models]"
            raise EngineMissingError("onnx graph", "the package onnx", remedy) from error
        self._onnx = onnx
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def node(self, kind: str, name: str, *inputs: str, **attributes: int | list[int]) -> str:
        made = self._onnx.helper.make_node(
            kind, inputs, [name], name, None, None, None, **attributes
        )
        self._nodes.append(made)
        return name

    def split(self, name: str, outputs: tuple[str, ...], sizes: tuple[int, ...]) -> None:
        lengths = self.integers(f"{name}.sizes", *sizes)
        made = self._onnx.helper.make_node("Split", [name, lengths], outputs, axis=1)
        self._nodes.append(made)

    def constant(self, name: str, array: Floats) -> str:
        self._constants.append(
            self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        )
        return name

    def integers(self, name: str, *values: int) -> str:
        array = np.array(values, np.int64)
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def layer(self, name: str, source: str, weight: Floats, bias: Floats | None) -> str:
        product = self.node("MatMul", f"{name}.product", source, self.constant(f"{name}.w", weight))
        if bias is None:
            return product
        return self.node("Add", f"{name}.sum", product, self.constant(f"{name}.b", bias))

    def model(self) -> "ModelProto":
        helper = self._onnx.helper

        def described(spec: TensorSpec) -> object:
            shape = ["batch", *spec.shape]
            return helper.make_tensor_value_info(spec.name, self._onnx.TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self._nodes,
            "tactical",
            [described(OBSERVATION), described(POSITION)],
            [described(PROBABILITIES), described(VALUE)],
            initializer=self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model: ModelProto = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="bellwire"
        )
        self._onnx.checker.check_model(model, full_check=True)
        return model


def _dense(graph: _Graph, fused: FusedWeights) -> None:
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
    _probabilities(graph, "logits")


def _convolutional(graph: _Graph, weights: ConvWeights) -> None:
    shape = graph.integers("matrix.shape", -1, ROWS, COLUMNS)
    matrix = graph.node("Reshape", "matrix", OBSERVATION.name, shape)
    channels = graph.node("Transpose", "channels", matrix, perm=[0, 2, 1])
    graph.constant("pooling", pooling_matrix())
    graph.integers("flat.shape", -1, CHANNELS[-1] * POOLED)
    logits = [
        _conv_actor(graph, name, actor, channels)
        for name, actor in zip(AGENTS, weights.actors, strict=True)
    ]
    _probabilities(graph, graph.node("Concat", "logits", *logits, axis=1))
    inputs = graph.node("Concat", "inputs", OBSERVATION.name, POSITION.name, axis=1)
    value = _layers(graph, "critic", weights.critic, inputs)
    graph.node("Identity", VALUE.name, value)


def _conv_actor(graph: _Graph, name: str, actor: ConvActor, channels: str) -> str:
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
    return _layers(
        graph, name, actor.layers, graph.node("Concat", f"{name}.seen", flat, POSITION.name, axis=1)
    )


def _layers(graph: _Graph, name: str, layers: tuple[Layer, ...], source: str) -> str:
    *hidden, last = layers
    for number, layer in enumerate(hidden):
        sums = graph.layer(f"{name}.layer{number}", source, layer.weight, layer.bias)
        source = graph.node("Relu", f"{name}.layer{number}.clamped", sums)
    return graph.layer(f"{name}.layer{len(hidden)}", source, last.weight, last.bias)


def _probabilities(graph: _Graph, logits: str) -> None:
    shape = graph.integers("table.shape", -1, len(AGENTS), ACTIONS)
    table = graph.node("Reshape", "table", logits, shape)
    graph.node("Softmax", PROBABILITIES.name, table, axis=-1)
