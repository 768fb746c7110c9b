"""Steps that name a version, and the one that the version in service was quantized from."""

import shutil
from pathlib import Path

import pytest
from tests.unit.agents.inference.model_server.conftest import (
    Publish,
    Trouble,
    answer_of,
    asking,
    number_of,
    settings_of,
)

from bellwire.agents.inference import Fallback, FallbackReason, ModelManifest
from bellwire.agents.inference.guard import GuardSettings
from bellwire.agents.inference.model_server import ModelServer
from bellwire.agents.inference.rollout import Author, RolloutFile, Stage

ADA = Author("ada", "gate passed")
CHAIN = "actor=actor,actor:parent,hold"
SETTINGS = settings_of(chains=(CHAIN,), guard=GuardSettings(timeout_seconds=20))
FAILED, NOT_LOADED = FallbackReason.FAILED, FallbackReason.NOT_LOADED


def child_of(parent: ModelManifest) -> dict[str, object]:
    """Return the fields of a quantized version that may serve."""
    return {
        "quantization": "int8-static",
        "metadata": {
            "gate": {"passed": True, "reasons": []},
            "parent": {"key": parent.key, "sha256": parent.sha256},
        },
    }


async def test_the_parent_is_loaded_beside_and_answers_for_its_child(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    publish(2, **child_of(publish(1)))
    async with ModelServer(tmp_path, SETTINGS, load=trouble.load) as server:
        assert [each.key for each in server.manifests()] == ["actor:1", "actor:2"]
        assert await answer_of(server) == 2.0
        trouble.failing = {"actor:2"}
        result = await server.infer(asking())
        assert (number_of(result), result.answered_by) == (1.0, "actor:1")
        assert result.fallbacks == (Fallback("actor", FAILED),)
        trouble.failing = {"actor:1", "actor:2"}
        result = await server.infer(asking())
        assert result.answered_by == "hold"
        assert result.fallbacks == (Fallback("actor", FAILED), Fallback("actor:parent", FAILED))


async def test_the_parent_is_that_of_whichever_version_is_promoted(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    publish(2, **child_of(publish(1)))
    third = publish(3)
    publish(4, **child_of(third))
    file = RolloutFile(tmp_path, "actor")
    file.take(lambda rollout: rollout.start(4, Stage.SHADOW, 0.0, ADA, 1), serving=2)
    async with ModelServer(tmp_path, SETTINGS, load=trouble.load) as server:
        assert [each.key for each in server.manifests()] == [
            f"actor:{each}" for each in range(1, 5)
        ]
        trouble.failing = {"actor:2", "actor:4"}
        assert await answer_of(server) == 1.0
        file.take(lambda rollout: rollout.promote(ADA, 2))
        await server.refresh()
        assert await answer_of(server) == 3.0


@pytest.mark.parametrize("fault", ["absent", "another", "none"])
async def test_a_version_whose_parent_is_not_that_one_any_more_has_none(
    tmp_path: Path, publish: Publish, trouble: Trouble, fault: str
) -> None:
    parent = publish(1)
    fields = {} if fault == "none" else child_of(parent)
    publish(2, **fields)
    if fault == "absent":
        shutil.rmtree(tmp_path / "actor" / "1")
    if fault == "another":
        manifest = tmp_path / "actor" / "1" / "model.json"
        manifest.write_text(manifest.read_text().replace(parent.sha256, "1" * 64))
    async with ModelServer(tmp_path, SETTINGS, load=trouble.load) as server:
        trouble.failing = {"actor:2"}
        result = await server.infer(asking())
    assert result.answered_by == "hold"
    assert result.fallbacks[1] == Fallback("actor:parent", NOT_LOADED)


async def test_a_parent_goes_when_no_chain_may_ask_it_any_more(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    publish(2, **child_of(publish(1)))
    async with ModelServer(tmp_path, SETTINGS, load=trouble.load) as server:
        publish(3)
        await server.refresh()
        assert [each.key for each in server.manifests()] == ["actor:3"]
        assert trouble.closed == ["actor:1", "actor:2"] or trouble.closed == ["actor:2", "actor:1"]


async def test_without_such_a_step_no_parent_is_loaded(tmp_path: Path, publish: Publish) -> None:
    publish(2, **child_of(publish(1)))
    settings = settings_of(chains=("actor=actor,hold",))
    async with ModelServer(tmp_path, settings) as server:
        assert [each.key for each in server.manifests()] == ["actor:2"]


async def test_a_step_that_names_a_version_has_it_loaded_and_asks_it_alone(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    publish(1)
    publish(2)
    publish(3)
    settings = settings_of(
        chains=("actor=actor,actor:1,actor:9",), guard=GuardSettings(timeout_seconds=20)
    )
    async with ModelServer(tmp_path, settings, load=trouble.load) as server:
        trouble.failing = {"actor:3"}
        assert [each.key for each in server.manifests()] == ["actor:1", "actor:3"]
        result = await server.infer(asking())
        assert (result.answered_by, result.fallbacks) == ("actor:1", (Fallback("actor", FAILED),))
