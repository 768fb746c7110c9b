"""A small network as an ONNX file, whose versions answer with their own number; engines that hang or fail on demand."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bellwire.agents.inference import (
    Endpoint,
    Engine,
    EngineFailedError,
    InferenceRequest,
    InferenceResult,
    ModelManifest,
    TensorSpec,
)
from bellwire.agents.inference.engines import EngineSettings, load_engine
from bellwire.agents.inference.model_server import ModelServerSettings
from bellwire.agents.inference.repository import publish_version
from bellwire.agents.inference.tensor import Tensors

SLOW_REFRESH = 3_600.0  # Tests look when they want to.
DEADLINE_SECONDS = 20.0
Publish = Callable[..., ModelManifest]


def settings_of(**changes: object) -> ModelServerSettings:
    """Return settings under which nothing is looked at but by the test."""
    return ModelServerSettings(**({"refresh_seconds": SLOW_REFRESH} | changes))  # type: ignore[arg-type]


def onnx_content(answer: float, actions: int = 3) -> bytes:
    """Return x · 0 + (answer, 0, 0) as an ONNX file."""
    bias = np.zeros(actions, "<f4")
    bias[0] = answer
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["m"]),
            helper.make_node("Add", ["m", "b"], ["p"]),
        ],
        "constant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["batch", actions])],
        [
            numpy_helper.from_array(np.zeros((2, actions), "<f4"), "w"),
            numpy_helper.from_array(bias, "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def manifest_of(name: str = "actor", actions: int = 3, **changes: object) -> ModelManifest:
    """Return the manifest of such a file, to be published."""
    fields: dict[str, object] = {
        "name": name,
        "version": 1,
        "engine": "onnx",
        "file": "model.onnx",
        "sha256": "0" * 64,
        "inputs": (TensorSpec("x", "FP32", (2,)),),
        "outputs": (TensorSpec("p", "FP32", (actions,)),),
        "batch_max": 64,
    }
    return ModelManifest(**(fields | changes))  # type: ignore[arg-type]  # fields of the test's own


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """Publish the next version of a model in the test's folder; it answers with `answer`."""

    def add(
        answer: float, name: str = "actor", actions: int = 3, **changes: object
    ) -> ModelManifest:
        manifest = manifest_of(name, actions, **changes)
        return publish_version(tmp_path, manifest, onnx_content(answer, actions))

    return add


def asking(model: str = "actor", rows: int = 1, **fields: str | int) -> InferenceRequest:
    """Return a request for so many rows."""
    return InferenceRequest(model, {"x": np.ones((rows, 2), "<f4")}, **fields)  # type: ignore[arg-type]


def number_of(result: InferenceResult) -> float:
    """Return what the version that answered says."""
    return float(result.outputs["p"][0, 0])


async def answer_of(endpoint: Endpoint, model: str = "actor", **fields: str | int) -> float:
    """Ask, and return what the version that answered says."""
    return number_of(await endpoint.infer(asking(model, 1, **fields)))


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that another thread or process brings about."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not is_so():  # noqa: ASYNC110 - threads and processes set no event of ours
            await asyncio.sleep(0.005)


class Troubled:
    """A real engine that fails or hangs while it is told to."""

    def __init__(self, engine: Engine, trouble: "Trouble") -> None:
        self._engine = engine
        self._trouble = trouble

    @property
    def manifest(self) -> ModelManifest:
        return self._engine.manifest

    def infer(self, inputs: Tensors) -> Tensors:
        key = self.manifest.key
        self._trouble.asked.add(key)
        if key in self._trouble.failing:
            raise EngineFailedError(key, "told to fail")
        if key in self._trouble.hanging:
            self._trouble.may_go.wait(DEADLINE_SECONDS)
        return self._engine.infer(inputs)

    def close(self) -> None:
        self._trouble.closed.append(self.manifest.key)
        self._engine.close()


class Trouble:
    """Loads real engines, and tells them when to fail.

    Attributes:
        failing: Keys of versions that fail.
        hanging: Keys of versions that wait for `may_go`.
        asked: Keys of versions whose engine was asked.
        closed: Keys of engines, in the order they were closed.
    """

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.hanging: set[str] = set()
        self.asked: set[str] = set()
        self.closed: list[str] = []
        self.may_go = threading.Event()

    def load(self, folder: Path, manifest: ModelManifest, settings: EngineSettings) -> Engine:
        return Troubled(load_engine(folder, manifest, settings), self)


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()
