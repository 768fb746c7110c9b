"""InvocationService: routes a call to one agent and waits for its result."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from bellwire.agent.v1 import invocation_pb2 as pb
from bellwire.agent.v1.agent_pb2 import CallResult, ConnectResponse
from bellwire.bus.v1.error_pb2 import ItemError
from bellwire.coordinator.core.fleet import NothingDone
from bellwire.coordinator.core.registry import AgentSession
from bellwire.coordinator.services.agent import AgentStream
from bellwire.coordinator.services.forwarded import Forwarded, forwarded, say_nothing_done
from bellwire.coordinator.services.once import once
from bellwire.coordinator.state import CoordinatorState
from bellwire.transport.serving.status import ServicerContext, time_left
from bellwire.wire.errors import (
    AgentFailedError,
    BellwireError,
    CallerError,
    CapacityError,
    DeadlineExceededError,
    NoCapableAgentError,
    PayloadTooLargeError,
    from_item_error,
)

if TYPE_CHECKING:
    from bellwire.coordinator.federation.federation import Federation

ARGUMENTS_BYTES_MAX: Final = 1 << 20
RESULT_BYTES_MAX: Final = 1 << 20  # A tool's result travels twice, as text and as structure.
JSON_CONTENT_TYPE: Final = "application/json"
# Coordinators, ours among them, of which all but the last have done nothing.
PLACES_ASKED_MAX: Final = 3

INVOKE: Final = "bellwire.agent.v1.InvocationService/Invoke"


class Dispatcher:
    """Sends calls to agents and brings their results back; bounded, policy REFUSE."""

    def __init__(self, state: CoordinatorState) -> None:
        self._state = state
        self._streams: dict[AgentSession, AgentStream] = {}
        self._ids = count(1)
        self._in_flight = 0
        # Calls that wait for the same answer share its error, so the error itself is marked.
        self._sent_to_nobody: WeakSet[BellwireError] = WeakSet()

    def on_open(self, session: AgentSession, stream: AgentStream) -> None:
        """Learn where an agent's calls go."""
        gone = [s for s in self._streams if not self._is_live(s)]
        for dead in gone:
            del self._streams[dead]
        self._streams[session] = stream

    async def invoke(
        self, request: pb.InvokeRequest, timeout_seconds: float, principal: str = ""
    ) -> pb.InvokeResponse:
        """Route one call and await its result, or take that of an equal one where the agents declare it cacheable.

        Raises:
            NoCapableAgentError, AgentBusyError, AgentLostError, AgentFailedError
            DeadlineExceededError: The agent did not answer in time; it is told to stop.
            CallerError: The request is malformed.
        """
        _check(request)
        cache = self._state.cache
        policy = cache.policy(request)
        if policy is None:
            return await self._dispatch(request, timeout_seconds, principal)
        if timeout_seconds <= 0:
            raise _had_passed()
        # The answer is kept here: that of another coordinator's cache would get older than was promised.
        dispatch = partial(self._dispatch, fresh=True)
        return await cache.invoke(policy, request, timeout_seconds, principal, dispatch)

    async def invoke_forwarded(
        self, request: pb.InvokeRequest, timeout_seconds: float, how: Forwarded
    ) -> pb.InvokeResponse:
        """Answer a call that another coordinator has passed on, by an agent of ours or not at all.

        Raises:
            NothingDone: No agent has got the call.
            BellwireError: See `invoke`.
        """
        _check(request)
        policy = None if how.fresh else self._state.cache.policy(request)
        dispatch, seconds, principal = self._dispatch_forwarded, timeout_seconds, how.principal
        try:
            if policy is None or seconds <= 0:
                return await dispatch(request, seconds, principal)
            return await self._state.cache.invoke(policy, request, seconds, principal, dispatch)
        except BellwireError as error:
            if error in self._sent_to_nobody:
                raise NothingDone(error) from None
            raise

    async def _dispatch(
        self,
        request: pb.InvokeRequest,
        timeout_seconds: float,
        principal: str,
        *,
        fresh: bool = False,
    ) -> pb.InvokeResponse:
        """Send one call to one agent, wherever it is, and await its result; fresh = no other one's cache answers."""
        federation = self._state.federation
        if federation is None:
            return await self._dispatch_here(request, timeout_seconds, principal)
        return await self._dispatch_anywhere(
            federation, request, timeout_seconds, principal, fresh=fresh
        )

    async def _dispatch_here(
        self, request: pb.InvokeRequest, timeout_seconds: float, principal: str
    ) -> pb.InvokeResponse:
        """Send one call to one agent that is connected here."""
        self._check_room(timeout_seconds)
        session = self._state.router.choose(request.capability, request.routing)
        return await self._send(session, request, timeout_seconds, principal)

    async def _dispatch_forwarded(
        self, request: pb.InvokeRequest, timeout_seconds: float, principal: str
    ) -> pb.InvokeResponse:
        """Do the same, and remember the error of a call that no agent has got."""
        try:
            self._check_room(timeout_seconds)
            session = self._state.router.choose(request.capability, request.routing)
        except BellwireError as error:
            self._sent_to_nobody.add(error)
            raise
        return await self._send(session, request, timeout_seconds, principal)

    async def _dispatch_anywhere(
        self,
        federation: Federation,
        request: pb.InvokeRequest,
        timeout_seconds: float,
        principal: str,
        *,
        fresh: bool,
    ) -> pb.InvokeResponse:
        """Send one call to an agent, here or at another coordinator; the next one only if nothing was done."""
        self._check_room(timeout_seconds)
        deadline = time.monotonic() + timeout_seconds
        refused: dict[str, BellwireError] = {}
        while True:
            now = time.monotonic()
            if len(refused) >= PLACES_ASKED_MAX or (refused and now >= deadline):
                raise list(refused.values())[-1]
            try:
                callee = federation.fleet.choose(request.capability, request.routing, now, refused)
            except NoCapableAgentError:
                # What a coordinator has said tells more than that there is no other one.
                if refused:
                    raise list(refused.values())[-1] from None
                raise
            left = deadline - now
            if isinstance(callee, AgentSession):
                return await self._send(callee, request, left, principal)
            self._in_flight += 1
            try:
                return await federation.forwarder.invoke(
                    callee, request, left, principal, fresh=fresh
                )
            except NothingDone as nothing:
                refused[callee.place.id] = nothing.error
            finally:
                self._in_flight -= 1

    def _check_room(self, timeout_seconds: float) -> None:
        if self._in_flight >= self._state.settings.calls_in_flight_max:
            raise CapacityError(
                f"{self._in_flight} calls are in flight, that is the limit: slow down"
            )
        if timeout_seconds <= 0:
            raise _had_passed()

    async def _send(
        self,
        session: AgentSession,
        request: pb.InvokeRequest,
        timeout_seconds: float,
        principal: str,
    ) -> pb.InvokeResponse:
        """Send one call to one agent of ours and await its result."""
        stream = self._streams[session]
        frame = self._frame(request, timeout_seconds, principal)
        call_id = frame.call.call_id
        started = time.monotonic_ns()
        self._in_flight += 1
        session.in_flight += 1
        reason = "caller gone"
        try:
            future = stream.call(frame)
            async with asyncio.timeout(timeout_seconds):
                result = await future
        except TimeoutError:
            reason = "deadline"
            raise DeadlineExceededError(
                f"agent {session.agent.agent_id!r} did not answer {request.capability!r} within "
                f"{timeout_seconds:.3g} s; whether it did the work is unknown",
                metadata={"agent_id": session.agent.agent_id, "capability": request.capability},
            ) from None
        finally:
            self._in_flight -= 1
            session.in_flight -= 1
            stream.forget(call_id, reason)
        _check_result(result, request.capability, session.agent.agent_id)
        return pb.InvokeResponse(
            result=result.result,
            content_type=result.content_type or JSON_CONTENT_TYPE,
            is_error=result.is_error,
            agent_id=session.agent.agent_id,
            duration_micros=(time.monotonic_ns() - started) // 1000,
        )

    def _is_live(self, session: AgentSession) -> bool:
        try:
            return self._state.registry.get(session.agent.agent_id) is session
        except BellwireError:
            return False

    def _frame(
        self, request: pb.InvokeRequest, timeout_seconds: float, principal: str
    ) -> ConnectResponse:
        """Make the frame of a call; filled in place, for a call made apart is one more copy of its arguments."""
        frame = ConnectResponse()
        call = frame.call
        call.call_id = str(next(self._ids))
        call.capability = request.capability
        call.arguments = request.arguments
        call.content_type = request.content_type or JSON_CONTENT_TYPE
        call.deadline_unix_nano = time.time_ns() + int(timeout_seconds * 1e9)
        call.traceparent = request.traceparent
        call.tracestate = request.tracestate
        call.attempt = 1
        call.request_id = request.request_id
        call.principal = principal
        return frame


