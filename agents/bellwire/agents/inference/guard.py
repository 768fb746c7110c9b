"""One endpoint behind a breaker and a timeout: it answers, or says in one word why it does not."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from bellwire.agents.inference.endpoint import (
    Endpoint,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
)
from bellwire.agents.inference.errors import (
    EngineFailedError,
    EngineMissingError,
    EngineTimeoutError,
    GateFailedError,
    InvalidModelError,
    UnknownModelError,
)
from bellwire.agents.inference.expiry import Expiry
from bellwire.agents.inference.model import ModelManifest
from bellwire.policy.breaker import Breaker
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    CapacityError,
    ClosedError,
    DeadlineExceededError,
    NotImplementedYetError,
    PeerError,
    UnknownToolError,
)
from bellwire.wire.settings import SettingsError, check_settings, setting

CANCELLED: Final = "it was cancelled by somebody else, as when its client is closed under the call"


class NoEndpointError(PeerError):
    """Nobody could be asked: every endpoint is absent, or failed so often of late that it is left alone."""

    reason = "NO_ENDPOINT"

    def __init__(self, names: tuple[str, ...], retry_delay_seconds: float) -> None:
        """Name the endpoints there are."""
        self.names = names
        super().__init__(
            f"none of the endpoints {', '.join(names) or '(there are none)'} may be asked now:"
            f" try again in {retry_delay_seconds:g} s",
            retry_delay_seconds=retry_delay_seconds,
        )


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """How long one endpoint is waited for, and when it is left alone."""

    timeout_seconds: float = field(
        default=0.030,
        metadata=setting(
            unit="s",
            why="a thousand times the tactical model, and a bar agent's whole budget for inference",
            gt=0,
            le=600,
        ),
    )
    fair_seconds: float = field(
        default=0.005,
        metadata=setting(
            unit="s",
            why="who had less, because the caller's deadline was near, is not to blame for a timeout",
            gt=0,
            le=600,
        ),
    )
    failures_max: int = field(
        default=3,
        metadata=setting(unit="failures in a row", why="one is an accident", ge=1, le=1_000),
    )
    open_seconds_min: float = field(
        default=1.0,
        metadata=setting(
            unit="s", why="a process is started again in about that time", gt=0, le=60
        ),
    )
    open_seconds_max: float = field(
        default=30.0,
        metadata=setting(unit="s", why="bound of the doubling, before jitter", gt=0, le=3_600),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.open_seconds_max < self.open_seconds_min:
            raise SettingsError(
                "GuardSettings",
                "open_seconds_max",
                self.open_seconds_max,
                f"at least open_seconds_min, {self.open_seconds_min:g}",
            )

    def breaker(self) -> Breaker:
        """Return a breaker that is closed."""
        return Breaker(self.failures_max, self.open_seconds_min, self.open_seconds_max)


@dataclass(frozen=True, slots=True)
class GaveUp:
    """What an endpoint said instead of an answer."""

    reason: FallbackReason
    error: BellwireError | None
    """What it raised; None = it was not asked."""


class Guard:
    """Asks one endpoint and takes note of how it ends.

    What is the caller's own fault (a tensor that does not fit, an unknown model) is raised, and speaks for the
    endpoint: it has answered. A full queue speaks neither for nor against it. That a remote one lacks what was asked
    for, or is cancelled by others than the caller, is a failure. What computes on the loop is heard, however long it
    took: the timeout counts only what is waited.

    Attributes:
        name: For people and for `Fallback.step`.
        endpoint: None = it could not be loaded.
        breaker: Its state and counters.
        outstanding: Requests under way.
        answers: Given.
        gave_up: How often it gave none, by reason.
        last_error: Text of the last error, for people.
    """

    __slots__ = (
        "_clock",
        "_model",
        "_settings",
        "_version",
        "answers",
        "breaker",
        "endpoint",
        "gave_up",
        "last_error",
        "name",
        "outstanding",
    )

    def __init__(
        self,
        name: str,
        endpoint: Endpoint | None,
        settings: GuardSettings | None = None,
        *,
        model: str = "",
        version: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with a closed breaker.

        Args:
            name: "tactical:3", "rules", "worker-0".
            endpoint: None = it could not be loaded: it gives up at once.
            settings: Bounds.
            model: What it is asked for instead of the request's own model; empty = the request's own.
            version: Of `model`; 0 = the one in service.
            clock: Monotonic seconds, of the breaker; injected by tests.
        """
        self.name = name
        self.endpoint = endpoint
        self._settings = settings or GuardSettings()
        self._model = model
        self._version = version
        self.breaker = self._settings.breaker()
        self._clock = clock
        self.outstanding = 0
        self.answers = 0
        self.gave_up = dict.fromkeys(FallbackReason, 0)
        self.last_error = ""

    async def ask(self, request: InferenceRequest, seconds_left: float) -> InferenceResult | GaveUp:
        """Return the endpoint's answer, or why there is none.

        Args:
            request: To be answered.
            seconds_left: It has as long as that, and never longer than its own timeout.

        Raises:
            CallerError: The request cannot be answered by anybody.
        """
        if self.endpoint is None:
            return self._note(FallbackReason.NOT_LOADED, None)
        ticket = self.breaker.admit(self._clock())
        if ticket is None:
            return self._note(FallbackReason.BREAKER_OPEN, None)
        if self._model:
            request = replace(request, model=self._model, version=self._version)
        seconds = min(self._settings.timeout_seconds, seconds_left)
        self.outstanding += 1
        try:
            result = await _within(seconds, self.endpoint, request)
        except Exception as error:  # noqa: BLE001 - whatever an endpoint raises, the next one is to be asked.
            return self._explain(error, ticket, seconds)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and not _is_cancelled():
                return self._explain(EngineFailedError(self.name, CANCELLED), ticket, seconds)
            self.breaker.abandoned(ticket, self._clock())
            raise
        finally:
            self.outstanding -= 1
        self.breaker.succeeded(ticket)
        self.answers += 1
        return result

    def _explain(self, error: Exception, ticket: int, seconds: float) -> GaveUp:
        reason = self._reason(error)
        if reason is None:
            self.breaker.succeeded(ticket)
            raise error
        now = self._clock()
        was_unfair = reason is FallbackReason.TIMEOUT and seconds < self._settings.fair_seconds
        if was_unfair or reason is FallbackReason.OVERLOADED:
            self.breaker.abandoned(ticket, now)
        else:
            self.breaker.failed(ticket, now)
        if isinstance(error, TimeoutError):
            return self._note(reason, EngineTimeoutError(self.name, seconds))
        if not isinstance(error, BellwireError):
            return self._note(reason, EngineFailedError(self.name, repr(error)))
        return self._note(reason, error)

    def _reason(self, error: Exception) -> FallbackReason | None:
        """Return why to ask somebody else; None = nobody else could answer either."""
        match error:
            case TimeoutError() | EngineTimeoutError() | DeadlineExceededError():
                return FallbackReason.TIMEOUT
            case InvalidModelError() | EngineMissingError() | ClosedError() | GateFailedError():
                return FallbackReason.NOT_LOADED
            case UnknownModelError() if self._model:  # This step's own model, not the caller's.
                return FallbackReason.NOT_LOADED
            case CapacityError():
                return FallbackReason.OVERLOADED
            case (
                UnknownToolError() | NotImplementedYetError()
            ):  # Of a remote one, an older one perhaps.
                return FallbackReason.FAILED
            case CallerError():
                return None
            case _:
                return FallbackReason.FAILED

    def _note(self, reason: FallbackReason, error: BellwireError | None) -> GaveUp:
        self.gave_up[reason] += 1
        if error is not None:
            self.last_error = error.message
        return GaveUp(reason, error)


async def _within(seconds: float, endpoint: Endpoint, request: InferenceRequest) -> InferenceResult:
    limit = asyncio.timeout(None)
    expiry = Expiry(limit, seconds)
    try:
        async with limit:
            return await endpoint.infer(request)
    finally:
        expiry.cancel()


def _is_cancelled() -> bool:
    """Tell whether it was this task that somebody cancelled."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def models_of(guards: Iterable[Guard]) -> tuple[ModelManifest, ...]:
    """Return every model that at least one endpoint serves, once each, by name and version."""
    found = {
        manifest.key: manifest
        for guard in guards
        if guard.endpoint is not None
        for manifest in guard.endpoint.manifests()
    }
    return tuple(sorted(found.values(), key=lambda each: (each.name, each.version)))
