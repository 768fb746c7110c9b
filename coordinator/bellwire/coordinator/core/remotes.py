"""Agents connected to other coordinators, as those tell of them. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from bellwire.agent.v1.agent_pb2 import Agent, AgentStatus, LoadReport

__all__ = ["AGENTS_KNOWN_MAX", "Place", "RemoteAgent", "RemoteAgents"]

AGENTS_KNOWN_MAX: Final = 20_000  # Of all other coordinators together; policy DROP_NEWEST.
SHUNNED_MAX: Final = (
    1_000  # Coordinators that are not believed for a while; the oldest are forgotten.
)


@dataclass(frozen=True, slots=True)
class Place:
    """A coordinator while it is active.

    Attributes:
        id: Of this time of its being active.
        group: Its group.
        address: Where it is reached.
    """

    id: str
    group: str
    address: str


class RemoteAgent:
    """An agent connected to another coordinator.

    Attributes:
        agent: As it registered there.
        place: Where it is connected.
        capabilities: By name.
        draining: Whether it takes no new calls.
        load: Its latest report.
        forwarded: Calls sent there from here and not ended.
        order: Grows with each agent heard of.
    """

    def __init__(self, place: Place, registered: AgentStatus, order: int) -> None:
        self.agent: Agent = registered.agent
        self.place = place
        self.capabilities = {c.name: c for c in self.agent.capabilities}
        self.draining = False
        self.load = LoadReport()
        self.forwarded = 0
        self.order = order
        self._others = 0
        self._registered_ns = registered.register_time_unix_nano
        self._lease_ns = registered.lease_expire_time_unix_nano

    @property
    def in_flight(self) -> int:
        """Calls dispatched to it, as far as is known here: those of others are as old as its coordinator's word."""
        return self._others + self.forwarded

    @property
    def has_room(self) -> bool:
        """Whether it takes one more call, as far as is known here."""
        return not self.draining and self.in_flight < self.agent.max_in_flight

    @property
    def work(self) -> float:
        """How busy it is, for comparing: calls here and there, against what it takes at once."""
        return (self.in_flight + self.load.queue_depth) / max(1, self.agent.max_in_flight)

    def told(self, status: AgentStatus) -> None:
        """Take how busy it is; our own calls are among those it tells of."""
        self._others = max(0, status.in_flight - self.forwarded)
        self.draining = status.draining
        self.load = status.load
        self._lease_ns = status.lease_expire_time_unix_nano

    def status(self) -> AgentStatus:
        """Describe it for the directory."""
        return AgentStatus(
            agent=self.agent,
            load=self.load,
            in_flight=self.in_flight,
            lease_expire_time_unix_nano=self._lease_ns,
            register_time_unix_nano=self._registered_ns,
            draining=self.draining,
            coordinator=self.place.address,
        )


@dataclass(slots=True)
class _Told:
    """What one coordinator has told."""

    place: Place
    expires: float
    revision: int | None = None  # Of the roster we have; None = we have none.
    wanted: int = 0
    agents: dict[str, RemoteAgent] = field(default_factory=dict)
    loads: dict[str, AgentStatus] = field(default_factory=dict)


