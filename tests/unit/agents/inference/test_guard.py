"""How one endpoint is asked, and what counts against it."""

import asyncio
import time

import pytest
from tests.unit.agents.inference.scripted import ScriptedEndpoint, ScriptedEngine, ask, said

from bellwire.agents.inference import (
    EngineFailedError,
    EngineMissingError,
    EngineTimeoutError,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
    InvalidModelError,
    InvalidTensorError,
    UnknownModelError,
)
from bellwire.agents.inference.batching import Batcher
from bellwire.agents.inference.errors import GateFailedError
from bellwire.agents.inference.guard import GaveUp, Guard, GuardSettings, models_of
from bellwire.agents.inference.result_cache import ResultCache
from bellwire.policy.breaker import BreakerState
from bellwire.wire.errors import (
    AgentBusyError,
    AgentLostError,
    CapacityError,
    ClosedError,
    DeadlineExceededError,
    NotImplementedYetError,
    UnknownToolError,
)
from bellwire.wire.settings import SettingsError

REASONS = [
    (EngineFailedError("toy", "broken"), FallbackReason.FAILED),
    (AgentLostError(), FallbackReason.FAILED),
    (RuntimeError("a bug"), FallbackReason.FAILED),
    (EngineTimeoutError("toy", 1), FallbackReason.TIMEOUT),
    (DeadlineExceededError(), FallbackReason.TIMEOUT),
    (TimeoutError(), FallbackReason.TIMEOUT),
    (CapacityError(), FallbackReason.OVERLOADED),
    (AgentBusyError(), FallbackReason.OVERLOADED),
    (InvalidModelError("file", "torn", "whole"), FallbackReason.NOT_LOADED),
    (EngineMissingError("torch", "torch", "install it"), FallbackReason.NOT_LOADED),
    (ClosedError(), FallbackReason.NOT_LOADED),
    (GateFailedError("toy:1", ("worse",)), FallbackReason.NOT_LOADED),
    (UnknownToolError(), FallbackReason.FAILED),
    (NotImplementedYetError(), FallbackReason.FAILED),
]

TIGHT = GuardSettings(timeout_seconds=0.01, failures_max=1)


def guard(endpoint: ScriptedEndpoint | None, **settings: float) -> Guard:
    return Guard("toy:1", endpoint, GuardSettings(**settings))  # type: ignore[arg-type]


async def gave_up(asked: Guard, seconds: float = 10) -> GaveUp:
    found = await asked.ask(ask(1), seconds)
    assert isinstance(found, GaveUp)
    return found


async def test_an_answer_is_returned_as_it_is() -> None:
    asked = guard(ScriptedEndpoint(7))
    found = await asked.ask(ask(1), 10)
    assert isinstance(found, InferenceResult)
    assert (said(found), asked.answers, asked.outstanding) == ([7], 1, 0)


@pytest.mark.parametrize(("error", "reason"), REASONS, ids=lambda each: type(each).__name__)
async def test_every_failure_has_its_word(error: Exception, reason: FallbackReason) -> None:
    asked = guard(ScriptedEndpoint(error=error))
    found = await gave_up(asked)
    assert (found.reason, asked.gave_up[reason], asked.outstanding) == (reason, 1, 0)
    assert found.error is not None
    assert asked.last_error == found.error.message


async def test_what_is_the_callers_fault_is_raised_and_not_held_against_the_endpoint() -> None:
    asked = guard(ScriptedEndpoint(error=InvalidTensorError("x", "odd", "even")), failures_max=1)
    for _ in range(3):
        with pytest.raises(InvalidTensorError):
            await asked.ask(ask(1), 10)
    assert asked.breaker.state is BreakerState.CLOSED


async def test_a_model_that_the_caller_named_is_his_fault_and_one_that_the_step_named_is_not() -> (
    None
):
    unknown = ScriptedEndpoint(error=UnknownModelError("toy", "", ()))
    with pytest.raises(UnknownModelError):
        await guard(unknown).ask(ask(1), 10)
    own = Guard("toy:9", unknown, model="toy-int8", version=9)
    found = await own.ask(ask(1), 10)
    assert isinstance(found, GaveUp)
    assert found.reason is FallbackReason.NOT_LOADED
    assert [(each.model, each.version) for each in unknown.asked] == [("toy", 0), ("toy-int8", 9)]


