"""A tactical network as an ONNX model, small and seeded, and bars to judge it on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bellwire.agents.inference import ModelManifest, TensorSpec
from bellwire.agents.inference.engines import EngineSettings
from bellwire.agents.inference.engines.model_file import ModelFile
from bellwire.agents.inference.engines.onnx_engine import load_onnx
from bellwire.agents.inference.repository import publish_version
from bellwire.agents.quantize import Calibration, CalibrationSettings, Data
from bellwire.agents.quantize.calibration import calibration_of
from bellwire.agents.quantize.contract import policy_in
from bellwire.agents.tactical.onnx_graph import OBSERVATION, POSITION, PROBABILITIES, VALUE
from bellwire.agents.train import Policy, SyntheticSettings, record
from bellwire.agents.train.data import generate

HIDDEN = 32
INPUTS = (OBSERVATION, POSITION)
OUTPUTS = (PROBABILITIES, VALUE)
HELD_OUT_BARS = 300


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


def model_of(**fields: Any) -> ModelManifest:
    """Return the manifest of the network, with other fields if asked."""
    values: dict[str, Any] = {
        "name": "tactical",
        "version": 1,
        "engine": "onnx",
        "file": "model.onnx",
        "sha256": "0" * 64,
        "inputs": INPUTS,
        "outputs": OUTPUTS,
        "metadata": {"variant": "test"},
        **fields,
    }
    return ModelManifest(**values)


def policy_of(content: bytes) -> Policy:
    """Return what these bytes say in ONNX Runtime."""
    file = ModelFile(Path("model.onnx"), content)
    return policy_in(load_onnx(model_of(), file, EngineSettings()))


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
    tape = record(generate(SyntheticSettings(bars=500, seed=5)))
    return Data(calibration, tape, tape.decisions[-HELD_OUT_BARS:])


@pytest.fixture(scope="session")
def gemm_graph() -> bytes:
    return graph_bytes(gemm=True)


@pytest.fixture
def put_parent(tmp_path: Path) -> Callable[..., Path]:
    """Write a model below `models/tactical/1`, its manifest with other fields if asked; return its folder."""

    def put(content: bytes, **fields: Any) -> Path:
        models = tmp_path / "models"
        manifest = publish_version(models, model_of(**fields), content)
        return models / "tactical" / str(manifest.version)

    return put
