"""Small models, written by the tests that load them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bellwire.agents.inference import ModelManifest, TensorSpec
from bellwire.agents.inference.engines import Layer, numpy_model

WEIGHTS = np.random.default_rng(7).normal(0, 0.1, (4, 6)).astype("<f4")
PUBLISH = Callable[..., ModelManifest]


def expected(x: np.ndarray) -> dict[str, np.ndarray]:
    """What all the networks of these tests compute, in double precision."""
    hidden = np.clip(x.astype("f8") @ WEIGHTS.astype("f8"), 0, 6)
    powers = np.exp(hidden[:, :3])
    return {"p": powers / powers.sum(axis=1, keepdims=True), "v": hidden[:, 3:4]}


def onnx_bytes(
    batch: int | str = "batch", features: int = 4, kind: int = TensorProto.FLOAT
) -> bytes:
    """Return the network as an ONNX file; `features` and `kind` are what it declares."""
    constants = {
        "w": WEIGHTS[:features] if features <= 4 else np.zeros((features, 6), "<f4"),
        "low": np.float32(0),
        "high": np.float32(6),
        "zero": np.array([0]),
        "three": np.array([3]),
        "four": np.array([4]),
        "last": np.array([1]),
    }
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Clip", ["m", "low", "high"], ["h"]),
        helper.make_node("Slice", ["h", "zero", "three", "last"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["p"], axis=-1),
        helper.make_node("Slice", ["h", "three", "four", "last"], ["v"]),
    ]
    graph = helper.make_graph(
        nodes,
        "actor",
        [helper.make_tensor_value_info("x", kind, [batch, features])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, size])
            for name, size in (("p", 3), ("v", 1))
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def npz_bytes() -> bytes:
    """Return the network as the numpy engine's file."""
    layers: list[Layer] = [
        {"op": "dense", "weights": "w"},
        {"op": "clamp", "low": 0, "high": 6, "to": "h"},
        {"op": "slice", "start": 0, "stop": 3},
        {"op": "softmax", "to": "p"},
        {"op": "slice", "from": "h", "start": 3, "stop": 4, "to": "v"},
    ]
    return numpy_model(layers, {"w": WEIGHTS})


def manifest_of(engine: str, content: bytes, **changes: object) -> ModelManifest:
    """Return the manifest of a file with this network."""
    fields: dict[str, object] = {
        "name": "actor",
        "version": 1,
        "engine": engine,
        "file": "actor.bin",
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": (TensorSpec("x", "FP32", (4,)),),
        "outputs": (TensorSpec("p", "FP32", (3,)), TensorSpec("v", "FP32", (1,))),
    }
    return ModelManifest(**(fields | changes))  # type: ignore[arg-type]  # fields of the test's own


@pytest.fixture
def stored(tmp_path: Path) -> PUBLISH:
    """Write a model's file into the test's folder and return its manifest."""

    def store(engine: str, content: bytes, **changes: object) -> ModelManifest:
        manifest = manifest_of(engine, content, **changes)
        (tmp_path / manifest.file).write_bytes(content)
        return manifest

    return store
