"""A chain of endpoints, the best first: whatever happens to one, the next answers, and the answer says so."""

import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Final

from bellwire.agents.inference.constant import ConstantEndpoint
from bellwire.agents.inference.endpoint import Fallback, InferenceRequest, InferenceResult
from bellwire.agents.inference.guard import Guard, NoEndpointError, models_of
from bellwire.agents.inference.model import ModelManifest
from bellwire.wire.errors import BellwireError, DeadlineExceededError

SHARE: Final = 0.5  # Of the time left, for one step: the next has as much again.
RETRY_SECONDS: Final = 1.0  # As long as a breaker stays open at least.


class FallbackChain:
    """An `Endpoint` that asks its steps in order: int8, fp32, rules, and at last HOLD.

    A step that fails, takes too long, is overloaded, not loaded, or left alone by its breaker is a `Fallback` of
    the answer. What is the caller's fault is raised by the first step that notices. The caller's deadline is
    shared: each step has half of what is left, or its own timeout if that is shorter; without a last resort the
    last step has all of it. A deadline that has passed on arrival is refused; one that passes on the way leads
    straight to the last resort, which costs no time. A step that computes on the loop cannot be interrupted: its
    timeout counts only what it waits.

    Attributes:
        steps: Each with its breaker and counters.
        last: The last resort.
        held: Answers of the last resort.
    """

    def __init__(self, steps: Sequence[Guard], last: ConstantEndpoint | None = None) -> None:
        """Arrange the steps.

        Args:
            steps: The best first; at least one.
            last: Answers when none of them does; None = the last error is raised.

        Raises:
            ValueError: There is no step, or two have one name.
        """
        names = [step.name for step in steps]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"a chain of steps {names}: at least one is needed, each with its name"
            )
        self.steps = tuple(steps)
        self.last = last
        self.held = 0

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer with the first step that can.

        Raises:
            CallerError: The request itself is wrong.
            DeadlineExceededError: Its deadline has passed.
            BellwireError: Of the last step that was asked; only without a last resort.
            NoEndpointError: No step could be asked; only without a last resort.
        """
        deadline = request.deadline_seconds or inf
        if deadline <= time.monotonic():
            raise _too_late(request)
        fallbacks: list[Fallback] = []
        error: BellwireError | None = None
        for step in self.steps:
            seconds = self._seconds(step, deadline - time.monotonic())
            if seconds <= 0:
                error = _too_late(request)
                break
            found = await step.ask(request, seconds)
            if isinstance(found, InferenceResult):
                return _with(found, fallbacks)
            fallbacks.append(Fallback(step.name, found.reason))
            error = found.error or error
        return self._last_resort(request, fallbacks, error)

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Every model of every step that is loaded, once each."""
        return models_of(self.steps)

    def _seconds(self, step: Guard, left: float) -> float:
        has_next = self.last is not None or step is not self.steps[-1]
        return left * SHARE if has_next else left

    def _last_resort(
        self, request: InferenceRequest, fallbacks: list[Fallback], error: BellwireError | None
    ) -> InferenceResult:
        if self.last is not None:
            result = _with(self.last.answer(request), fallbacks)
            self.held += 1
            return result
        raise error or NoEndpointError(tuple(step.name for step in self.steps), RETRY_SECONDS)


def _with(result: InferenceResult, fallbacks: list[Fallback]) -> InferenceResult:
    if not fallbacks:
        return result
    return replace(result, fallbacks=(*fallbacks, *result.fallbacks))


def _too_late(request: InferenceRequest) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"the deadline of a request for {request.model!r} has passed: nothing was computed"
    )
