"""One question to a model, its answer, and whoever answers: what servers and agents are written against."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.tensor import Tensors, TensorSpec

PRIORITIES: Final = 8  # 0 is served first; more would only hide that nobody ranks so finely


class CloseReason(StrEnum):
    """Why a batch was closed and computed."""

    IDLE = "IDLE"
    """Nothing was being computed: to wait would only cost time."""
    FULL = "FULL"
    """One more row would have gone above its size."""
    DELAY = "DELAY"
    """It had gathered for as long as the settings allow."""
    DEADLINE = "DEADLINE"
    """A request in it could not wait any longer."""


class FallbackReason(StrEnum):
    """Why a step of the fallback chain was left for the next."""

    FAILED = "FAILED"
    """It raised."""
    TIMEOUT = "TIMEOUT"
    """It did not answer in time."""
    BREAKER_OPEN = "BREAKER_OPEN"
    """It failed so often of late that it was not asked."""
    NOT_LOADED = "NOT_LOADED"
    """It could not be loaded, or its gate had failed."""
    OVERLOADED = "OVERLOADED"
    """Its queue was full."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """A step of the chain that gave no answer."""

    step: str
    """Key of the model, "tactical:3", or "rules"."""
    reason: FallbackReason


@dataclass(frozen=True, slots=True, eq=False)
class InferenceRequest:
    """A batch of observations for one model."""

    model: str
    inputs: Tensors
    version: int = 0
    """0 = the version in service, canary and all."""
    key: str = ""
    """Symbol or whatever else canary, A/B and shadow split by; empty = the model in service."""
    cache_key: str = ""
    """Symbol and bar time, "EURUSD/1483228800000000000"; with model, version and a digest of the inputs it
    names the result in the cache. Empty = not cached."""
    priority: int = 0
    """0 … 7, 0 first."""
    deadline_seconds: float = 0.0
    """On the clock of `time.monotonic`; 0 = none. Past, it is refused and not computed."""


@dataclass(frozen=True, slots=True, eq=False)
class InferenceResult:
    """What the model said, and how it came about."""

    outputs: Tensors
    answered_by: str
    """Key of the model or name of the step that answered: "tactical:3", "rules", "hold"."""
    quantization: str = "none"
    fallbacks: tuple[Fallback, ...] = ()
    """Steps tried before `answered_by`, in order; empty = the first one answered."""
    is_cached: bool = False
    batch_size: int = 0
    """Rows computed together with this request, its own included; 0 = cached or no engine was asked."""
    close_reason: CloseReason | None = None
    """Of that batch; None = cached or no engine was asked."""
    queue_seconds: float = 0.0
    """From the request to the start of the computation."""
    compute_seconds: float = 0.0
    """Of the whole batch."""


def as_remembered(result: InferenceResult) -> InferenceResult:
    """Return a result as a cache gives it: nothing was computed, and nobody waited."""
    return replace(
        result,
        is_cached=True,
        batch_size=0,
        close_reason=None,
        queue_seconds=0.0,
        compute_seconds=0.0,
    )


class Endpoint(Protocol):
    """Answers inference requests: a batcher over one engine, a chain of them, several processes, …."""

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer one request.

        Raises:
            InvalidTensorError: An input does not fit the model.
            UnknownModelError: No such model or version.
            DeadlineExceededError: The deadline passed before it was computed.
            CapacityError: The queue is full.
            EngineFailedError, EngineTimeoutError: It could not be computed, and nothing stands in.
        """
        ...

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Every version that is loaded, warm and may be asked, by name and version."""
        ...


@runtime_checkable
class ChoosesVersions(Protocol):
    """What an `Endpoint` is too that does not answer with the newest version."""

    def version_in_service(self, model: str) -> int:
        """Return the version that answers for most of the requests that name none; 0 = the newest.

        Raises:
            InvalidModelError: Nobody knows which.
        """
        ...


@dataclass(frozen=True, slots=True)
class OfferedChain:
    """A name for which several models answer, one in place of the other."""

    name: str
    inputs: tuple[TensorSpec, ...]
    """Of its first step that is loaded, or was last; empty = none was, ever."""
    outputs: tuple[TensorSpec, ...]
    is_ready: bool
    """Whether a step may be asked, or HOLD can answer."""


@runtime_checkable
class OffersChains(Protocol):
    """What an `Endpoint` is too that answers for names which are no single model's."""

    def offered_chains(self) -> tuple[OfferedChain, ...]:
        """Return every chain there is, ready or not, each under the name that requests give."""
        ...