def _had_passed() -> DeadlineExceededError:
    return DeadlineExceededError("the call's deadline had passed when it arrived")


def _check(request: pb.InvokeRequest) -> None:
    if not request.capability:
        raise CallerError("call names no capability: `bellwire call --list` shows those there are")
    if len(request.arguments) > ARGUMENTS_BYTES_MAX:
        raise PayloadTooLargeError(
            f"arguments hold {len(request.arguments)} bytes, limit is {ARGUMENTS_BYTES_MAX}",
            metadata={"limit": str(ARGUMENTS_BYTES_MAX)},
        )


def _check_result(result: CallResult, capability: str, agent_id: str) -> None:
    if result.WhichOneof("outcome") == "error":
        raise _agent_error(result.error, agent_id)
    if len(result.result) > RESULT_BYTES_MAX:
        raise AgentFailedError(
            f"agent {agent_id!r} answered {capability!r} with {len(result.result)} bytes, "
            f"limit is {RESULT_BYTES_MAX}: publish large data to a topic",
            metadata={"agent_id": agent_id, "limit": str(RESULT_BYTES_MAX)},
        )


def _agent_error(item: ItemError, agent_id: str) -> BellwireError:
    error = from_item_error(item)
    if type(error) is BellwireError and not item.reason:
        error = AgentFailedError(error.message, metadata=error.metadata)
    error.metadata.setdefault("agent_id", agent_id)
    return error


class InvocationService:
    """Calls capabilities of agents."""

    def __init__(self, state: CoordinatorState, dispatcher: Dispatcher) -> None:
        self._state = state
        self._dispatcher = dispatcher

    async def Invoke(
        self, request: pb.InvokeRequest, context: ServicerContext
    ) -> pb.InvokeResponse:
        """Route one call."""
        timeout = time_left(context, self._state.settings.call_timeout_seconds)
        federation = self._state.federation
        if federation is not None:
            how = forwarded(context, federation.place.id)
            if how is not None:  # Under its request id it is carried out once where it was called.
                return await self._forwarded(request, context, timeout, how)

        async def carry_out() -> pb.InvokeResponse:
            return await self._dispatcher.invoke(request, timeout)

        return await once(self._state, INVOKE, request, pb.InvokeResponse, carry_out, wait=False)

    async def _forwarded(
        self,
        request: pb.InvokeRequest,
        context: ServicerContext,
        timeout_seconds: float,
        how: Forwarded,
    ) -> pb.InvokeResponse:
        try:
            return await self._dispatcher.invoke_forwarded(request, timeout_seconds, how)
        except NothingDone as nothing:
            say_nothing_done(context)
            raise nothing.error from None
