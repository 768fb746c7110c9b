"""All agents that can be called from here: those connected to this coordinator, and those of others. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from random import randrange as _randrange
from typing import TYPE_CHECKING, TypeAlias

from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_TOOL, AgentStatus, Capability
from bellwire.agent.v1.invocation_pb2 import (
    ROUTING_POLICY_PINNED,
    ROUTING_POLICY_STICKY,
    Routing,
)
from bellwire.coordinator.core.registry import AgentSession, Registry
from bellwire.coordinator.core.remotes import RemoteAgent, RemoteAgents
from bellwire.coordinator.core.routing import Router, all_busy, not_alive, rendezvous
from bellwire.wire.errors import BellwireError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Callee", "Fleet", "NothingDone"]

Callee: TypeAlias = AgentSession | RemoteAgent


class NothingDone(Exception):
    """A coordinator surely has not sent a call to any agent.

    Attributes:
        error: Why.
    """

    def __init__(self, error: BellwireError) -> None:
        self.error = error
        super().__init__(error.message)


class Fleet:
    """Chooses and lists among the agents of this coordinator and of others.

    An agent of ours that has room comes first: it costs no second hop. An id that is both here and elsewhere, as for a
    moment when an agent moves, is here.

    Args:
        registry: Agents connected here.
        router: Chooses among them.
        remotes: Agents connected elsewhere.
        address: Of this coordinator, for the directory.
    """

    def __init__(
        self,
        registry: Registry,
        router: Router,
        remotes: RemoteAgents,
        address: str,
        randrange: Callable[[int], int] = _randrange,
    ) -> None:
        self.remotes = remotes
        self._registry = registry
        self._router = router
        self._address = address
        self._elsewhere = Router(registry, randrange)

    @property
    def revision(self) -> int:
        """Grows whenever an agent comes or goes, here or elsewhere."""
        return self._registry.revision + self.remotes.revision

    def with_capability(self, name: str) -> Sequence[Callee]:
        """Return the live agents that have a capability, possibly none, ours first."""
        return [*self._registry.with_capability(name), *self._remote(name)]

    def choose(
        self, capability: str, routing: Routing, now: float, without: Collection[str] = ()
    ) -> Callee:
        """Return the agent for one call.

        Args:
            capability: Asked for.
            routing: How to choose.
            now: Monotonic seconds.
            without: Ids of coordinators that are not to be asked.

        Raises:
            NoCapableAgentError: No live agent has the capability.
            AgentBusyError: All that may be chosen are full.
            CallerError: The policy is not known, or its argument is missing.
        """
        self.remotes.expire(now)
        here = self._registry.with_capability(capability)
        there = [a for a in self._remote(capability) if a.place.id not in without]
        if not there:
            return self._router.choose(capability, routing)
        if routing.policy == ROUTING_POLICY_STICKY:
            # Over all of them, so that every coordinator finds the same one.
            live: list[Callee] = [*here, *there]
            chosen = rendezvous(live, routing.routing_key)
            return self._unless_full(capability, [chosen])
        if routing.policy == ROUTING_POLICY_PINNED:
            named = [a for a in there if a.agent.agent_id == routing.agent_id]
            if named:
                return self._unless_full(capability, named)
            if not here:
                raise not_alive(capability, routing.agent_id)
            return self._router.choose(capability, routing)
        if any(session.has_room for session in here):
            return self._router.choose(capability, routing)
        free = [agent for agent in there if agent.has_room]
        if not free:
            raise all_busy(capability, len(here) + len(there))
        return self._elsewhere.pick(capability, free, routing)

    def statuses(self, now: float, now_ns: int) -> list[AgentStatus]:
        """Describe all agents in the order of their ids."""
        self.remotes.expire(now)
        here = self._registry.statuses(now, now_ns)
        for status in here:
            status.coordinator = self._address
        there = [
            agent.status()
            for agent in self.remotes.agents()
            if agent.agent.agent_id not in self._registry
        ]
        return sorted((*here, *there), key=lambda status: status.agent.agent_id)

    def status(self, agent_id: str, now: float, now_ns: int) -> AgentStatus:
        """Describe one agent.

        Raises:
            UnknownAgentError: There is none of that id.
        """
        if (agent := self.elsewhere(agent_id, now)) is not None:
            return agent.status()
        status = self._registry.status(agent_id, now, now_ns)
        status.coordinator = self._address
        return status

    def elsewhere(self, agent_id: str, now: float) -> RemoteAgent | None:
        """Return an agent that is connected to another coordinator; None = it is not."""
        self.remotes.expire(now)
        return None if agent_id in self._registry else self.remotes.get(agent_id)

    def capability_names(self) -> set[str]:
        """Return the names of what the live agents can be called for."""
        return {*self._registry.capability_names(), *self.remotes.capabilities()}

    def tools(self, now: float) -> Iterable[tuple[Capability, int]]:
        """Iterate over tools in the order of their names, each with its number of agents.

        Where agents describe a tool differently, ours speaks for it, else the one heard of first.
        """
        self.remotes.expire(now)
        for name in sorted(self.capability_names()):
            agents = self.with_capability(name)
            if not agents:
                continue  # All of them are here under the same id, as something else.
            capability = agents[0].capabilities[name]
            if capability.kind == CAPABILITY_KIND_TOOL:
                yield capability, len(agents)

    def _remote(self, capability: str) -> list[RemoteAgent]:
        found = self.remotes.with_capability(capability)
        return [agent for agent in found if agent.agent.agent_id not in self._registry]

    def _unless_full(self, capability: str, chosen: Sequence[Callee]) -> Callee:
        if not chosen[0].has_room:
            raise all_busy(capability, len(chosen))
        return chosen[0]
