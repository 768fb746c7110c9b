"""AgentService: agents register here, take calls and report their load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

import grpc

from bellwire.agent.v1 import agent_pb2 as pb
from bellwire.coordinator.core.registry import AgentSession, checked_agent
from bellwire.coordinator.services.duplex import Outbox, check_first_arm, read_first, run_both
from bellwire.coordinator.services.forwarded import forwarded
from bellwire.coordinator.services.paging import page_of
from bellwire.coordinator.state import CoordinatorState
from bellwire.transport.serving.status import ServicerContext, time_left
from bellwire.wire.errors import (
    AgentLostError,
    CallerError,
    DrainingError,
    LeaseExpiredError,
    UnknownFrameError,
)

OUTBOX_FRAMES_MAX: Final = 20_000  # Calls and cancels of the most an agent may have in flight.
RECONNECT_AFTER_MILLIS: Final = 100


class AgentStream:
    """One agent's stream: its session in the registry and the calls it has not answered."""

    def __init__(self, state: CoordinatorState, context: ServicerContext) -> None:
        self._state = state
        self._context = context
        self._outbox: Outbox[pb.ConnectResponse] = Outbox(OUTBOX_FRAMES_MAX)
        self._calls: dict[str, asyncio.Future[pb.CallResult]] = {}

    reads = False

    def drain(self, *, at_once: bool) -> None:
        """Tell the agent that the server is about to go away."""
        draining = pb.AgentDraining(reconnect_after_millis=RECONNECT_AFTER_MILLIS)
        self._outbox.put(pb.ConnectResponse(draining=draining))

    def call(self, frame: pb.ConnectResponse) -> asyncio.Future[pb.CallResult]:
        """Send the frame of a call; the future raises AgentLostError when the stream ends first."""
        future: asyncio.Future[pb.CallResult] = asyncio.get_running_loop().create_future()
        self._outbox.put(frame)
        self._calls[frame.call.call_id] = future
        return future

    def forget(self, call_id: str, reason: str) -> None:
        """Tell the agent that nobody waits for a call any more."""
        if self._calls.pop(call_id, None) is not None:
            self._outbox.put(
                pb.ConnectResponse(cancel=pb.CancelCall(call_id=call_id, reason=reason))
            )

    async def run(self, on_open: Callable[[AgentSession, AgentStream], None]) -> None:
        """Serve the stream until it ends or its lease does."""
        first = await read_first(self._context)
        if first is grpc.aio.EOF:
            return
        check_first_arm(first.WhichOneof("frame"), "register", "agent")
        if self._state.draining:
            raise DrainingError("coordinator is shutting down: reconnect")
        self._state.open_stream(self)
        try:
            await self._serve(first.register, on_open)
        finally:
            self._state.close_stream(self)

    async def _serve(
        self, register: pb.Register, on_open: Callable[[AgentSession, AgentStream], None]
    ) -> None:
        session = await self._register(register)
        self._outbox.put(
            pb.ConnectResponse(
                registered=pb.Registered(
                    lease_id=session.lease_id, lease_millis=round(session.lease_seconds * 1000)
                )
            )
        )
        on_open(session, self)
        try:
            self._watch_lease(session)
            await run_both(self._read(session), self._write(session), self._outbox.broken)
        finally:
            self._state.registry.remove(session)
            if self._state.federation is not None:
                self._state.federation.left(session)
            self._lose_calls(session)

    async def _register(self, register: pb.Register) -> AgentSession:
        federation = self._state.federation
        if federation is None:
            return self._registered(register)
        agent_id = checked_agent(register.agent).agent_id
        async with federation.claimed(agent_id):
            session = self._registered(register)
        federation.joined(session, self._outbox.break_off)
        return session

    def _registered(self, register: pb.Register) -> AgentSession:
        return self._state.registry.register(
            register.agent, register.lease_millis, str(uuid4()), time.monotonic(), time.time_ns()
        )

    async def _read(self, session: AgentSession) -> None:
        read = self._context.read
        while (request := await read()) is not grpc.aio.EOF:
            session.renew(time.monotonic())
            match request.WhichOneof("frame"):
                case "result":
                    future = self._calls.pop(request.result.call_id, None)
                    # A call whose caller gave up may still be answered; that answer has no reader.
                    if future is not None and not future.done():
                        future.set_result(request.result)
                case "load_report":
                    session.load = request.load_report
                case "heartbeat":
                    pass  # Reading it renewed the lease.
                case "register":
                    raise CallerError(
                        "`register` came twice: it is the first frame, and only the first"
                    )
                case _:
                    raise UnknownFrameError("agent frame carries no arm this server knows")
        self._outbox.close()

    async def _write(self, session: AgentSession) -> None:
        heartbeat = min(self._state.settings.heartbeat_seconds, session.lease_seconds / 3)
        while True:
            try:
                frame = await self._outbox.take(heartbeat)
            except TimeoutError:
                beat = pb.AgentHeartbeat(time_unix_nano=time.time_ns())
                frame = pb.ConnectResponse(heartbeat=beat)
            if frame is None:
                return
            await self._context.write(frame)

    def _watch_lease(self, session: AgentSession) -> None:
        """End the stream with its lease, be the writer idle, busy or stuck; look again when renewed."""
        if self._outbox.broken.done():
            return
        left = session.expires - time.monotonic()
        if left > 0:
            asyncio.get_running_loop().call_later(left, self._watch_lease, session)
            return
        self._outbox.break_off(
            LeaseExpiredError(
                f"agent {session.agent.agent_id!r} sent nothing for {session.lease_seconds:g} s: "
                "its lease has ended, register again",
                metadata={"agent_id": session.agent.agent_id},
            )
        )

    def _lose_calls(self, session: AgentSession) -> None:
        for future in self._calls.values():
            if not future.done():
                future.set_exception(
                    AgentLostError(
                        f"agent {session.agent.agent_id!r} went away before it answered; "
                        "whether it did the work is unknown",
                        metadata={"agent_id": session.agent.agent_id},
                    )
                )
        self._calls.clear()


