"""bellwire.cli.model_answers: who answers, given what is loaded and what rollouts say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bellwire.agents.inference import ModelManifest, TensorSpec
from bellwire.agents.inference.engines import numpy_model
from bellwire.agents.inference.model_server.server import ModelServer
from bellwire.agents.inference.model_server.settings import ModelServerSettings
from bellwire.agents.inference.repository import RepositorySettings, publish_version
from bellwire.agents.inference.rollout import Author, RolloutFile, Stage
from bellwire.cli.model_answers import answering

EVE = Author("eve", "to see it")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with three versions of one model."""
    layer = {"op": "dense", "weights": "w", "to": "y"}
    content = numpy_model([layer], {"w": np.zeros((1, 1), "<f4")})
    spec, outputs = (TensorSpec("x", "FP32", (1,)),), (TensorSpec("y", "FP32", (1,)),)
    manifest = ModelManifest("actor", 1, "numpy", "actor.npz", "0" * 64, spec, outputs)
    for _ in range(3):
        publish_version(tmp_path, manifest, content)
    return tmp_path


async def told(models: Path, versions: str = "all") -> list[str]:
    settings = ModelServerSettings(repository=RepositorySettings(versions=versions))
    async with ModelServer(models, settings) as server:
        return answering(server)


async def test_newest_version_answers_where_there_is_no_rollout(models: Path) -> None:
    assert await told(models) == ["actor:3"]


async def test_version_of_the_rollout_answers_though_newer_ones_are_loaded(models: Path) -> None:
    RolloutFile(models, "actor").take(lambda before: before.pin(EVE, 1), serving=2)
    assert await told(models) == ["actor:2"]


async def test_share_of_a_canary_is_told(models: Path) -> None:
    RolloutFile(models, "actor").take(
        lambda before: before.start(3, Stage.CANARY, 0.1, EVE, 1), serving=1
    )
    assert await told(models) == ["actor:1 and 3 for 0.1 of the keys"]


async def test_model_whose_version_in_service_is_not_loaded_answers_nothing(models: Path) -> None:
    RolloutFile(models, "actor").take(lambda before: before.pin(EVE, 1), serving=1)
    (models / "actor" / "1" / "actor.npz").write_bytes(b"other")
    assert await told(models) == ["actor: none, version 1 is not loaded"]


async def test_model_whose_rollout_is_damaged_answers_nothing(models: Path) -> None:
    (models / "actor" / "rollout.json").write_text("{")
    assert await told(models) == ["actor: none, its rollout cannot be read"]
