"""A tactical network as an ONNX model, small and seeded, and bars to judge it on."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bellwire.agents.inference import ModelManifest, TensorSpec
from bellwire.agents.quantize import BarWindows, Calibration, CalibrationSettings, Data
from bellwire.agents.quantize.calibration import calibration_of

HIDDEN = 32
INPUTS = (TensorSpec("observation", "FP32", (420,)), TensorSpec("position", "FP32", (1,)))
OUTPUTS = (TensorSpec("probabilities", "FP32", (3, 3)), TensorSpec("value", "FP32", (1,)))


def graph_bytes(*, gemm: bool = False) -> bytes:
    """Return 420 + 1 inputs, one clamped layer, three softmaxes and a value; weights from a seed."""
    from onnx import NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

    random = np.random.default_rng(7)
    constants: dict[str, np.ndarray] = {
        "w1": random.normal(0, 0.1, (421, HIDDEN)).astype("f4"),
        "b1": random.normal(0, 0.1, HIDDEN).astype("f4"),
        "w2": random.normal(0, 0.3, (HIDDEN, 10)).astype("f4"),
        "b2": random.normal(0, 0.1, 10).astype("f4"),
        "low": np.array(0.0, "f4"),
        "high": np.array(6.0, "f4"),
        "sizes": np.array([9, 1]),
        "shape": np.array([-1, 3, 3]),
    }
    node = helper.make_node

    def layer(source: str, number: int, out: str) -> list[NodeProto]:
        weights, bias = f"w{number}", f"b{number}"
        if gemm:
            return [node("Gemm", [source, weights, bias], [out], out)]
        product = f"product{number}"
        return [
            node("MatMul", [source, weights], [product], product),
            node("Add", [product, bias], [out], out),
        ]

    nodes = [
        node("Concat", ["observation", "position"], ["inputs"], "inputs", axis=1),
        *layer("inputs", 1, "hidden"),
        node("Clip", ["hidden", "low", "high"], ["clamped"], "clamped"),
        *layer("clamped", 2, "outputs"),
        node("Split", ["outputs", "sizes"], ["logits", "value"], "split", axis=1),
        node("Reshape", ["logits", "shape"], ["table"], "table"),
        node("Softmax", ["table"], ["probabilities"], "probabilities", axis=-1),
    ]

    def described(spec: TensorSpec) -> ValueInfoProto:
        return helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, ["batch", *spec.shape])

    graph = helper.make_graph(
        nodes,
        "tactical",
        [described(spec) for spec in INPUTS],
        [described(spec) for spec in OUTPUTS],
        initializer=[numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def write_parent(folder: Path, content: bytes, **fields: Any) -> ModelManifest:
    values: dict[str, Any] = {
        "name": "tactical",
        "version": 1,
        "engine": "onnx",
        "file": "model.onnx",
        "sha256": sha256(content).hexdigest(),
        "inputs": INPUTS,
        "outputs": OUTPUTS,
        "metadata": {"variant": "test"},
        **fields,
    }
    manifest = ModelManifest(**values)
    folder.mkdir(parents=True)
    (folder / manifest.file).write_bytes(content)
    (folder / "model.json").write_text(manifest.to_json())
    return manifest


def some_observations(rows: int, seed: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.clip(random.normal(0, 0.7, (rows, 60, 7)), -5, 5).astype("f4")


@pytest.fixture(scope="session")
def graph() -> bytes:
    return graph_bytes()


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    return calibration_of("made up", some_observations(256), None, CalibrationSettings(rows=256))


@pytest.fixture(scope="session")
def data(calibration: Calibration) -> Data:
    random = np.random.default_rng(5)
    held_out = BarWindows(
        "held out", "0" * 64, some_observations(300, seed=4), random.normal(0, 1e-4, 300)
    )
    return Data(calibration, held_out)


@pytest.fixture(scope="session")
def gemm_graph() -> bytes:
    return graph_bytes(gemm=True)


@pytest.fixture
def put_parent(tmp_path: Path) -> Callable[..., Path]:
    """Write a model below `models/tactical/1`, its manifest with other fields if asked; return its folder."""

    def put(content: bytes, **fields: Any) -> Path:
        folder = tmp_path / "models" / "tactical" / "1"
        write_parent(folder, content, **fields)
        return folder

    return put
