"""bellwire.agents.tactical.model_source: who is asked after whom, as signals tell it."""

import asyncio
import shutil

import pytest

from bellwire.agents.inference import EngineFailedError, InvalidModelError
from bellwire.agents.inference.guard import GuardSettings
from bellwire.agents.inference.rollout import Author, RolloutFile, Stage, is_candidates
from bellwire.agents.tactical.model_endpoint import BUNDLED_MODEL, BUNDLED_MODELS
from bellwire.agents.tactical.model_source import open_version
from bellwire.agents.tactical.tactical_agent import TacticalAgent
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.settings import SettingsError

ADA = Author("ada", "gate passed")


class Failing:
    async def infer(self, request):
        raise EngineFailedError("tactical", "out of memory")

    def manifests(self):
        return ()


class Hanging(Failing):
    async def infer(self, request):
        await asyncio.Event().wait()


@pytest.fixture
def models(tmp_path):
    return shutil.copytree(BUNDLED_MODELS, tmp_path / "models")


async def started(**settings):
    harness = AgentHarness(TacticalAgent(settings))
    await harness.start()
    return harness


async def played(harness, bars):
    signals = []
    for bar in bars:
        signals += [item.payload for item in await harness.feed("bars.1h", bar_message(bar))]
    assert all(isinstance(signal, Signal) for signal in signals)
    return signals


def bar_message(bar):
    from bellwire.wire.message import new_message

    return new_message(data=bar.SerializeToString(), type=Bar.DESCRIPTOR.full_name, key=bar.symbol)


def steps_of(harness):
    return harness.agent._source.endpoint.steps


def deciders(signals):
    return {(each.model.name, each.model.version, each.model.quantization) for each in signals}


async def test_the_bundled_int8_version_decides_and_the_one_it_was_made_from_stands_behind(
    real_bars,
):
    harness = await started()
    assert [step.name for step in steps_of(harness)] == ["tactical:2", "tactical:1"]
    assert deciders(await played(harness, real_bars)) == {("tactical", "2", "int8-static")}
    await harness.stop()


async def test_each_step_that_is_passed_by_stands_in_the_rationale(real_bars):
    harness = await started()
    int8, fp32 = steps_of(harness)
    int8.endpoint = Failing()
    await played(harness, real_bars[:80])
    told = await harness.call("explain_last_signal", {"symbol": "EURUSD"})
    assert told["rationale"].endswith("; after tactical:2 FAILED")
    signals = await played(harness, real_bars[80:100])
    assert deciders(signals) == {("tactical", "1", "none")}
    assert signals[-1].rationale.endswith("; after tactical:2 BREAKER_OPEN")
    fp32.endpoint = None
    signals = await played(harness, real_bars[100:])
    assert deciders(signals) == {("rules-fvg", "0.1.0", "none")}
    both = "; after tactical:2 BREAKER_OPEN; after tactical:1 NOT_LOADED"
    assert all(signal.rationale.endswith(both) for signal in signals)
    assert all(signal.rationale.startswith("rules ") for signal in signals)


async def test_where_the_rules_are_switched_off_hold_names_each_step_too(real_bars):
    harness = await started(fallback="hold")
    for step in steps_of(harness):
        step.endpoint = None
    assert await played(harness, real_bars[:90]) == []
    told = await harness.call("explain_last_signal", {"symbol": "EURUSD"})
    assert told["rationale"] == "HOLD; after tactical:2 NOT_LOADED; after tactical:1 NOT_LOADED"


async def test_a_model_that_hangs_is_given_up_in_time_and_soon_not_asked(real_bars):
    harness = await started(guard={"timeout_seconds": 0.01, "fair_seconds": 0.001})
    int8, _ = steps_of(harness)
    int8.endpoint = Hanging()
    async with asyncio.timeout(10):
        signals = await played(harness, real_bars[:100])
    assert deciders(signals) == {("tactical", "1", "none")}
    gave_up = {reason.value: count for reason, count in int8.gave_up.items() if count}
    assert gave_up == {"TIMEOUT": 3, "BREAKER_OPEN": 18}


async def test_a_version_that_is_damaged_leaves_its_parent(models, caplog):
    folder = models / "tactical" / "2"
    (folder / "model.onnx").write_bytes(b"no graph")
    chain = open_version(folder)
    assert [(step.name, step.endpoint is None) for step in chain.steps] == [
        ("tactical:2", True),
        ("tactical:1", False),
    ]
    assert "model tactical:2 is passed by" in caplog.text