async def test_a_hung_endpoint_is_left_after_its_timeout() -> None:
    endpoint = ScriptedEndpoint(hangs=True)
    found = await gave_up(guard(endpoint, timeout_seconds=0.01))
    assert found.reason is FallbackReason.TIMEOUT
    assert isinstance(found.error, EngineTimeoutError)
    assert endpoint.cancelled == 1


async def test_failures_in_a_row_open_the_breaker_and_then_nobody_is_asked() -> None:
    endpoint = ScriptedEndpoint(error=EngineFailedError("toy", "broken"))
    asked = guard(endpoint, failures_max=2)
    reasons = [(await gave_up(asked)).reason for _ in range(4)]
    assert reasons == ["FAILED", "FAILED", "BREAKER_OPEN", "BREAKER_OPEN"]
    assert len(endpoint.asked) == 2


async def test_a_full_queue_does_not_open_the_breaker() -> None:
    asked = guard(ScriptedEndpoint(error=CapacityError()), failures_max=1)
    reasons = [(await gave_up(asked)).reason for _ in range(3)]
    assert reasons == ["OVERLOADED"] * 3


async def test_a_timeout_counts_only_against_one_who_had_a_fair_time() -> None:
    hurried = guard(ScriptedEndpoint(hangs=True), failures_max=1, fair_seconds=0.005)
    await gave_up(hurried, 0.001)
    assert hurried.breaker.state is BreakerState.CLOSED
    await gave_up(hurried, 0.006)
    assert hurried.breaker.state is BreakerState.OPEN


async def test_a_probe_that_succeeds_closes_the_breaker() -> None:
    endpoint = ScriptedEndpoint(7, error=EngineFailedError("toy", "broken"))
    now = 0.0
    asked = Guard("toy:1", endpoint, GuardSettings(failures_max=1), clock=lambda: now)
    await gave_up(asked)
    assert (await gave_up(asked)).reason is FallbackReason.BREAKER_OPEN
    endpoint.error, now = None, 100.0
    assert isinstance(await asked.ask(ask(1), 10), InferenceResult)
    assert asked.breaker.state is BreakerState.CLOSED


async def test_a_caller_who_leaves_is_no_failure() -> None:
    endpoint = ScriptedEndpoint(hangs=True)
    asked = guard(endpoint, failures_max=1)
    task = asyncio.create_task(asked.ask(ask(1), 10))
    await endpoint.entered.wait()
    assert asked.outstanding == 1
    task.cancel()
    await asyncio.wait([task])
    assert (asked.outstanding, asked.breaker.state) == (0, BreakerState.CLOSED)


async def test_an_endpoint_that_is_cancelled_by_others_has_failed() -> None:
    class ClosedUnderTheCall(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            raise asyncio.CancelledError

    asked = guard(ClosedUnderTheCall(), failures_max=1)
    found = await gave_up(asked)
    assert found.reason is FallbackReason.FAILED
    assert "cancelled by somebody else" in asked.last_error
    assert (asked.outstanding, asked.breaker.state) == (0, BreakerState.OPEN)


@pytest.mark.parametrize("has_cache", [False, True])
async def test_what_was_computed_on_the_loop_is_heard_however_long_it_took(has_cache: bool) -> None:
    engine = ScriptedEngine()
    engine.before = lambda: time.sleep(0.02)  # It computes, and holds the loop.
    batcher = Batcher(engine)
    asked = Guard("toy:1", ResultCache(batcher) if has_cache else batcher, TIGHT)
    found = await asked.ask(ask(1, cache_key="bar"), 10)
    assert isinstance(found, InferenceResult)
    assert (said(found), asked.breaker.state) == ([2], BreakerState.CLOSED)


async def test_what_could_not_be_loaded_gives_up_at_once() -> None:
    found = await gave_up(guard(None))
    assert (found.reason, found.error) == (FallbackReason.NOT_LOADED, None)


def test_models_are_told_once_each() -> None:
    guards = [guard(ScriptedEndpoint()), guard(ScriptedEndpoint()), guard(None)]
    assert [each.key for each in models_of(guards)] == ["toy:1"]


def test_the_longest_pause_is_not_below_the_shortest() -> None:
    with pytest.raises(SettingsError, match="at least open_seconds_min"):
        GuardSettings(open_seconds_min=5, open_seconds_max=1)
