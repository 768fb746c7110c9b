"""An ONNX graph built node by node, and written as a model's folder that an engine can load.

Every product is a MatMul with its bias in an Add of its own (no Gemm), since weight-only quantizers look for
MatMul. The package `onnx` is needed to write a graph, not to compute one.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.inference.durable_file import replace_file
from bellwire.agents.inference.errors import EngineMissingError
from bellwire.agents.inference.model import MANIFEST, ModelManifest, read_manifest
from bellwire.agents.inference.tensor import TensorSpec

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

MODEL_FILE: Final = "model.onnx"
OPSET: Final = 17  # the newest with IR 8: also runtimes of 2022 load it
IR_VERSION: Final = 8

_Floats = NDArray[np.float32]
_Specs = tuple[TensorSpec, ...]


class OnnxGraph:
    """Nodes and constants, added one after the other; each call returns its output's name."""

    def __init__(self) -> None:
        """Begin an empty graph.

        Raises:
            EngineMissingError: The package `onnx` is not installed.
        """
        try:
            import onnx
        except ImportError as error:
            remedy = "install bellwire[models]"
            raise EngineMissingError("onnx graph", "the package onnx", remedy) from error
        self._onnx = onnx
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def node(self, kind: str, name: str, *inputs: str, **attributes: int | list[int]) -> str:
        """Add a node with one output, called as the node is."""
        made = self._onnx.helper.make_node(
            kind, inputs, [name], name, None, None, None, **attributes
        )
        self._nodes.append(made)
        return name

    def split(self, name: str, outputs: tuple[str, ...], sizes: tuple[int, ...]) -> None:
        """Cut a tensor (batch, columns) into parts of these columns."""
        lengths = self.integers(f"{name}.sizes", *sizes)
        made = self._onnx.helper.make_node("Split", [name, lengths], outputs, axis=1)
        self._nodes.append(made)

    def constant(self, name: str, array: _Floats) -> str:
        """Add an array."""
        self._constants.append(
            self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        )
        return name

    def integers(self, name: str, *values: int) -> str:
        """Add a vector of int64."""
        array = np.array(values, np.int64)
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def layer(self, name: str, source: str, weight: _Floats, bias: _Floats | None) -> str:
        """Add a dense layer; `weight` is (inputs, outputs)."""
        product = self.node("MatMul", f"{name}.product", source, self.constant(f"{name}.w", weight))
        if bias is None:
            return product
        return self.node("Add", f"{name}.sum", product, self.constant(f"{name}.b", bias))

    def model(self, name: str, inputs: _Specs, outputs: _Specs) -> "ModelProto":
        """Return the checked model; every tensor has a batch axis before its shape."""
        helper = self._onnx.helper

        def described(spec: TensorSpec) -> object:
            shape = ["batch", *spec.shape]
            return helper.make_tensor_value_info(spec.name, self._onnx.TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self._nodes,
            name,
            [described(each) for each in inputs],
            [described(each) for each in outputs],
            initializer=self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model: ModelProto = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="bellwire"
        )
        self._onnx.checker.check_model(model, full_check=True)
        return model


def write_graph(
    folder: Path,
    content: bytes,
    key: tuple[str, int],
    tensors: tuple[_Specs, _Specs],
    metadata: Mapping[str, object],
) -> ModelManifest:
    """Write a serialized graph and then its manifest into a folder; equal arguments give equal bytes.

    Args:
        folder: Made when absent; a model in it is replaced.
        content: The graph.
        key: Name and version of the model; the version is at least 1.
        tensors: Inputs and outputs.
        metadata: JSON values of the manifest.

    Raises:
        InvalidModelError: Name or version cannot be.
        OSError: The folder cannot be written.
    """
    name, version = key
    inputs, outputs = tensors
    manifest = ModelManifest(
        name=name,
        version=version,
        engine="onnx",
        file=MODEL_FILE,
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=inputs,
        outputs=outputs,
        metadata=dict(metadata),
    )
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / MODEL_FILE, content)
    replace_file(folder / MANIFEST, manifest.to_json().encode())
    return read_manifest(folder)
