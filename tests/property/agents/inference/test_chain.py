"""A chain always ends: with an answer, or with what is the caller's own fault."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.agents.inference.scripted import ScriptedEndpoint, ask, manifest

from bellwire.agents.inference import (
    EngineFailedError,
    EngineMissingError,
    EngineTimeoutError,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
    InvalidTensorError,
    UnknownModelError,
)
from bellwire.agents.inference.chain import FallbackChain
from bellwire.agents.inference.constant import hold
from bellwire.agents.inference.guard import Guard, GuardSettings
from bellwire.wire.errors import AgentLostError, CapacityError, DeadlineExceededError

CALLERS = (InvalidTensorError("x", "odd", "even"), UnknownModelError("toy", "9", ()))
FAILURES: dict[Exception, FallbackReason] = {
    EngineFailedError("toy", "broken"): FallbackReason.FAILED,
    AgentLostError(): FallbackReason.FAILED,
    ValueError("a bug"): FallbackReason.FAILED,
    EngineTimeoutError("toy", 1): FallbackReason.TIMEOUT,
    DeadlineExceededError(): FallbackReason.TIMEOUT,
    CapacityError(): FallbackReason.OVERLOADED,
    EngineMissingError("torch", "torch", "install it"): FallbackReason.NOT_LOADED,
}
HANGS = TimeoutError()  # Stands for one that never answers.
ABSENT = None
GOOD = "good"

behaviours = st.sampled_from([GOOD, ABSENT, HANGS, *CALLERS, *FAILURES])
FAST = GuardSettings(timeout_seconds=0.001, fair_seconds=0.001, failures_max=2)


class Changing(ScriptedEndpoint):
    """Behaves as the script says, call by call."""

    def __init__(self, script: list[object]) -> None:
        super().__init__(1)
        self.script = script
        self.calls = 0

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        behaviour = self.script[self.calls % len(self.script)]
        self.calls += 1
        self.hangs = behaviour is HANGS
        self.error = behaviour if isinstance(behaviour, Exception) and not self.hangs else None
        return await super().infer(request)


def chain_of(scripts: list[list[object]]) -> FallbackChain:
    steps = [
        Guard(f"step-{index}", None if ABSENT in script else Changing(script), FAST)
        for index, script in enumerate(scripts)
    ]
    return FallbackChain(steps, hold(manifest().outputs))


async def play(scripts: list[list[object]], calls: int) -> None:
    chain = chain_of(scripts)
    async with asyncio.timeout(20):
        for _ in range(calls):
            try:
                result = await chain.infer(ask(1, 2))
            except (InvalidTensorError, UnknownModelError):
                continue
            assert len(result.outputs["y"]) == 2
            left = [each.step for each in result.fallbacks]
            assert left == [f"step-{index}" for index in range(len(left))], "in order, none twice"
            assert (result.answered_by == "hold") == (len(left) == len(scripts))
    for step in chain.steps:
        assert step.outstanding == 0


@settings(max_examples=60)
@given(
    scripts=st.lists(st.lists(behaviours, min_size=1, max_size=3), min_size=1, max_size=4),
    calls=st.integers(1, 5),
)
def test_a_chain_ends_with_an_answer_or_with_the_callers_own_fault(
    scripts: list[list[object]], calls: int
) -> None:
    asyncio.run(play(scripts, calls))


@given(failure=st.sampled_from(list(FAILURES)))
def test_a_failure_is_told_by_its_word(failure: Exception) -> None:
    async def told() -> InferenceResult:
        return await chain_of([[failure], [GOOD]]).infer(ask(1))

    result = asyncio.run(told())
    assert [each.reason for each in result.fallbacks] == [FAILURES[failure]]
    assert result.answered_by == "toy:1"
