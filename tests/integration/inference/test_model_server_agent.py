"""A folder of models on a real coordinator: which names can be called, and who answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.agents.inference.model_server.conftest import (
    Publish,
    asking,
    number_of,
    publish,
    settings_of,
)

from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_INFERENCE
from bellwire.agents.inference import InferenceRequest, UnknownModelError
from bellwire.agents.inference.agent import NAMES_MAX
from bellwire.agents.inference.bus_endpoint import BusEndpoint
from bellwire.agents.inference.model_server.agent import ModelServerAgent, ModelServerAgentSettings
from bellwire.agents.inference.rollout import Author, RolloutFile, Stage
from bellwire.cli.calling import callable_models
from bellwire.client import Client, connect
from bellwire.risk.json_settings import to_json
from bellwire.runtime import AgentRunner
from bellwire.testing import running_coordinator
from bellwire.wire.errors import UnknownToolError

__all__ = ["publish"]

pytestmark = pytest.mark.integration


@asynccontextmanager
async def serving(root: Path, *chains: str) -> AsyncIterator[Client]:
    """Run an agent over the folder whose own model is `actor`; gives a client of its bus."""
    settings = ModelServerAgentSettings(
        model="actor", models=str(root), server=settings_of(chains=chains)
    )
    agent = ModelServerAgent(to_json(settings))
    async with running_coordinator() as coordinator, connect(coordinator.unix) as client:
        runner = AgentRunner(agent, client)
        task = asyncio.create_task(runner.run())
        async with asyncio.timeout(20):
            await runner.ready.wait()
        yield client
        runner.stop()
        await task


async def said(client: Client, name: str, model: str = "") -> tuple[float, str]:
    """Call a name for a model; return what was answered, and who answered it."""
    request = InferenceRequest(model, asking().inputs)
    result = await BusEndpoint(client, name).infer(request)
    return number_of(result), result.answered_by


async def test_every_model_and_every_chain_is_called_by_its_name(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2, name="other")
    async with serving(tmp_path, "safe=ghost,other,hold") as client:
        assert await said(client, "infer.actor") == (1.0, "actor:1")
        assert await said(client, "infer.other") == (2.0, "other:1")
        assert await said(client, "infer.safe") == (2.0, "other:1")
        assert await said(client, "infer.other", model="actor") == (1.0, "actor:1")
        models = callable_models(await client.admin.list_agents())
        assert [(each.name, each.agents) for each in models] == [
            ("infer.actor", 1), ("infer.other", 1), ("infer.safe", 1),
        ]  # fmt: skip
        with pytest.raises(UnknownToolError, match="`bellwire call --list` shows all"):
            await client.call_tool("infer.nope")


async def test_a_model_that_comes_later_is_asked_for_by_its_name_in_the_request(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    async with serving(tmp_path) as client:
        publish(3, name="late")
        with pytest.raises(UnknownModelError):  # Nobody has looked at the folder since.
            await said(client, "infer.actor", model="late")
        (agent,) = await client.admin.list_agents()
        names = [each.name for each in agent.agent.capabilities]
        assert "infer.late" not in names


async def test_names_that_the_directory_cannot_hold_are_left_out_and_said(
    tmp_path: Path, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    publish(1)
    many = [f"chain-{number:03}=actor" for number in range(NAMES_MAX + 1)]
    async with serving(tmp_path, *many, f"{'x' * 128}=actor") as client:
        (agent,) = await client.admin.list_agents()
    kind = CAPABILITY_KIND_INFERENCE
    offered = [each.name for each in agent.agent.capabilities if each.kind == kind]
    assert len(offered) == NAMES_MAX + 1  # Its own beside.
    told = [record.getMessage() for record in caplog.records if "directory" in record.message]
    assert [line.split()[0] for line in told] == ["infer.chain-200", f"infer.{'x' * 128}"]


async def test_outcomes_of_an_experiment_are_recorded_and_reported_over_the_bus(
    tmp_path: Path, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    publish(1)
    publish(2)
    author = Author("ada", "which is better?")
    RolloutFile(tmp_path, "actor").take(
        lambda before: before.start(2, Stage.AB, 1.0, author, 1), serving=1
    )
    async with serving(tmp_path) as client:
        outcome = {"model": "actor", "key": "EURUSD", "returned": 0.25, "agrees": True}
        told = await client.call_tool("record_outcome", outcome)
        assert (told.is_error, told.json()) == (False, {"side": "CANDIDATE"})
        refused = await client.call_tool("record_outcome", {**outcome, "model": "other"})
        assert refused.is_error
        assert "NO_EXPERIMENT" in str(refused.json() or refused.text)
        counted = (await client.call_tool("model_statistics")).json()
    assert isinstance(counted, dict)
    (rollout,) = counted["rollouts"]
    returns = rollout["experiment"]["returns"]
    assert (returns["candidate_count"], returns["candidate_mean"]) == (1, 0.25)
    assert "Traceback" not in caplog.text
