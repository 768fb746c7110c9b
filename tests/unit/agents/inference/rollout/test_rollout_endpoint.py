"""The door of a rollout: which version answers whom."""

import asyncio
from dataclasses import replace
from time import monotonic

import pytest
from tests.unit.agents.inference.rollout.conftest import (
    ScriptedEndpoint,
    probabilities,
    request_for,
)

from bellwire.agents.inference import (
    EngineFailedError,
    EngineMissingError,
    EngineTimeoutError,
    Fallback,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
    InvalidModelError,
    InvalidTensorError,
    UnknownModelError,
)
from bellwire.agents.inference.guard import GuardSettings
from bellwire.agents.inference.rollout import (
    Author,
    Rollout,
    RolloutEndpoint,
    Shadow,
    Stage,
    UndecidedModelError,
    is_candidates,
)
from bellwire.wire.errors import (
    CapacityError,
    ClosedError,
    DeadlineExceededError,
    NoCapableAgentError,
)

SERVING = Rollout("actor", 1)
KEYS = [f"SYM{number}" for number in range(40)]
NEW = next(key for key in KEYS if is_candidates("actor", key, 0.5))
OLD = next(key for key in KEYS if not is_candidates("actor", key, 0.5))


def started(stage: Stage, share: float) -> Rollout:
    return SERVING.start(2, stage, share, Author("ada", ""), 1)


@pytest.fixture
async def door(endpoint: ScriptedEndpoint) -> RolloutEndpoint:
    endpoint.answers = {0: probabilities(0), 1: probabilities(1), 2: probabilities(2)}
    return RolloutEndpoint(endpoint)


@pytest.mark.parametrize("stage", [Stage.CANARY, Stage.AB])
async def test_candidate_answers_for_its_keys_and_for_no_others(
    door: RolloutEndpoint, stage: Stage
) -> None:
    door.use({"actor": started(stage, 0.5)}, {})
    for key in KEYS:
        result = await door.infer(request_for(key))
        is_new = is_candidates("actor", key, 0.5)
        assert result.answered_by == ("actor:2" if is_new else "actor:1")


async def test_request_without_a_key_or_with_a_version_is_not_split(
    door: RolloutEndpoint,
) -> None:
    door.use({"actor": started(Stage.AB, 1.0)}, {})
    assert (await door.infer(request_for(""))).answered_by == "actor:1"
    assert (await door.infer(request_for(NEW, version=1))).answered_by == "actor:1"
    assert (await door.infer(request_for(NEW))).answered_by == "actor:2"


async def test_model_without_a_rollout_is_passed_on(door: RolloutEndpoint) -> None:
    assert (await door.infer(request_for(NEW))).answered_by == "actor:0"


async def test_rollback_takes_the_next_request_back(door: RolloutEndpoint) -> None:
    rollout = started(Stage.CANARY, 0.5)
    door.use({"actor": rollout}, {})
    assert (await door.infer(request_for(NEW))).answered_by == "actor:2"
    door.use({"actor": rollout.rollback(Author("ada", ""), 2)}, {})
    assert (await door.infer(request_for(NEW))).answered_by == "actor:1"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EngineFailedError("actor:2", "no luck"), FallbackReason.FAILED),
        (EngineTimeoutError("actor:2", 1.0), FallbackReason.TIMEOUT),
        (UnknownModelError("actor", "2", ()), FallbackReason.NOT_LOADED),
        (CapacityError("full"), FallbackReason.OVERLOADED),
        (ClosedError("it is being unloaded"), FallbackReason.NOT_LOADED),
        (EngineMissingError("onnx", "a GPU", "use a CPU"), FallbackReason.NOT_LOADED),
        (InvalidModelError("4/model.onnx", "damaged", "a model"), FallbackReason.NOT_LOADED),
        (NoCapableAgentError("nobody"), FallbackReason.FAILED),
        (InvalidTensorError("x", "5 rows", "1 … 4"), FallbackReason.FAILED),
        (DeadlineExceededError("in its queue"), FallbackReason.TIMEOUT),
        (ZeroDivisionError("a fault of ours"), FallbackReason.FAILED),
    ],
)
async def test_candidate_that_fails_costs_nobody_an_answer(
    door: RolloutEndpoint, endpoint: ScriptedEndpoint, error: Exception, reason: FallbackReason
) -> None:
    endpoint.answers[2] = error
    door.use({"actor": started(Stage.CANARY, 0.5)}, {})
    result = await door.infer(request_for(NEW))
    assert result.answered_by == "actor:1"
    assert result.fallbacks == (Fallback("actor:2", reason),)


async def test_deadline_that_passed_is_not_spent_on_another_version(
    endpoint: ScriptedEndpoint,
) -> None:
    endpoint.answers[2] = DeadlineExceededError()
    times = iter([1.0, 1.0, 1.0, 9.0])
    door = RolloutEndpoint(endpoint, clock=lambda: next(times, 9.0))
    door.use({"actor": started(Stage.CANARY, 0.5)}, {})
    with pytest.raises(DeadlineExceededError, match="nothing else was asked"):
        await door.infer(request_for(NEW, deadline_seconds=5.0))
    assert [each.version for each in endpoint.asked] == [2]


