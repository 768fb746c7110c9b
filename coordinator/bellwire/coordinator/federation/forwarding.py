"""Passes a call on to the coordinator to which its agent is connected, and tells what became of it.

A call is passed on once: the request names the coordinator it is meant for, and whoever is named passes nothing on.
Who is not the one that is named, be it that it serves no more or that somebody else has its address, refuses.

What the other coordinator says keeps its class and metadata. Where it says nothing, because the connection broke,
whether the work was done is unknown (AGENT_LOST); where the connection never stood, or it says that it sent the call to
nobody, nothing was done, and another one may be asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import grpc

from bellwire.agent.v1.agent_pb2 import DrainAgentRequest
from bellwire.coordinator.core.fleet import NothingDone
from bellwire.coordinator.core.remotes import RemoteAgent, RemoteAgents
from bellwire.coordinator.federation.peers import Peer, PeerChannels
from bellwire.coordinator.services.forwarded import forwarding_metadata, is_nothing_done
from bellwire.coordinator.tracing import end_forward_span, forward_span
from bellwire.telemetry import inject
from bellwire.transport.address import AddressError
from bellwire.transport.serving.status import DETAILS_KEY
from bellwire.transport.status import error_from_rpc
from bellwire.wire.errors import (
    AgentBusyError,
    AgentLostError,
    BellwireError,
    CapacityError,
    DeadlineExceededError,
    NoCapableAgentError,
    NotOwnerError,
    PeerError,
)

if TYPE_CHECKING:
    from bellwire.agent.v1.invocation_pb2 import InvokeRequest, InvokeResponse

__all__ = ["Forwarder"]

CONNECT_SECONDS: Final = (
    1.0  # A handshake on a network between coordinators; who takes longer is passed over.
)
BUSY_RETRY_SECONDS: Final = 0.05
NANOS_PER_MICRO: Final = 1_000


class Forwarder:
    """Sends calls to other coordinators.

    Args:
        remotes: Where agents are; coordinators that do not serve are taken out of it.
        peers: Connections.
        shun_seconds: How long one that does not serve is not asked again.
    """

    def __init__(self, remotes: RemoteAgents, peers: PeerChannels, shun_seconds: float) -> None:
        self._remotes = remotes
        self._peers = peers
        self._shun_seconds = shun_seconds

    async def invoke(
        self,
        agent: RemoteAgent,
        request: InvokeRequest,
        timeout_seconds: float,
        principal: str,
        *,
        fresh: bool,
    ) -> InvokeResponse:
        """Have the coordinator of an agent answer a call, by that agent or another one of its own.

        Args:
            agent: Which was chosen.
            request: The call.
            timeout_seconds: Until its deadline.
            principal: Who calls.
            fresh: Whether its cache is to be left out: the answer is kept here.

        Raises:
            NothingDone: No agent has got the call.
            AgentLostError: The coordinator went away; whether the work was done is unknown.
            BellwireError: What the coordinator, or the agent, answered instead.
        """
        began = time.monotonic_ns()
        deadline = time.monotonic() + timeout_seconds
        peer = self._peer(agent, request.capability)
        sent, span = request, forward_span(request, agent.place.address)
        if span is not None:
            sent = type(request)()
            sent.CopyFrom(request)
            sent.traceparent, sent.tracestate = inject(span)
        metadata = forwarding_metadata(agent.place.id, principal, fresh=fresh)
        failure: BaseException | None = None
        agent.forwarded += 1
        try:
            with self._turn(peer, request.capability):
                await self._connected(agent, peer, request.capability, timeout_seconds)
                left = max(0.001, deadline - time.monotonic())
                try:
                    response = await peer.invocation.Invoke(sent, timeout=left, metadata=metadata)
                except grpc.aio.AioRpcError as error:
                    raise self._judged(error, agent, request.capability, timeout_seconds) from None
        except BaseException as error:
            failure = error
            raise
        finally:
            agent.forwarded -= 1
            end_forward_span(span, failure)
        response.duration_micros = (time.monotonic_ns() - began) // NANOS_PER_MICRO
        return response

    async def drain(self, agent: RemoteAgent, timeout_seconds: float) -> int:
        """Have an agent get no new calls; return how many are in flight to it.

        Raises:
            BellwireError: Its coordinator does not answer, or what it answered.
        """
        agent_id = agent.agent.agent_id
        metadata = forwarding_metadata(agent.place.id, "", fresh=False)
        try:
            peer = self._peer(agent, agent_id)
            with self._turn(peer, agent_id):
                await self._connected(agent, peer, agent_id, timeout_seconds)
                response = await peer.agents.DrainAgent(
                    DrainAgentRequest(agent_id=agent_id), timeout=timeout_seconds, metadata=metadata
                )
        except NothingDone as nothing:
            raise nothing.error from None
        except grpc.aio.AioRpcError as error:
            doing = f"draining agent {agent_id!r} at {agent.place.address}"
            raise error_from_rpc(error, doing) from None
        return response.in_flight

    def _peer(self, agent: RemoteAgent, what: str) -> Peer:
        try:
            return self._peers.to(agent.place.address)
        except (AddressError, CapacityError) as error:
            raise NothingDone(_unreachable(agent, what, error.message)) from None

    @contextmanager
    def _turn(self, peer: Peer, what: str) -> Iterator[None]:
        """Count a request as under way; too many of them are agents that are busy."""
        try:
            peer.begin()
        except CapacityError as error:
            raise NothingDone(
                AgentBusyError(
                    f"{what!r}: {error.message}",
                    metadata=error.metadata,
                    retry_delay_seconds=BUSY_RETRY_SECONDS,
                )
            ) from None
        try:
            yield
        finally:
            peer.end()

    async def _connected(
        self, agent: RemoteAgent, peer: Peer, what: str, timeout_seconds: float
    ) -> None:
        """Wait for the connection; it stands already, as a rule."""
        deadline = time.monotonic() + timeout_seconds
        if await peer.ready(min(CONNECT_SECONDS, timeout_seconds)):
            return
        if (
            time.monotonic() >= deadline
        ):  # That says more of the caller's patience than of the peer.
            raise DeadlineExceededError(
                f"{what!r}: coordinator {agent.place.address} was not reached within {timeout_seconds:.3g} s; nothing "
                "was sent",
                metadata={"agent_id": agent.agent.agent_id, "coordinator": agent.place.address},
            )
        self._shun(agent)
        raise NothingDone(_unreachable(agent, what, "it cannot be reached"))

    def _shun(self, agent: RemoteAgent) -> None:
        self._remotes.shun(agent.place.id, time.monotonic() + self._shun_seconds)

    def _judged(
        self,
        error: grpc.aio.AioRpcError,
        agent: RemoteAgent,
        capability: str,
        timeout_seconds: float,
    ) -> Exception:
        """Return what a failed call is to its caller."""
        said = error_from_rpc(error)
        trailers = error.trailing_metadata() or ()
        metadata = {
            "agent_id": agent.agent.agent_id,
            "capability": capability,
            "coordinator": agent.place.address,
        }
        if not any(key == DETAILS_KEY for key, _ in trailers):
            return _unsaid(error, said, agent, capability, timeout_seconds, metadata)
        if is_nothing_done(trailers):
            return NothingDone(said)
        by_agent = "agent_id" in said.metadata
        if isinstance(said, NotOwnerError) and not by_agent:
            self._shun(agent)
            return NothingDone(_unreachable(agent, capability, "it is not active any more"))
        if type(said) is PeerError and not by_agent:
            self._shun(agent)
            return AgentLostError(
                f"coordinator {agent.place.address}, to which agent {metadata['agent_id']!r} is connected, stopped "
                f"serving before it answered {capability!r}; whether the work was done is unknown",
                metadata=metadata,
            )
        return said


def _unreachable(agent: RemoteAgent, what: str, why: str) -> NoCapableAgentError:
    return NoCapableAgentError(
        f"{what!r}: agent {agent.agent.agent_id!r} is connected to coordinator {agent.place.address}, and {why}; "
        "nothing was sent",
        metadata={"agent_id": agent.agent.agent_id, "coordinator": agent.place.address},
    )


def _unsaid(
    error: grpc.aio.AioRpcError,
    said: BellwireError,
    agent: RemoteAgent,
    capability: str,
    timeout_seconds: float,
    metadata: dict[str, str],
) -> BellwireError:
    """Return what a status is that no coordinator of ours has written."""
    name = f"agent {agent.agent.agent_id!r}"
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceededError(
                f"{name} at coordinator {agent.place.address} did not answer {capability!r} within "
                f"{timeout_seconds:.3g} s; whether it did the work is unknown",
                metadata=metadata,
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED | grpc.StatusCode.UNIMPLEMENTED:
            said.metadata.update(metadata)
            return said
        case code:
            return AgentLostError(
                f"the connection to coordinator {agent.place.address}, to which {name} is connected, "
                f"broke before {capability!r} was answered ({code.name}: {error.details() or 'no more was said'}); "
                "whether the work was done is unknown",
                metadata=metadata,
            )
