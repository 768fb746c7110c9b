"""A folder of real ONNX files served, from a file's arrival to its retirement."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.unit.agents.inference.model_server.conftest import (
    Publish,
    Trouble,
    Troubled,
    answer_of,
    asking,
    number_of,
    settings_of,
    until,
)

from bellwire.agents.inference import (
    EngineFailedError,
    Fallback,
    FallbackReason,
    InvalidModelError,
    UnknownModelError,
)
from bellwire.agents.inference.batching import BatchSettings
from bellwire.agents.inference.constant import ConstantEndpoint
from bellwire.agents.inference.engines import load_engine
from bellwire.agents.inference.guard import GuardSettings
from bellwire.agents.inference.kserve.errors import ModelNotReadyError
from bellwire.agents.inference.kserve.front import Front
from bellwire.agents.inference.model_server import ModelServer
from bellwire.agents.inference.repository import RepositorySettings
from bellwire.agents.inference.rollout import (
    Author,
    RolloutFile,
    Stage,
    UndecidedModelError,
    is_candidates,
)
from bellwire.wire.errors import ClosedError

ADA = Author("ada", "gate passed")
CHAIN = "actor=actor-int8,actor,hold"
PATIENT = GuardSettings(timeout_seconds=20)  # A slow machine is no failure of the model.


def begin(root: Path, stage: Stage, share: float = 0.0, candidate: int = 2) -> RolloutFile:
    """Start a rollout from version 1."""
    file = RolloutFile(root, "actor")
    file.take(lambda rollout: rollout.start(candidate, stage, share, ADA, 1), serving=1)
    return file


def damage(file: Path) -> bytes:
    """Cut a file short, as a copy that broke off; return what it was."""
    content = file.read_bytes()
    file.write_bytes(content[:-9])
    return content


def move(folder: Path, name: str) -> None:
    """Give a folder another name."""
    folder.rename(folder.with_name(name))


def mend(file: Path, content: bytes) -> None:
    """Write what it should be."""
    file.write_bytes(content)


async def test_a_version_that_appears_is_loaded_and_serves(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    async with ModelServer(tmp_path, settings_of(refresh_seconds=0.05)) as server:
        first = await server.infer(asking(rows=3))
        assert (number_of(first), first.answered_by, first.batch_size) == (1.0, "actor:1", 3)
        publish(2)
        await until(lambda: [each.key for each in server.manifests()] == ["actor:2"])
        assert await answer_of(server) == 2.0
        assert [(each.key, each.state) for each in server.statistics().versions] == [
            ("actor:2", "READY")
        ]


async def test_steps_that_another_process_takes_are_followed(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2)
    begin(tmp_path, Stage.CANARY, 0.5)
    step = (
        "import sys, pathlib\n"
        "from bellwire.agents.inference.rollout import Author, RolloutFile\n"
        "file = RolloutFile(pathlib.Path(sys.argv[1]), 'actor')\n"
        "file.take(lambda rollout: getattr(rollout, sys.argv[2])(Author('bob', 'why'), 1))\n"
    )

    async def take(name: str) -> None:
        command = [sys.executable, "-c", step, str(tmp_path), name]
        await asyncio.to_thread(subprocess.run, command, check=True, timeout=30)

    async with ModelServer(tmp_path, settings_of()) as server:
        assert await answer_of(server) == 1.0
        await take("promote")
        await server.refresh()
        assert await answer_of(server) == 2.0
        await take("rollback")
        await server.refresh()
        assert await answer_of(server) == 1.0


async def test_a_candidate_answers_for_its_share_of_the_keys(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2)
    begin(tmp_path, Stage.CANARY, 0.3)
    keys = [f"SYM{number}" for number in range(30)]
    async with ModelServer(tmp_path, settings_of()) as server:
        answers = {key: await answer_of(server, key=key) for key in keys}
    assert answers == {key: 2.0 if is_candidates("actor", key, 0.3) else 1.0 for key in keys}
    assert set(answers.values()) == {1.0, 2.0}


async def test_a_shadow_is_compared_and_answers_nobody(tmp_path: Path, publish: Publish) -> None:
    publish(1)
    publish(-1)  # Another action: argmax of (-1, 0, 0).
    begin(tmp_path, Stage.SHADOW)
    async with ModelServer(tmp_path, settings_of()) as server:
        assert {await answer_of(server, key=f"SYM{number}") for number in range(5)} == {1.0}

        def report():
            (rollout,) = server.statistics().rollouts
            return rollout.shadow

        await until(lambda: report().requests == 5)
        assert (report().agreed, report().difference_max) == (0, 2.0)
        RolloutFile(tmp_path, "actor").take(lambda rollout: rollout.promote(ADA, 2))
        await server.refresh()
        assert report() is None
        assert await answer_of(server) == -1.0


async def test_a_shadow_goes_on_counting_while_its_versions_are_the_same(
    tmp_path: Path, publish: Publish
) -> None:
    for number in (1, 2, 3):
        publish(number)
    file = begin(tmp_path, Stage.SHADOW)
    async with ModelServer(tmp_path, settings_of()) as server:

        def seen() -> int:
            shadow = server.statistics().rollouts[0].shadow
            return shadow.requests if shadow is not None else -1

        await answer_of(server)
        await until(lambda: seen() == 1)
        await server.refresh()
        assert seen() == 1
        file.take(lambda rollout: rollout.rollback(ADA, 2))
        file.take(lambda rollout: rollout.start(3, Stage.SHADOW, 0.0, ADA, 3))
        await server.refresh()
        assert seen() == 0


async def test_a_corrupt_version_is_reported_and_the_old_one_serves(
    tmp_path: Path, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    publish(1)
    async with ModelServer(tmp_path, settings_of()) as server:
        publish(2)
        content = damage(tmp_path / "actor" / "2" / "model.onnx")
        await server.refresh()
        await server.refresh()
        assert await answer_of(server) == 1.0
        assert "sha256" in server.problems["actor:2"]
        assert caplog.text.count("actor:2: ") == 1
        mend(tmp_path / "actor" / "2" / "model.onnx", content)
        await server.refresh()
        assert (await answer_of(server), server.problems) == (2.0, {})


async def test_a_promoted_version_that_cannot_be_loaded_leaves_the_one_before_in_service(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2)
    file = begin(tmp_path, Stage.CANARY, 0.5)
    file.take(lambda rollout: rollout.promote(ADA, 2))
    damage(tmp_path / "actor" / "2" / "model.onnx")
    async with ModelServer(tmp_path, settings_of()) as server:
        assert await answer_of(server) == 1.0
        assert "1 still answers" in server.problems["rollout of actor"]
        assert "actor:2" in server.problems


async def test_a_rollout_whose_versions_are_gone_is_answered_by_nobody_else(
    tmp_path: Path, publish: Publish
) -> None:
    for number in (1, 2, 3):
        publish(number)
    begin(tmp_path, Stage.CANARY, 1.0)
    shutil.rmtree(tmp_path / "actor" / "1")
    async with ModelServer(tmp_path, settings_of()) as server:
        assert "none was before it" in server.problems["rollout of actor"]
        with pytest.raises(UnknownModelError, match="'actor:1' is unknown"):
            await answer_of(server)


async def test_a_folder_that_cannot_be_read_later_stops_nothing(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    async with ModelServer(tmp_path, settings_of()) as server:
        move(tmp_path, "elsewhere")
        await server.refresh()
        assert "a folder of models" in server.problems["folder"]
        assert await answer_of(server) == 1.0
        move(tmp_path.with_name("elsewhere"), tmp_path.name)
        await server.refresh()
        assert server.problems == {}


async def test_a_folder_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="nowhere"):
        async with ModelServer(tmp_path / "nowhere"):
            pass


async def test_a_damaged_rollout_is_reported_and_what_it_said_goes_on(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2)
    begin(tmp_path, Stage.CANARY, 0.01)
    async with ModelServer(tmp_path, settings_of()) as server:
        damage(tmp_path / "actor" / "rollout.json")
        await server.refresh()
        assert await answer_of(server) == 1.0
        assert "rollout.json" in server.problems["rollout of actor"]


async def test_a_rollout_damaged_at_the_start_brings_no_version_back_that_was_rolled_back(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2)
    begin(tmp_path, Stage.CANARY, 0.01)
    file = RolloutFile(tmp_path, "actor")
    file.take(lambda rollout: rollout.rollback(Author("ada", "it loses"), 2))
    path = tmp_path / "actor" / "rollout.json"
    content = path.read_bytes()
    damage(path)
    async with ModelServer(tmp_path, settings_of()) as server:
        with pytest.raises(UndecidedModelError, match=r"rollout\.json"):
            await server.infer(asking())
        with pytest.raises(UndecidedModelError):
            Front(server).manifest("actor", "")
        assert await answer_of(server, version=2) == 2.0
        path.write_bytes(content)
        await server.refresh()
        assert await answer_of(server) == 1.0
        assert Front(server).manifest("actor", "").version == 1
        assert server.problems == {}


async def test_a_candidate_that_hangs_costs_no_answer_of_a_chain(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    publish(1)
    publish(2)
    begin(tmp_path, Stage.CANARY, 1.0)
    guard = GuardSettings(timeout_seconds=0.2, failures_max=2)
    settings = settings_of(chains=("actor=actor,hold",), guard=guard)
    async with ModelServer(tmp_path, settings, load=trouble.load) as server:
        trouble.hanging.add("actor:2")
        results = [await server.infer(asking(key="EURUSD")) for _ in range(5)]
        trouble.may_go.set()
    assert {result.answered_by for result in results} == {"actor:1"}
    (chain,) = server.statistics().chains
    assert (chain.held, chain.steps[0].breaker) == (0, "closed")


@pytest.mark.parametrize(("model", "seconds"), [("actor", 0.1), ("other", 1.0)])
def test_a_candidate_has_half_of_the_time_of_whoever_waits_for_it(
    model: str, seconds: float
) -> None:
    settings = settings_of(
        chains=("actor=actor,hold",),
        guard=GuardSettings(timeout_seconds=0.2),
        batch=BatchSettings(run_on="thread", compute_seconds_max=2.0),
    )
    assert settings.candidate_guard(model).timeout_seconds == seconds


async def test_a_fault_of_a_look_does_not_end_the_looks(
    tmp_path: Path, publish: Publish, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    class Unclosable(Troubled):
        def close(self) -> None:
            super().close()
            if self.manifest.version == 1:
                raise ZeroDivisionError("a fault of ours")

    def load(folder, manifest, settings):
        return Unclosable(load_engine(folder, manifest, settings), trouble)

    publish(1)
    settings = settings_of(refresh_seconds=0.05)
    async with ModelServer(tmp_path, settings, load=load) as server:
        publish(2)
        await until(lambda: "a fault of ours" in caplog.text)
        assert await answer_of(server) == 2.0
        publish(3)
        await until(lambda: [each.version for each in server.manifests()] == [3])


async def test_int8_that_fails_is_answered_for_by_fp32(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    publish(1)
    publish(8, "actor-int8", quantization="int8-static", metadata={"gate": {"passed": True}})
    settings = settings_of(chains=(CHAIN,), guard=PATIENT)
    async with ModelServer(tmp_path, settings, load=trouble.load) as server:
        first = await server.infer(asking())
        assert (number_of(first), first.quantization, first.fallbacks) == (8.0, "int8-static", ())
        named = await server.infer(asking(version=1))
        assert (named.answered_by, named.fallbacks) == ("actor:1", ())
        trouble.failing.add("actor-int8:1")
        second = await server.infer(asking())
        assert (number_of(second), second.answered_by) == (1.0, "actor:1")
        assert second.fallbacks == (Fallback("actor-int8", FallbackReason.FAILED),)
        (chain,) = server.statistics().chains
        assert [(step.name, step.answers, step.gave_up) for step in chain.steps] == [
            ("actor-int8", 1, {"FAILED": 1}),
            ("actor", 1, {}),
        ]
        assert (chain.held, "told to fail" in chain.steps[0].last_error) == (0, True)
        assert server.statistics().versions[1].failures == 1
        with pytest.raises(EngineFailedError):  # Who names a version gets that or none.
            await server.infer(asking("actor-int8", version=1))


async def test_a_quantized_version_without_a_gate_is_not_loaded(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(8, "actor-int8", quantization="int8-static")
    async with ModelServer(tmp_path, settings_of(chains=(CHAIN,), guard=PATIENT)) as server:
        assert "gate" in server.problems["actor-int8:1"]
        result = await server.infer(asking())
        assert result.answered_by == "actor:1"
        assert result.fallbacks == (Fallback("actor-int8", FallbackReason.NOT_LOADED),)


async def test_without_hold_the_last_error_is_told(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    publish(1)
    settings = settings_of(chains=("actor=absent,actor",), guard=PATIENT)
    async with ModelServer(tmp_path, settings, load=trouble.load) as server:
        trouble.failing.add("actor:1")
        with pytest.raises(EngineFailedError, match="told to fail"):
            await server.infer(asking())


async def test_an_engine_that_hangs_is_answered_for_by_hold(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    publish(1)
    settings = settings_of(
        chains=("actor=actor,hold",), batch=BatchSettings(run_on="thread", compute_seconds_max=0.2)
    )
    async with ModelServer(tmp_path, settings, load=trouble.load) as server:
        trouble.hanging.add("actor:1")
        result = await server.infer(asking(rows=2))
        trouble.may_go.set()
    assert (result.answered_by, result.outputs["p"].tolist()) == ("hold", [[0, 1, 0]] * 2)
    assert result.fallbacks == (Fallback("actor", FallbackReason.TIMEOUT),)


async def test_hold_is_learnt_when_the_first_model_comes(tmp_path: Path, publish: Publish) -> None:
    settings = settings_of(chains=("actor=actor,hold",))
    async with ModelServer(tmp_path, settings) as server:
        assert server.problems == {"chain actor": "there is no model 'actor'; there are none"}
        publish(1)
        await server.refresh()
        assert server.problems == {}
        publish(1, actions=4)
        shutil.rmtree(tmp_path / "actor" / "1")
        await server.refresh()
        assert server.problems == {}
        shutil.rmtree(tmp_path / "actor" / "2")
        await server.refresh()
        assert server.problems == {"chain actor": "none of its models is loaded"}
        result = await server.infer(asking())
        assert (result.answered_by, result.outputs["p"].tolist()) == ("hold", [[0, 1, 0, 0]])
        assert result.fallbacks == (Fallback("actor", FallbackReason.NOT_LOADED),)


async def test_a_chain_is_a_model_to_kserve_once_a_step_is_loaded(
    tmp_path: Path, publish: Publish
) -> None:
    (tmp_path / "actor").mkdir()
    settings = settings_of(chains=("safe=actor-int8,actor,hold",))
    async with ModelServer(tmp_path, settings) as server:
        front = Front(server)
        with pytest.raises(ModelNotReadyError):
            front.check_ready("safe", "")
        assert not front.is_ready()
        manifest = publish(1)
        await server.refresh()
        front.check_ready("safe", "")
        found = front.describe("safe", "")
        assert (found.platform, found.inputs) == ("bellwire_chain", manifest.inputs)
        shutil.rmtree(tmp_path / "actor")
        await server.refresh()
        assert server.manifests() == ()
        front.check_ready("safe", "")  # HOLD answers.
        assert front.is_ready()
        assert front.describe("safe", "") == found


async def test_a_step_that_is_no_model_is_reported_with_those_there_are(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2, name="other")
    rules = ConstantEndpoint("rules", {"p": np.ones(3, "<f4")})
    settings = settings_of(chains=("safe=actr,actor,rules,hold",))
    async with ModelServer(tmp_path, settings, stand_ins={"rules": rules}) as server:
        text = "there is no model 'actr'; there are actor, other"
        assert server.problems == {"chain safe": text}


async def test_a_chain_whose_only_model_is_undecided_is_not_ready(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    (tmp_path / "actor" / "rollout.json").write_text("{")
    async with ModelServer(tmp_path, settings_of(chains=("safe=actor",))) as server:
        with pytest.raises(ModelNotReadyError):
            Front(server).check_ready("safe", "")
        assert Front(server).describe("safe", "").platform == "bellwire_chain"


async def test_who_asks_for_an_unknown_model_is_told_of_the_chains_too(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    async with ModelServer(tmp_path, settings_of(chains=("safe=actor",))) as server:
        with pytest.raises(UnknownModelError, match="there are actor:1, safe"):
            await answer_of(server, "ghost")


async def test_a_stand_in_is_a_step_as_others(tmp_path: Path, publish: Publish) -> None:
    publish(1)
    rules = ConstantEndpoint("rules", {"p": np.array([7, 0, 0], "<f4")})
    settings = settings_of(chains=("safe=absent,rules,hold",))
    async with ModelServer(tmp_path, settings, stand_ins={"rules": rules}) as server:
        result = await server.infer(asking("safe"))
        assert (number_of(result), result.answered_by) == (7.0, "rules")
        assert await answer_of(server) == 1.0


async def test_models_of_one_chain_that_differ_are_reported(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(8, "actor-int8", actions=4)
    async with ModelServer(tmp_path, settings_of(chains=(CHAIN,))) as server:
        assert "other inputs or outputs" in server.problems["chain actor"]


async def test_a_version_that_retires_answers_all_it_was_asked(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    publish(1)
    settings = settings_of(batch=BatchSettings(run_on="thread", compute_seconds_max=20))
    async with ModelServer(tmp_path, settings, load=trouble.load) as server:
        trouble.asked.clear()
        trouble.hanging.add("actor:1")
        old = [asyncio.create_task(server.infer(asking())) for _ in range(20)]
        await until(lambda: "actor:1" in trouble.asked)
        publish(2)
        refreshing = asyncio.create_task(server.refresh())
        await until(lambda: server.manifests()[0].key == "actor:2")
        assert await answer_of(server) == 2.0  # While the old one still computes.
        assert trouble.closed == []
        states = {each.key: each.state for each in server.statistics().versions}
        assert states == {"actor:2": "READY", "actor:1": "RETIRING"}
        trouble.may_go.set()
        assert {number_of(result) for result in await asyncio.gather(*old)} == {1.0}
        await refreshing
        assert trouble.closed == ["actor:1"]
    assert trouble.closed == ["actor:1", "actor:2"]


async def test_who_asks_while_a_version_retires_is_answered_by_the_next(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    for number in (1, 2, 3):
        publish(number)
    file = begin(tmp_path, Stage.CANARY, 0.5)
    settings = settings_of(batch=BatchSettings(run_on="thread", compute_seconds_max=20))
    async with ModelServer(tmp_path, settings, load=trouble.load) as server:
        trouble.asked.clear()
        trouble.hanging.add("actor:1")
        old = asyncio.create_task(server.infer(asking()))
        await until(lambda: "actor:1" in trouble.asked)
        file.take(lambda rollout: rollout.promote(ADA, 2))
        file.take(lambda rollout: rollout.start(3, Stage.CANARY, 0.5, ADA, 3))
        file.take(lambda rollout: rollout.promote(ADA, 4))
        refreshing = asyncio.create_task(server.refresh())
        await until(lambda: [each.version for each in server.manifests()] == [2, 3])
        assert await answer_of(server) == 3.0
        assert not old.done()
        trouble.may_go.set()
        assert number_of(await old) == 1.0
        await refreshing


async def test_a_version_in_service_that_is_deleted_leaves_the_one_before_at_once(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2)
    file = begin(tmp_path, Stage.CANARY, 0.5)
    file.take(lambda rollout: rollout.promote(ADA, 2))
    async with ModelServer(tmp_path, settings_of()) as server:
        assert await answer_of(server) == 2.0
        shutil.rmtree(tmp_path / "actor" / "2")
        await server.refresh()
        assert await answer_of(server) == 1.0


async def test_of_several_versions_the_newest_serves_and_keeps_its_counters(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2)
    settings = settings_of(repository=RepositorySettings(versions="all"))
    async with ModelServer(tmp_path, settings) as server:
        assert await answer_of(server) == 2.0
        await server.refresh()
        assert (await answer_of(server), await answer_of(server, version=1)) == (2.0, 1.0)
        assert [each.requests for each in server.statistics().versions] == [1, 2]


async def test_a_result_is_remembered_until_another_version_serves(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    settings = settings_of(chains=("safe=actor,hold",), guard=PATIENT)
    async with ModelServer(tmp_path, settings) as server:
        for model in ("actor", "safe"):
            first = await server.infer(asking(model, cache_key="EURUSD/1"))
            again = await server.infer(asking(model, cache_key="EURUSD/1"))
            assert (first.is_cached, again.is_cached) == (False, True)
        publish(2)
        await server.refresh()
        for model in ("actor", "safe"):
            assert await answer_of(server, model, cache_key="EURUSD/1") == 2.0
        await server.refresh()
        third = await server.infer(asking(cache_key="EURUSD/1"))
        assert (third.is_cached, number_of(third)) == (True, 2.0)
        cache = server.statistics().cache
        assert (cache.hits, cache.outdated, cache.entries) == (3, 2, 2)


async def test_a_result_is_forgotten_when_the_candidates_share_changes(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2)
    file = begin(tmp_path, Stage.CANARY, 0.000_001)
    asked = {"key": "EURUSD", "cache_key": "EURUSD/1"}
    async with ModelServer(tmp_path, settings_of()) as server:
        assert await answer_of(server, **asked) == 1.0
        file.take(lambda rollout: rollout.move(Stage.AB, 1.0, ADA, 2))
        await server.refresh()
        assert await answer_of(server, **asked) == 2.0


async def test_closed_it_answers_nobody_and_keeps_nothing(
    tmp_path: Path, publish: Publish, trouble: Trouble
) -> None:
    publish(1)
    publish(2)
    publish(1, "other")
    begin(tmp_path, Stage.SHADOW)
    server = ModelServer(tmp_path, settings_of(), load=trouble.load)
    async with server:
        assert len(asyncio.all_tasks()) == 3  # The test, the shadow, the follower.
    await server.close()
    assert len(asyncio.all_tasks()) == 1
    assert sorted(trouble.closed) == ["actor:1", "actor:2", "other:1"]
    assert server.manifests() == ()
    with pytest.raises(ClosedError):
        await server.infer(asking(cache_key="EURUSD/1"))
    with pytest.raises(UnknownModelError):
        await server.infer(asking())