async def test_candidate_that_hangs_is_given_up_and_then_left_alone(
    endpoint: ScriptedEndpoint,
) -> None:
    class Hanging(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            if request.version == 2:
                self.asked.append(request)
                await asyncio.Event().wait()
            return await super().infer(request)

    hanging = Hanging()
    hanging.answers = {1: probabilities(1)}
    settings = GuardSettings(timeout_seconds=0.005, failures_max=3)
    door = RolloutEndpoint(hanging, guard_of=lambda _: settings)
    reasons = []
    async with asyncio.timeout(5):
        for _ in range(5):
            door.use({"actor": started(Stage.CANARY, 0.5)}, {})  # As each look at the folder does.
            result = await door.infer(request_for(NEW))
            assert result.answered_by == "actor:1"
            reasons.append(result.fallbacks[0].reason.value)
    assert reasons == ["TIMEOUT"] * 3 + ["BREAKER_OPEN"] * 2
    assert [each.version for each in hanging.asked].count(2) == 3


async def test_candidate_has_half_of_the_callers_time(endpoint: ScriptedEndpoint) -> None:
    class Waiting(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            if request.version == 2:
                await asyncio.Event().wait()
            return await super().infer(request)

    waiting = Waiting()
    waiting.answers = {1: probabilities(1)}
    door = RolloutEndpoint(waiting, guard_of=lambda _: GuardSettings(timeout_seconds=60.0))
    door.use({"actor": started(Stage.CANARY, 0.5)}, {})
    async with asyncio.timeout(5):
        result = await door.infer(request_for(NEW, deadline_seconds=monotonic() + 0.2))
    assert result.fallbacks == (Fallback("actor:2", FallbackReason.TIMEOUT),)


async def test_new_candidate_begins_with_a_closed_breaker(
    door: RolloutEndpoint, endpoint: ScriptedEndpoint
) -> None:
    endpoint.answers |= {2: EngineFailedError("actor:2", "no luck"), 3: probabilities(0)}
    door.use({"actor": started(Stage.CANARY, 0.5)}, {})
    for _ in range(4):
        await door.infer(request_for(NEW))
    door.use({"actor": SERVING.start(3, Stage.CANARY, 0.5, Author("ada", ""), 1)}, {})
    assert (await door.infer(request_for(NEW))).answered_by == "actor:3"


async def test_what_is_the_callers_fault_is_told_by_the_version_in_service(
    door: RolloutEndpoint, endpoint: ScriptedEndpoint
) -> None:
    endpoint.answers |= {
        2: InvalidTensorError("x", "of 5", "of 4"), 1: InvalidTensorError("x", "of 5", "of 3"),
    }  # fmt: skip
    door.use({"actor": started(Stage.CANARY, 0.5)}, {})
    with pytest.raises(InvalidTensorError, match="of 3"):
        await door.infer(request_for(NEW))


async def test_model_whose_rollout_cannot_be_read_answers_for_named_versions_only(
    door: RolloutEndpoint,
) -> None:
    wrong = InvalidModelError("actor/rollout.json", "damaged", "a rollout")
    door.use({}, {}, {"actor": wrong})
    with pytest.raises(UndecidedModelError, match=r"rollout.json.*damaged.*name a version of"):
        await door.infer(request_for(OLD))
    assert (await door.infer(request_for(OLD, version=1))).answered_by == "actor:1"
    assert (await door.infer(request_for(OLD, model="other"))).answered_by == "other:0"


async def test_version_in_service_that_fails_is_told(
    door: RolloutEndpoint, endpoint: ScriptedEndpoint
) -> None:
    endpoint.answers[1] = EngineFailedError("actor:1", "no luck")
    door.use({"actor": started(Stage.CANARY, 0.5)}, {})
    with pytest.raises(EngineFailedError, match="actor:1"):
        await door.infer(request_for(OLD))


async def test_shadow_sees_the_request_after_the_answer_was_given(
    door: RolloutEndpoint, endpoint: ScriptedEndpoint
) -> None:
    async with Shadow(endpoint, 2) as shadow:
        door.use({"actor": started(Stage.SHADOW, 0.0)}, {"actor": shadow})
        result = await door.infer(request_for(NEW))
        assert result.answered_by == "actor:1"
        assert [each.version for each in endpoint.asked] == [1]
        async with asyncio.timeout(5):
            await shadow.drain()
        assert [each.version for each in endpoint.asked] == [1, 2]
    assert (shadow.report().decisions, shadow.report().agreed) == (1, 0)


@pytest.mark.parametrize(
    "rollout", [SERVING, started(Stage.CANARY, 0.5)], ids=["nothing to look at", "canary"]
)
async def test_shadow_of_another_stage_sees_nothing(
    door: RolloutEndpoint, endpoint: ScriptedEndpoint, rollout: Rollout
) -> None:
    async with Shadow(endpoint, 2) as shadow:
        door.use({"actor": rollout}, {"actor": shadow})
        await door.infer(request_for(OLD))
        await shadow.drain()
    assert [each.version for each in endpoint.asked] == [1]


async def test_shadow_does_not_see_what_the_version_in_service_did_not_answer() -> None:
    class StoodIn(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            return replace(await super().infer(request), answered_by="hold")

    endpoint = StoodIn()
    endpoint.answers = {1: probabilities(1)}
    door = RolloutEndpoint(endpoint)
    async with Shadow(endpoint, 2) as shadow:
        door.use({"actor": started(Stage.SHADOW, 0.0)}, {"actor": shadow})
        await door.infer(request_for(OLD))
        await shadow.drain()
    assert [each.version for each in endpoint.asked] == [1]


async def test_shadow_of_another_version_sees_nothing(
    door: RolloutEndpoint, endpoint: ScriptedEndpoint
) -> None:
    async with Shadow(endpoint, 9) as shadow:
        door.use({"actor": started(Stage.SHADOW, 0.0)}, {"actor": shadow})
        await door.infer(request_for(OLD))
        await shadow.drain()
    assert [each.version for each in endpoint.asked] == [1]
    assert door.manifests() == ()
