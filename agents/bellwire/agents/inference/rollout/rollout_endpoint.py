"""The door for requests to models that are being rolled out."""

from collections.abc import Mapping
from dataclasses import replace
from time import monotonic

from bellwire.agents.inference.endpoint import (
    Endpoint,
    Fallback,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
)
from bellwire.agents.inference.errors import (
    EngineFailedError,
    EngineTimeoutError,
    UnknownModelError,
)
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.rollout.shadow import Clock, Shadow
from bellwire.agents.inference.rollout.split import is_candidates
from bellwire.agents.inference.rollout.state import Rollout, Stage
from bellwire.wire.errors import BellwireError, CapacityError


class RolloutEndpoint:
    """Chooses the version of requests that name none; an `Endpoint` before another one.

    A candidate that fails costs nobody an answer: the version in service gives it, and the result says so.
    """

    def __init__(self, inner: Endpoint, clock: Clock = monotonic) -> None:
        """Pass everything on to `inner`, which answers for single versions, until `use` is told of rollouts."""
        self._inner = inner
        self._clock = clock
        self._rollouts: Mapping[str, Rollout] = {}
        self._shadows: Mapping[str, Shadow] = {}

    def use(self, rollouts: Mapping[str, Rollout], shadows: Mapping[str, Shadow]) -> None:
        """Go by these from the next request on; both by model. The shadows stay their maker's to close."""
        self._rollouts, self._shadows = rollouts, shadows

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer with the version that the rollout has for the key; raises as `Endpoint.infer` does."""
        rollout = self._rollouts.get(request.model)
        if rollout is None or request.version:
            return await self._inner.infer(request)
        if is_candidates(rollout.model, request.key, rollout.share):
            return await self._candidate(request, rollout)
        started = self._clock()
        result = await self._inner.infer(replace(request, version=rollout.serving))
        shadow = self._shadows.get(request.model)
        if (
            rollout.stage is Stage.SHADOW
            and shadow is not None
            and shadow.version == rollout.candidate
        ):
            shadow.offer(request, result, self._clock() - started)
        return result

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Every version that may be asked, as `inner` says."""
        return self._inner.manifests()

    async def _candidate(self, request: InferenceRequest, rollout: Rollout) -> InferenceResult:
        try:
            return await self._inner.infer(replace(request, version=rollout.candidate))
        except (
            EngineFailedError,
            EngineTimeoutError,
            UnknownModelError,
            CapacityError,
        ) as error:
            left = Fallback(f"{rollout.model}:{rollout.candidate}", _reason_of(error))
        result = await self._inner.infer(replace(request, version=rollout.serving))
        return replace(result, fallbacks=(left, *result.fallbacks))


def _reason_of(error: BellwireError) -> FallbackReason:
    if isinstance(error, UnknownModelError):
        return FallbackReason.NOT_LOADED
    if isinstance(error, CapacityError):
        return FallbackReason.OVERLOADED
    is_late = isinstance(error, EngineTimeoutError)
    return FallbackReason.TIMEOUT if is_late else FallbackReason.FAILED