class AgentService:
    """Where agents register and take calls."""

    def __init__(
        self, state: CoordinatorState, on_open: Callable[[AgentSession, AgentStream], None]
    ) -> None:
        self._state = state
        self._on_open = on_open

    async def Connect(self, _: object, context: ServicerContext) -> None:
        """Serve one agent."""
        await AgentStream(self._state, context).run(self._on_open)

    async def ListAgents(
        self, request: pb.ListAgentsRequest, context: ServicerContext
    ) -> pb.ListAgentsResponse:
        """List live agents."""
        federation = self._state.federation
        known = self._state.registry if federation is None else federation.fleet
        statuses = known.statuses(time.monotonic(), time.time_ns())
        if request.capability:
            statuses = [
                status
                for status in statuses
                if any(c.name == request.capability for c in status.agent.capabilities)
            ]
        page, token = page_of(
            statuses, lambda s: s.agent.agent_id, request.page_size, request.page_token
        )
        return pb.ListAgentsResponse(agents=page, next_page_token=token)

    async def GetAgent(
        self, request: pb.GetAgentRequest, context: ServicerContext
    ) -> pb.GetAgentResponse:
        """Describe one agent."""
        federation = self._state.federation
        known = self._state.registry if federation is None else federation.fleet
        status = known.status(request.agent_id, time.monotonic(), time.time_ns())
        return pb.GetAgentResponse(agent=status)

    async def DrainAgent(
        self, request: pb.DrainAgentRequest, context: ServicerContext
    ) -> pb.DrainAgentResponse:
        """Send an agent no new calls."""
        federation = self._state.federation
        if federation is not None and forwarded(context, federation.place.id) is None:
            agent = federation.fleet.elsewhere(request.agent_id, time.monotonic())
            if agent is not None:
                timeout = time_left(context, self._state.settings.call_timeout_seconds)
                in_flight = await federation.forwarder.drain(agent, timeout)
                return pb.DrainAgentResponse(in_flight=in_flight)
        session = self._state.registry.get(request.agent_id)
        session.draining = True
        if federation is not None:
            federation.changed()
        return pb.DrainAgentResponse(in_flight=session.in_flight)
