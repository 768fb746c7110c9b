"""Results that are asked for again: the same model, the same bar, the same inputs."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from bellwire.agents.inference.endpoint import (
    PRIORITIES,
    Endpoint,
    InferenceRequest,
    InferenceResult,
    as_remembered,
)
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.result_cache_settings import ResultCacheSettings
from bellwire.agents.inference.result_key import ResultKey, key_of
from bellwire.agents.inference.tensor import Tensors
from bellwire.policy.bounded_cache import BoundedCache
from bellwire.policy.generations import Generations, Stamp
from bellwire.policy.single_flight import SingleFlight
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    CapacityError,
    ClosedError,
    DeadlineExceededError,
    PeerError,
)

ENTRY_BYTES: Final = 950  # Of the objects around one result: measured, see the test.
ARRAY_BYTES: Final = 250  # Of the objects around each of its outputs.
MODELS_MAX: Final = 1_024  # Counted apart; beyond, whatever outdates one outdates all.

_Flight: TypeAlias = "tuple[ResultKey, Stamp]"
_Waiter: TypeAlias = "asyncio.Future[InferenceResult]"


class ResultCache:
    """An `Endpoint` before another one that remembers what it said.

    Only requests with a `cache_key` are looked up; the others pass. Equal requests that meet are one: whoever
    came first asks for all, with his own priority and deadline, since a chain behind shares the time out by it. Who
    joined and hears that it failed has it asked once more, and who joined two that were too late for others, but
    not for him, asks for himself. An answer that came about by a fall-back is told, but not kept: the first step
    may be back in a second. Inputs are copied when they are first asked with, so that their owner may go and use
    them again; outputs of requests with a `cache_key` cannot be written to.

    A request for version 0 means the version in service, which may change: whoever changes it calls `outdate`.

    Attributes:
        cache: The results; its counters are hits, misses, expired, outdated and evicted.
        flights: Requests under way; `shared` counts those that joined one.
        passed: Requests without a `cache_key`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: ResultCacheSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing.

        Args:
            endpoint: Asked for what is not known.
            settings: Bounds.
            clock: Monotonic seconds; injected by tests.
        """
        self._endpoint = endpoint
        self._settings = settings or ResultCacheSettings()
        self._clock = clock
        self._generations = Generations(MODELS_MAX)
        self._tasks: dict[_Flight, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self.cache: BoundedCache[ResultKey, InferenceResult] = BoundedCache(
            self._settings.bounds, self._generations
        )
        self.flights: SingleFlight[_Flight, _Waiter] = SingleFlight()
        self.passed = 0

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer from memory, or from the endpoint behind it.

        Raises:
            CapacityError: Too many requests wait for results being computed.
            CallerError: There is no such priority.
            DeadlineExceededError: The deadline passed while the result was computed.
            PeerError: What computed the result was called off by nobody who waits for it.
            BellwireError: Whatever the endpoint raises.
        """
        if not request.cache_key:
            self.passed += 1
            return await self._endpoint.infer(request)
        if not 0 <= request.priority < PRIORITIES:  # His own fault, not of those who join him.
            raise CallerError(f"priority is {request.priority}, must be 0 … {PRIORITIES - 1}")
        key = key_of(request)
        tries_left = 1
        while True:
            found = self.cache.get(key, self._clock())
            if found is not None:
                return found
            flight, answer, begins = self._board(key, request)
            try:
                return await self._wait(flight, answer, request.deadline_seconds)
            except BellwireError as error:
                is_late = 0 < request.deadline_seconds <= time.monotonic()
                if begins or is_late or isinstance(error, CallerError):
                    raise
                if not tries_left:
                    if not isinstance(error, DeadlineExceededError):
                        raise
                    return _locked(await self._endpoint.infer(request))
                tries_left -= 1

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Those of the endpoint."""
        return self._endpoint.manifests()

    def outdate(self, model: str) -> None:
        """Forget every result of a model, those being computed included: another version is in service. O(1)."""
        self._generations.invalidate(model)

    async def close(self) -> None:
        """Call off what is under way; who waits for it hears `ClosedError`. The endpoint stays open."""
        self._is_closed = True
        running = tuple(self._running)
        for flight in tuple(self._tasks):
            self._tell(flight, ClosedError("the cache of results is closed"))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    # ------------------------------------------------------------ flights

    def _board(self, key: ResultKey, request: InferenceRequest) -> tuple[_Flight, _Waiter, bool]:
        """Join who asks for the same, or begin to; True = begun."""
        if self._is_closed:
            raise ClosedError("the cache of results is closed")
        if self.flights.waiting >= self._settings.waiting_max:
            raise CapacityError(
                f"{self.flights.waiting} requests wait for results, that is the limit: slow down"
            )
        flight = (key, self._generations.stamp((request.model,)))
        answer: _Waiter = asyncio.get_running_loop().create_future()
        begins = self.flights.join(flight, answer)
        if begins:
            # The flight may outlive its first caller, who then writes the next bar into the same arrays.
            own = replace(request, inputs=_copied(request.inputs))
            task = asyncio.create_task(self._fly(flight, own), name="result flight")
            self._tasks[flight] = task
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return flight, answer, begins

    async def _wait(self, flight: _Flight, answer: _Waiter, deadline: float) -> InferenceResult:
        try:
            if not deadline:
                return await answer
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    return await answer
            except TimeoutError:
                raise DeadlineExceededError(
                    f"the deadline of a request for {flight[0][0]!r} passed while its result was computed"
                ) from None
        finally:
            if self.flights.leave(flight, answer):
                self._tasks.pop(flight).cancel()
            if answer.done() and not answer.cancelled():
                answer.exception()  # Told, but not heard by one who left in the same turn.

    async def _fly(self, flight: _Flight, request: InferenceRequest) -> None:
        task = asyncio.current_task()
        try:
            result = _locked(await self._endpoint.infer(request))
            if not result.fallbacks and self._generations.is_current(flight[1]):
                self._keep(flight, result)
        except Exception as error:  # noqa: BLE001 - those who wait must hear of it, whatever it is.
            self._tell(flight, error, task)
        except BaseException as error:
            # Also a cancellation that was not ours, as when a client is closed under the call.
            text = f"a request for {request.model!r} was called off: {type(error).__name__}"
            self._tell(flight, PeerError(text), task)
            raise
        else:
            self._tell(flight, result, task)

    def _keep(self, flight: _Flight, result: InferenceResult) -> None:
        size_bytes = ENTRY_BYTES + sum(
            ARRAY_BYTES + array.nbytes for array in result.outputs.values()
        )
        size_bytes += sum(len(part) for part in flight[0] if isinstance(part, str))
        self.cache.put(flight[0], as_remembered(result), size_bytes, self._clock(), stamp=flight[1])

    def _tell(
        self,
        flight: _Flight,
        outcome: InferenceResult | Exception,
        task: asyncio.Task[None] | None = None,
    ) -> None:
        # A flight that was called off may have a successor under its name, which goes on.
        if task is not None and self._tasks.get(flight) is not task:
            return
        self._tasks.pop(flight, None)
        for answer in self.flights.land(flight):
            if answer.done():
                continue
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)


def _copied(inputs: Tensors) -> Tensors:
    return {name: array.copy() for name, array in inputs.items()}


def _locked(result: InferenceResult) -> InferenceResult:
    return replace(result, outputs=_frozen(result.outputs))


def _frozen(outputs: Tensors) -> Tensors:
    """Return copies that nobody can write to: their memory belongs to a `bytes`, which numpy cannot unlock."""
    copies = {
        name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)  # as it was
        for name, array in outputs.items()
    }
    return MappingProxyType(copies)
