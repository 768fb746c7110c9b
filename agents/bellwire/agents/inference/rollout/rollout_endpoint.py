"""The door for requests to models that are being rolled out."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from time import monotonic
from types import MappingProxyType
from typing import Final, TypeAlias

from bellwire.agents.inference.endpoint import (
    Endpoint,
    Fallback,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
)
from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.guard import Guard, GuardSettings
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.rollout.errors import UndecidedModelError
from bellwire.agents.inference.rollout.shadow import Clock, Shadow
from bellwire.agents.inference.rollout.split import is_candidates
from bellwire.agents.inference.rollout.state import Rollout, Stage
from bellwire.wire.errors import CallerError, DeadlineExceededError

GuardOf: TypeAlias = Callable[[str], GuardSettings]
CANDIDATE_SHARE: Final = 0.5  # Of the time left: the version in service has as much again.
_ALL_DECIDED: Final[Mapping[str, InvalidModelError]] = MappingProxyType({})


def default_guard(_model: str) -> GuardSettings:
    """Return the bounds of a candidate where nobody says otherwise: half of what a chain gives a step."""
    settings = GuardSettings()
    return replace(settings, timeout_seconds=settings.timeout_seconds * CANDIDATE_SHARE)


class RolloutEndpoint:
    """Chooses the version of requests that name none; an `Endpoint` before another one.

    A candidate that fails costs nobody an answer: the version in service gives it, and the result says so. The
    candidate has a timeout and a breaker of its own, so that one that hangs is soon not asked any more; and never more
    than half of the time that the caller has left. What looks like the caller's own fault is left to the version in
    service to judge. A candidate that computes on the loop cannot be interrupted.
    """

    def __init__(
        self, inner: Endpoint, clock: Clock = monotonic, guard_of: GuardOf = default_guard
    ) -> None:
        """Pass everything on to `inner`, which answers for single versions, until `use` is told of rollouts.

        Args:
            inner: Answers for single versions.
            clock: Seconds, as deadlines are in.
            guard_of: Returns the bounds of a model's candidate; its timeout should be well below that of whoever
                asks this endpoint, who would otherwise give up before the version in service was asked.
        """
        self._inner = inner
        self._clock = clock
        self._guard_of = guard_of
        self._rollouts: Mapping[str, Rollout] = {}
        self._shadows: Mapping[str, Shadow] = {}
        self._undecided: Mapping[str, InvalidModelError] = {}
        self._candidates: dict[str, Guard] = {}

    def use(
        self,
        rollouts: Mapping[str, Rollout],
        shadows: Mapping[str, Shadow],
        undecided: Mapping[str, InvalidModelError] = _ALL_DECIDED,
    ) -> None:
        """Go by these from the next request on.

        Args:
            rollouts: By model.
            shadows: By model; they stay their maker's to close.
            undecided: What is wrong with rollouts that cannot be read, by model; those models answer for named
                versions only.
        """
        self._rollouts, self._shadows, self._undecided = rollouts, shadows, undecided
        self._candidates = {
            model: self._guard(rollout) for model, rollout in rollouts.items() if rollout.candidate
        }

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer with the version that the rollout has for the key; raises as `Endpoint.infer` does.

        Raises:
            UndecidedModelError: The model's rollout cannot be read, and the request names no version.
        """
        if request.version:
            return await self._inner.infer(request)
        self._demand_decided(request.model)
        rollout = self._rollouts.get(request.model)
        if rollout is None:
            return await self._inner.infer(request)
        if is_candidates(rollout.model, request.key, rollout.share):
            return await self._candidate(request, rollout)
        return await self._serving(request, rollout)

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Every version that may be asked, as `inner` says."""
        return self._inner.manifests()

    def version_in_service(self, model: str) -> int:
        """Return the version that answers where no candidate does; 0 = there is no rollout.

        Raises:
            UndecidedModelError: The model's rollout cannot be read.
        """
        self._demand_decided(model)
        rollout = self._rollouts.get(model)
        return rollout.serving if rollout else 0

    def _demand_decided(self, model: str) -> None:
        wrong = self._undecided.get(model)
        if wrong is not None:
            raise UndecidedModelError(model, wrong)

    async def _serving(self, request: InferenceRequest, rollout: Rollout) -> InferenceResult:
        started = self._clock()
        result = await self._inner.infer(replace(request, version=rollout.serving))
        shadow = self._shadows.get(request.model)
        if (
            rollout.stage is Stage.SHADOW
            and shadow is not None
            and shadow.version == rollout.candidate
            # What a stand-in said tells nothing of the two versions.
            and result.answered_by == f"{rollout.model}:{rollout.serving}"
        ):
            shadow.offer(request, result, self._clock() - started)
        return result

    async def _candidate(self, request: InferenceRequest, rollout: Rollout) -> InferenceResult:
        found = await self._ask(self._candidates[rollout.model], request)
        if isinstance(found, InferenceResult):
            return found
        if self._seconds_left(request) <= 0:
            raise DeadlineExceededError(
                f"the deadline of a request for {request.model!r} has passed: nothing else was asked"
            )
        result = await self._inner.infer(replace(request, version=rollout.serving))
        return replace(result, fallbacks=(found, *result.fallbacks))

    async def _ask(self, candidate: Guard, request: InferenceRequest) -> InferenceResult | Fallback:
        try:
            found = await candidate.ask(request, self._seconds_left(request) * CANDIDATE_SHARE)
        except CallerError:  # Of its specs perhaps, and not of those of the version in service.
            return Fallback(candidate.name, FallbackReason.FAILED)
        return (
            found if isinstance(found, InferenceResult) else Fallback(candidate.name, found.reason)
        )

    def _seconds_left(self, request: InferenceRequest) -> float:
        return request.deadline_seconds - self._clock() if request.deadline_seconds else inf

    def _guard(self, rollout: Rollout) -> Guard:
        """Return the candidate's guard, the one it had where it was the candidate before."""
        name = f"{rollout.model}:{rollout.candidate}"
        known = self._candidates.get(rollout.model)
        if known is not None and known.name == name:
            return known
        return Guard(
            name,
            self._inner,
            self._guard_of(rollout.model),
            model=rollout.model,
            version=rollout.candidate,
            clock=self._clock,
        )