async def test_a_parent_is_asked_only_where_it_is_still_that_one(models, tmp_path):
    alone = shutil.copytree(BUNDLED_MODEL, tmp_path / "alone" / "tactical" / "2")
    assert [step.name for step in open_version(alone).steps] == ["tactical:2"]
    other = models / "tactical" / "1" / "model.json"
    other.write_text(other.read_text().replace('"sha256": "', '"sha256": "0')[:-1])
    assert [step.name for step in open_version(models / "tactical" / "2").steps] == ["tactical:2"]


def test_where_no_step_is_loaded_the_error_is_that_of_the_version_named(tmp_path):
    with pytest.raises(InvalidModelError, match="No such file"):
        open_version(tmp_path / "tactical" / "2", GuardSettings())


async def test_rollouts_of_a_folder_are_followed_while_the_agent_runs(models, real_bars):
    file = RolloutFile(models, "tactical")
    file.take(lambda rollout: rollout.pin(ADA, 1), serving=1)
    harness = await started(models=str(models))
    server = harness.agent._source.endpoint
    assert deciders(await played(harness, real_bars[:110])) == {("tactical", "1", "none")}
    file.take(lambda rollout: rollout.start(2, Stage.SHADOW, 0.0, ADA, 2))
    await server.refresh()
    assert deciders(await played(harness, real_bars[110:140])) == {("tactical", "1", "none")}
    (rollout,) = server.statistics().rollouts
    assert rollout.shadow is not None
    file.take(lambda rollout: rollout.promote(ADA, 3))
    await server.refresh()
    assert deciders(await played(harness, real_bars[140:])) == {("tactical", "2", "int8-static")}
    file.take(lambda rollout: rollout.rollback(ADA, 4))
    await server.refresh()
    again = [moved(bar) for bar in real_bars[:110]]
    assert deciders(await played(harness, again)) == {("tactical", "1", "none")}
    await harness.stop()


def moved(bar, symbol="GBPUSD"):
    other = Bar()
    other.CopyFrom(bar)
    other.symbol = symbol
    return other


async def test_a_canary_decides_for_its_share_of_the_symbols(models, real_bars):
    symbols = [f"SYM{number}" for number in range(6)]
    chosen = {each for each in symbols if is_candidates("tactical", each, 0.5)}
    assert 0 < len(chosen) < len(symbols)
    file = RolloutFile(models, "tactical")
    file.take(lambda rollout: rollout.start(2, Stage.CANARY, 0.5, ADA, 1), serving=1)
    harness = await started(models=str(models))
    for symbol in symbols:
        signals = await played(harness, [moved(bar, symbol) for bar in real_bars[:110]])
        version = "2" if symbol in chosen else "1"
        assert {each.model.version for each in signals} == {version}
    await harness.stop()


async def test_in_a_folder_too_the_parent_and_the_rules_stand_behind(models, real_bars):
    harness = await started(models=str(models))
    server = harness.agent._source.endpoint
    (chain,) = server._chains.chains.values()
    assert [step.name for step in chain.steps] == ["tactical", "tactical:parent"]
    chain.steps[0].endpoint = Failing()
    signals = await played(harness, real_bars[:100])
    assert deciders(signals) == {("tactical", "1", "none")}
    assert signals[0].rationale.endswith("; after tactical BREAKER_OPEN")
    chain.steps[1].endpoint = Failing()
    signals = await played(harness, real_bars[100:])
    assert deciders(signals) == {("rules-fvg", "0.1.0", "none")}
    assert "; after tactical BREAKER_OPEN; after tactical:parent " in signals[0].rationale
    await harness.stop()


async def test_a_folder_can_be_computed_on_a_thread(models, real_bars):
    patient = {"timeout_seconds": 20.0}  # A slow machine is no failure of the model.
    harness = await started(
        models=str(models), infer_on="thread", guard=patient, infer_seconds_max=60.0
    )
    signals = await played(harness, real_bars[:110])
    assert deciders(signals) == {("tactical", "2", "int8-static")}
    assert not any("after" in signal.rationale for signal in signals)
    await harness.stop()


async def test_a_folder_that_is_not_there_leaves_the_rules(tmp_path, real_bars, caplog):
    harness = await started(models=str(tmp_path / "nowhere"))
    signals = await played(harness, real_bars)
    assert deciders(signals) == {("rules-fvg", "0.1.0", "none")}
    assert "there is no tactical model to ask" in caplog.text


def test_a_version_and_a_folder_of_models_cannot_both_be_meant(tmp_path):
    with pytest.raises(SettingsError, match="model_dir names a version"):
        TacticalAgent({"models": str(tmp_path), "model_dir": str(tmp_path)})
