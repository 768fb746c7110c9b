"""Whatever happens to one step, the next answers, and the answer says so."""

import time

import pytest
from tests.unit.agents.inference.scripted import ScriptedEndpoint, ask, manifest, said

from bellwire.agents.inference import (
    EngineFailedError,
    Fallback,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
    InvalidTensorError,
)
from bellwire.agents.inference.chain import FallbackChain
from bellwire.agents.inference.constant import hold
from bellwire.agents.inference.guard import Guard, GuardSettings, NoEndpointError
from bellwire.wire.errors import CapacityError, DeadlineExceededError

BROKEN = EngineFailedError("toy", "broken")
HOLD = hold(manifest().outputs)


def step(name: str, endpoint: ScriptedEndpoint | None, **settings: float) -> Guard:
    return Guard(name, endpoint, GuardSettings(**settings))  # type: ignore[arg-type]


async def test_the_first_step_answers_while_it_can() -> None:
    second = ScriptedEndpoint(2)
    chain = FallbackChain([step("int8", ScriptedEndpoint(1)), step("fp32", second)])
    result = await chain.infer(ask(0))
    assert (said(result), result.answered_by, result.fallbacks) == ([1], "toy:1", ())
    assert second.asked == []


async def test_every_step_that_was_left_is_named_with_its_reason() -> None:
    chain = FallbackChain(
        [
            step("gone", None),
            step("broken", ScriptedEndpoint(error=BROKEN)),
            step("hung", ScriptedEndpoint(hangs=True), timeout_seconds=0.005),
            step("busy", ScriptedEndpoint(error=CapacityError())),
            step("rules", ScriptedEndpoint(5)),
        ],
        HOLD,
    )
    result = await chain.infer(ask(0))
    assert result.fallbacks == (
        Fallback("gone", FallbackReason.NOT_LOADED),
        Fallback("broken", FallbackReason.FAILED),
        Fallback("hung", FallbackReason.TIMEOUT),
        Fallback("busy", FallbackReason.OVERLOADED),
    )
    assert result.answered_by == "toy:5"


async def test_the_last_resort_answers_when_nobody_does() -> None:
    chain = FallbackChain([step("broken", ScriptedEndpoint(error=BROKEN))], HOLD)
    result = await chain.infer(ask(0, 0))
    assert (result.answered_by, chain.held) == ("hold", 1)
    assert result.outputs["y"].tolist() == [[0, 1, 0]] * 2
    assert result.fallbacks == (Fallback("broken", FallbackReason.FAILED),)


async def test_what_is_the_callers_fault_does_not_fall_back() -> None:
    second = ScriptedEndpoint(2)
    wrong = ScriptedEndpoint(error=InvalidTensorError("x", "odd", "even"))
    chain = FallbackChain([step("int8", wrong), step("fp32", second)], HOLD)
    with pytest.raises(InvalidTensorError):
        await chain.infer(ask(0))
    assert second.asked == []


async def test_a_deadline_that_has_passed_on_arrival_is_refused() -> None:
    first = ScriptedEndpoint(1)
    chain = FallbackChain([step("int8", first)], HOLD)
    with pytest.raises(DeadlineExceededError):
        await chain.infer(ask(0, deadline_seconds=time.monotonic() - 1))
    assert first.asked == []


async def test_a_hung_step_leaves_time_for_the_next() -> None:
    hung = step("int8", ScriptedEndpoint(hangs=True), timeout_seconds=60)
    chain = FallbackChain([hung, step("fp32", ScriptedEndpoint(2), timeout_seconds=60)])
    result = await chain.infer(ask(0, deadline_seconds=time.monotonic() + 0.2))
    assert (said(result), result.fallbacks[0].reason) == ([2], "TIMEOUT")


async def test_a_deadline_that_passes_on_the_way_leads_to_the_last_resort() -> None:
    class Blocking(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            while time.monotonic() < request.deadline_seconds:
                pass
            raise BROKEN

    second = ScriptedEndpoint(2)
    steps = [step("int8", Blocking()), step("fp32", second)]
    deadline = time.monotonic() + 0.01
    result = await FallbackChain(steps, HOLD).infer(ask(0, deadline_seconds=deadline))
    assert (result.answered_by, second.asked) == ("hold", [])
    with pytest.raises(DeadlineExceededError):
        await FallbackChain(steps).infer(ask(0, deadline_seconds=time.monotonic() + 0.01))


async def test_without_a_last_resort_the_last_error_is_raised() -> None:
    chain = FallbackChain(
        [step("broken", ScriptedEndpoint(error=BROKEN)), step("gone", None)],
    )
    with pytest.raises(EngineFailedError, match="broken"):
        await chain.infer(ask(0))


async def test_without_anybody_to_ask_it_says_so() -> None:
    with pytest.raises(NoEndpointError, match="gone") as raised:
        await FallbackChain([step("gone", None)]).infer(ask(0))
    assert raised.value.retry_delay_seconds == 1


def test_a_chain_tells_the_models_of_its_steps() -> None:
    chain = FallbackChain([step("a", ScriptedEndpoint()), step("b", None)], HOLD)
    assert [each.key for each in chain.manifests()] == ["toy:1"]


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_a_chain_needs_steps_with_names_of_their_own(names: list[str]) -> None:
    with pytest.raises(ValueError, match="each with its name"):
        FallbackChain([step(name, None) for name in names])
