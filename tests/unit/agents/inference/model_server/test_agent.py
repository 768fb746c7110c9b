"""The agent over a folder: its settings as JSON, and its counters."""

import json
from pathlib import Path

import pytest
from tests.unit.agents.inference.model_server.conftest import Publish, asking

from bellwire.agents.inference import InvalidModelError
from bellwire.agents.inference.model_server import ModelServerSettings
from bellwire.agents.inference.model_server.agent import ModelServerAgent, ModelServerAgentSettings
from bellwire.agents.inference.rollout import Author, RolloutFile, Stage
from bellwire.agents.inference.wire import from_request, to_result
from bellwire.risk.json_settings import from_json, to_json
from bellwire.wire.settings import SettingsError


def agent_of(root: Path, **server: object) -> ModelServerAgent:
    """Return an agent whose settings went through JSON."""
    options = ModelServerAgentSettings(
        model="actor",
        models=str(root),
        server=ModelServerSettings(**server),  # type: ignore[arg-type]
    )
    return ModelServerAgent(json.loads(json.dumps(to_json(options))))


def test_settings_cross_to_a_process_as_json() -> None:
    server = ModelServerSettings(refresh_seconds=1, chains=("a=b,hold",))
    options = ModelServerAgentSettings(model="a", models="there", server=server)
    assert from_json(ModelServerAgentSettings, json.loads(json.dumps(to_json(options)))) == options


def test_a_wrong_setting_of_a_part_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="refresh_seconds"):
        ModelServerAgent({"server": {"refresh_seconds": 0}})


async def test_it_answers_and_counts_as_json(tmp_path: Path, publish: Publish) -> None:
    publish(1)
    publish(2)
    author = Author("ada", "why")
    RolloutFile(tmp_path, "actor").take(
        lambda rollout: rollout.start(2, Stage.SHADOW, 0, author, 1), serving=1
    )
    agent = agent_of(tmp_path)
    await agent.on_start()
    result = to_result(await agent._answers().answer(from_request(asking())))
    assert result.answered_by == "actor:1"
    counted = json.loads(json.dumps(await agent.model_statistics(), allow_nan=False))
    assert counted["versions"][0]["requests"] == 1
    assert counted["rollouts"][0]["stage"] == "SHADOW"
    await agent.on_stop()
    assert agent.last is not None
    assert agent.last.versions[0].requests == 1
    assert agent.server is not None
    assert agent.server.manifests() == ()


async def test_a_folder_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="nowhere"):
        await agent_of(tmp_path / "nowhere").on_start()
