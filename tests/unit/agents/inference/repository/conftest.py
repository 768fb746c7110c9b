"""A model of one number, whose versions answer with their own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bellwire.agents.inference import Engine, ModelManifest, TensorSpec
from bellwire.agents.inference.engines import numpy_model
from bellwire.agents.inference.repository import publish_version

PUBLISH = Callable[..., ModelManifest]


def model_of(name: str = "actor", **changes: object) -> ModelManifest:
    """Return a manifest of the model, to be published."""
    fields: dict[str, object] = {
        "name": name,
        "version": 1,
        "engine": "numpy",
        "file": "actor.npz",
        "sha256": "0" * 64,
        "inputs": (TensorSpec("x", "FP32", (1,)),),
        "outputs": (TensorSpec("y", "FP32", (1,)),),
        "batch_max": 4,
    }
    return ModelManifest(**(fields | changes))  # type: ignore[arg-type]  # fields of the test's own


def content_of(answer: float) -> bytes:
    """Return the file of a model that always answers this."""
    layer = {"op": "dense", "weights": "w", "bias": "b", "to": "y"}
    return numpy_model(
        [layer], {"w": np.zeros((1, 1), "<f4"), "b": np.array([answer], dtype="<f4")}
    )


def answer_of(engine: Engine) -> float:
    """Ask a model for its answer."""
    return float(engine.infer({"x": np.zeros((1, 1), "<f4")})["y"][0, 0])


@pytest.fixture
def publish(tmp_path: Path) -> PUBLISH:
    """Publish the next version of a model in the test's folder; it answers with `answer`."""

    def add(name: str = "actor", answer: float = 0.0, **changes: object) -> ModelManifest:
        return publish_version(tmp_path, model_of(name, **changes), content_of(answer))

    return add
