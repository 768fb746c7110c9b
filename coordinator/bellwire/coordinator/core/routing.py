"""Routing: which agent gets a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import randrange as _randrange
from typing import Protocol, TypeVar

from bellwire.agent.v1.agent_pb2 import Agent
from bellwire.agent.v1.invocation_pb2 import (
    ROUTING_POLICY_LEAST_LOADED,
    ROUTING_POLICY_PINNED,
    ROUTING_POLICY_ROUND_ROBIN,
    ROUTING_POLICY_STICKY,
    ROUTING_POLICY_UNSPECIFIED,
    Routing,
)
from bellwire.coordinator.core.registry import AgentSession, Registry
from bellwire.policy.balancer import pick_of_two
from bellwire.wire.errors import AgentBusyError, CallerError, NoCapableAgentError

BUSY_RETRY_SECONDS = 0.05  # About the time of a few short calls.


class Candidate(Protocol):
    """An agent that may get a call, connected here or elsewhere."""

    @property
    def agent(self) -> Agent:
        """As registered."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether it takes one more call."""
        ...

    @property
    def work(self) -> float:
        """How busy it is, for comparing."""
        ...


CandidateT = TypeVar("CandidateT", bound=Candidate)


class Router:
    """Chooses among the live agents that have a capability."""

    def __init__(self, registry: Registry, randrange: Callable[[int], int] = _randrange) -> None:
        self._registry = registry
        self._randrange = randrange
        self._turns: dict[str, int] = {}

    def choose(self, capability: str, routing: Routing) -> AgentSession:
        """Return the agent for one call.

        Raises:
            NoCapableAgentError: No live agent has the capability.
            AgentBusyError: All that may be chosen are full.
            CallerError: The policy is not known, or its argument is missing.
        """
        live = self._registry.with_capability(capability)
        if not live:
            self._turns.pop(capability, None)
            raise NoCapableAgentError(
                f"no live agent has {capability!r}: start one, or see `bellwire agents list`",
                metadata={"capability": capability},
            )
        if routing.policy == ROUTING_POLICY_PINNED:
            live = [session for session in live if session.agent.agent_id == routing.agent_id]
            if not live:
                raise not_alive(capability, routing.agent_id)
        if routing.policy == ROUTING_POLICY_STICKY:
            # The same agent or none: another one would not hold the state the key stands for.
            live = [rendezvous(live, routing.routing_key)]
        free = [session for session in live if session.has_room]
        if not free:
            raise all_busy(capability, len(live))
        return self.pick(capability, free, routing)

    def pick(self, capability: str, free: Sequence[CandidateT], routing: Routing) -> CandidateT:
        """Return one of some that have room.

        Raises:
            CallerError: The policy is not known.
        """
        if routing.policy in (ROUTING_POLICY_UNSPECIFIED, ROUTING_POLICY_LEAST_LOADED):
            return pick_of_two(free, lambda candidate: candidate.work, self._randrange)
        if routing.policy == ROUTING_POLICY_ROUND_ROBIN:
            turn = self._turns[capability] = self._turns.get(capability, -1) + 1
            return free[turn % len(free)]
        if routing.policy in (ROUTING_POLICY_PINNED, ROUTING_POLICY_STICKY):
            return free[0]
        raise CallerError(
            f"routing policy {routing.policy} is not known: use LEAST_LOADED, ROUND_ROBIN, STICKY or PINNED",
            metadata={"policy": str(routing.policy)},
        )


def not_alive(capability: str, agent_id: str) -> NoCapableAgentError:
    """Return the refusal of a call to one agent that cannot get it."""
    return NoCapableAgentError(
        f"agent {agent_id!r} is not alive or does not have {capability!r}",
        metadata={"capability": capability, "agent_id": agent_id},
    )


def all_busy(capability: str, agents: int) -> AgentBusyError:
    """Return the refusal of a call for which all agents that may be chosen are full."""
    return AgentBusyError(
        f"all {agents} agents with {capability!r} are full: try again",
        metadata={"capability": capability, "agents": str(agents)},
        retry_delay_seconds=BUSY_RETRY_SECONDS,
    )


def rendezvous(live: Sequence[CandidateT], key: str) -> CandidateT:
    """Return the agent with the highest weight for the key, so that few keys move when agents do.

    Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998).
    """
    if not key:
        raise CallerError("routing policy STICKY needs a routing_key")

    def weight(candidate: CandidateT) -> bytes:
        # A cryptographic hash: crc32 is linear, and would give one of three agents half of the keys.
        return blake2b(f"{key}\0{candidate.agent.agent_id}".encode(), digest_size=8).digest()

    return max(live, key=weight)