class RemoteAgents:
    """Agents of all other coordinators, by id and by capability, each until its coordinator's record ends.

    An id that two of them tell of, as for a moment when an agent moves, is where it was heard of last.

    Attributes:
        revision: Grows whenever an agent comes or goes.
        left_out: Agents not known for want of room.
    """

    def __init__(self, agents_max: int = AGENTS_KNOWN_MAX) -> None:
        self._agents_max = agents_max
        self.revision = 0
        self.left_out = 0
        self._told: dict[str, _Told] = {}
        self._shunned: dict[str, float] = {}
        self._by_id: dict[str, RemoteAgent] = {}
        self._by_capability: defaultdict[str, list[RemoteAgent]] = defaultdict(list)
        self._next_end = inf
        self._order = 0

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def places(self) -> list[Place]:
        """Coordinators known now."""
        return [told.place for told in self._told.values()]

    # ------------------------------------------------------------ what others tell

    def heard(
        self, place: Place, revision: int, loads: Iterable[AgentStatus], expires: float, now: float
    ) -> bool:
        """Take the head of a coordinator's record; True = its roster is wanted.

        Args:
            place: Whose.
            revision: Of its roster.
            loads: How busy its agents are.
            expires: When the record ends unless renewed, on the caller's monotonic clock.
            now: On the same.
        """
        if now >= expires or now < self._shunned.get(place.id, -inf):
            return False
        told = self._told.get(place.id)
        if told is None or told.place != place:
            told = self._told[place.id] = _Told(place, expires)
        told.expires = max(told.expires, expires)
        told.wanted = revision
        told.loads = {status.agent.agent_id: status for status in loads}
        for agent_id, agent in told.agents.items():
            if (status := told.loads.get(agent_id)) is not None:
                agent.told(status)
        self._next_end = min(self._next_end, told.expires)
        return told.revision != revision

    def roster(self, place_id: str, revision: int, registered: Iterable[AgentStatus]) -> None:
        """Take who is connected to a coordinator whose head was heard."""
        told = self._told.get(place_id)
        if told is None or told.revision == revision:
            return
        before, told.agents, told.revision = told.agents, {}, revision
        for status in registered:
            agent_id = status.agent.agent_id
            known = before.get(agent_id)
            if known is None or known.agent != status.agent:
                self._order += 1
                known = RemoteAgent(told.place, status, self._order)
                if (load := told.loads.get(agent_id)) is not None:
                    known.told(load)
            told.agents[agent_id] = known
        self._index()

    def only(self, place_ids: Collection[str]) -> None:
        """Forget coordinators that are not among these: they have taken their record back, or it has ended."""
        gone = [place_id for place_id in self._told if place_id not in place_ids]
        self._forget(gone)

    def shun(self, place_id: str, until: float) -> None:
        """Forget a coordinator, and believe nothing it tells for a while: it does not serve, or cannot be reached."""
        if len(self._shunned) >= SHUNNED_MAX:
            del self._shunned[next(iter(self._shunned))]
        self._shunned[place_id] = until
        self._forget([place_id])

    def expire(self, now: float) -> None:
        """Forget what was not renewed in time."""
        if now < self._next_end:
            return
        self._shunned = {
            place_id: until for place_id, until in self._shunned.items() if now < until
        }
        self._forget([place_id for place_id, told in self._told.items() if told.expires <= now])
        self._next_end = min((told.expires for told in self._told.values()), default=inf)

    # ------------------------------------------------------------ what is known

    def get(self, agent_id: str) -> RemoteAgent | None:
        """Return an agent; None = no other coordinator has it."""
        return self._by_id.get(agent_id)

    def with_capability(self, name: str) -> Sequence[RemoteAgent]:
        """Return the agents that have a capability, possibly none, those heard of first at first."""
        return self._by_capability.get(name, ())

    def capabilities(self) -> Collection[str]:
        """Return the names of all capabilities."""
        return self._by_capability.keys()

    def agents(self) -> Iterable[RemoteAgent]:
        """Iterate over all agents."""
        return self._by_id.values()

    # ------------------------------------------------------------ inside

    def _forget(self, place_ids: Iterable[str]) -> None:
        forgotten = [told for place_id in place_ids if (told := self._told.pop(place_id, None))]
        if any(told.agents for told in forgotten):
            self._index()

    def _index(self) -> None:
        """Make the indexes anew: agents come and go seldom."""
        self.revision += 1
        by_id: dict[str, RemoteAgent] = {}
        found = [agent for told in self._told.values() for agent in told.agents.values()]
        found.sort(key=lambda agent: agent.order)
        for agent in found:
            by_id.pop(agent.agent.agent_id, None)
            by_id[agent.agent.agent_id] = agent
        self.left_out = max(0, len(by_id) - self._agents_max)
        self._by_id = dict(list(by_id.items())[: self._agents_max])
        self._by_capability = defaultdict(list)
        for agent in self._by_id.values():
            for name in agent.capabilities:
                self._by_capability[name].append(agent)
