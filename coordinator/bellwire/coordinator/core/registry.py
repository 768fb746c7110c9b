"""The agent directory: who is alive under a lease, what it can be called for, how busy it is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from bellwire.agent.v1.agent_pb2 import (
    CAPABILITY_KIND_INFERENCE,
    CAPABILITY_KIND_TOOL,
    Agent,
    AgentStatus,
    Capability,
    LoadReport,
)
from bellwire.wire.errors import (
    AgentExistsError,
    CallerError,
    CapacityError,
    UnknownAgentError,
)
from bellwire.wire.topic import TopicPattern

LEASE_MILLIS_MIN: Final = 1_000
LEASE_MILLIS_MAX: Final = 300_000
CAPABILITIES_MAX: Final = 256
SCHEMA_BYTES_MAX: Final = 64 << 10
DESCRIPTION_BYTES_MAX: Final = 4_096
MAX_IN_FLIGHT_MAX: Final = 10_000
CACHE_TTL_MILLIS_MAX: Final = 86_400_000
OUTDATED_BY_MAX: Final = 16
MAX_IN_FLIGHT_DEFAULT: Final = 16
_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,128}")


class AgentSession:
    """One connected agent.

    Attributes:
        in_flight: Calls dispatched to it and not ended.
        expires: When its lease ends, on the caller's monotonic clock.
    """

    def __init__(self, agent: Agent, lease_id: str, lease_seconds: float, now: float) -> None:
        self.agent = agent
        self.lease_id = lease_id
        self.lease_seconds = lease_seconds
        self.load = LoadReport()
        self.in_flight = 0
        self.draining = False
        self.expires = now + lease_seconds
        self.capabilities = {capability.name: capability for capability in agent.capabilities}

    @property
    def has_room(self) -> bool:
        """Whether it takes one more call."""
        return not self.draining and self.in_flight < self.agent.max_in_flight

    @property
    def work(self) -> float:
        """How busy it is, for comparing: calls here and there, against what it takes at once."""
        return (self.in_flight + self.load.queue_depth) / self.agent.max_in_flight

    def renew(self, now: float) -> None:
        """Extend the lease."""
        self.expires = now + self.lease_seconds

    def status(self, now: float, now_ns: int, registered_ns: int) -> AgentStatus:
        """Describe it for the directory."""
        return AgentStatus(
            agent=self.agent,
            load=self.load,
            in_flight=self.in_flight,
            lease_expire_time_unix_nano=now_ns + int((self.expires - now) * 1e9),
            register_time_unix_nano=registered_ns,
            draining=self.draining,
        )

    def told(self, now: float, now_ns: int) -> AgentStatus:
        """Describe how busy it is, for other coordinators: who it is they know."""
        return AgentStatus(
            agent=Agent(agent_id=self.agent.agent_id),
            load=self.load,
            in_flight=self.in_flight,
            lease_expire_time_unix_nano=now_ns + int((self.expires - now) * 1e9),
            draining=self.draining,
        )


class Registry:
    """Live agents by id and by capability.

    Args:
        lease_seconds_default: Lease of an agent that asks for none.
        agents_max: Bound on agents; policy REFUSE.

    Attributes:
        revision: Grows whenever an agent comes or goes.
    """

    def __init__(self, *, lease_seconds_default: float, agents_max: int) -> None:
        self._lease_seconds_default = lease_seconds_default
        self._agents_max = agents_max
        self.revision = 0
        self._sessions: dict[str, AgentSession] = {}
        self._registered_ns: dict[str, int] = {}
        self._by_capability: defaultdict[str, list[AgentSession]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, agent_id: str) -> bool:
        return agent_id in self._sessions

    def register(
        self, agent: Agent, lease_millis: int, lease_id: str, now: float, now_ns: int
    ) -> AgentSession:
        """Add an agent.

        Raises:
            CallerError: The registration is malformed.
            AgentExistsError: A live agent holds the id.
            CapacityError: There are too many agents.
        """
        self.expire(now)
        checked = checked_agent(agent)
        if checked.agent_id in self._sessions:
            raise AgentExistsError(
                f"agent {checked.agent_id!r} runs already, it is connected: for more of it say --replicas where it was "
                "started, or give each its own agent_id",
                metadata={"agent_id": checked.agent_id},
            )
        if len(self._sessions) >= self._agents_max:
            raise CapacityError(
                f"{len(self._sessions)} agents are connected, limit is {self._agents_max}",
                metadata={"limit": str(self._agents_max)},
            )
        session = AgentSession(checked, lease_id, self._lease_seconds(lease_millis), now)
        self._sessions[checked.agent_id] = session
        self._registered_ns[checked.agent_id] = now_ns
        self.revision += 1
        for name in session.capabilities:
            self._by_capability[name].append(session)
        return session

    def remove(self, session: AgentSession) -> None:
        """Take an agent out, if it is still in."""
        agent_id = session.agent.agent_id
        if self._sessions.get(agent_id) is not session:
            return
        del self._sessions[agent_id], self._registered_ns[agent_id]
        self.revision += 1
        for name in session.capabilities:
            self._by_capability[name].remove(session)
            if not self._by_capability[name]:
                del self._by_capability[name]

    def expire(self, now: float) -> list[AgentSession]:
        """Take out and return every agent whose lease has ended."""
        ended = [session for session in self._sessions.values() if session.expires <= now]
        for session in ended:
            self.remove(session)
        return ended

    def get(self, agent_id: str) -> AgentSession:
        """Return a live agent.

        Raises:
            UnknownAgentError: There is none of that id.
        """
        session = self._sessions.get(agent_id)
        if session is None:
            raise UnknownAgentError(
                f"no live agent {agent_id!r}: `bellwire agents list` shows those there are",
                metadata={"agent_id": agent_id},
            )
        return session

    def with_capability(self, name: str) -> list[AgentSession]:
        """Return the live agents that have a capability, possibly none."""
        return self._by_capability.get(name, [])

    def capability_names(self) -> Iterable[str]:
        """Return the names of what the live agents can be called for."""
        return self._by_capability.keys()

    def sessions(self) -> Iterable[AgentSession]:
        """Iterate over the live agents."""
        return self._sessions.values()

    def tools(self) -> Iterable[tuple[Capability, int]]:
        """Iterate over tools in the order of their names, each with its number of agents.

        Where agents describe a tool differently, the one registered first speaks for it.
        """
        for name in sorted(self._by_capability):
            sessions = self._by_capability[name]
            capability = sessions[0].capabilities[name]
            if capability.kind == CAPABILITY_KIND_TOOL:
                yield capability, len(sessions)

    def statuses(self, now: float, now_ns: int) -> list[AgentStatus]:
        """Describe all agents in the order of their ids."""
        return [
            self._sessions[agent_id].status(now, now_ns, self._registered_ns[agent_id])
            for agent_id in sorted(self._sessions)
        ]

    def status(self, agent_id: str, now: float, now_ns: int) -> AgentStatus:
        """Describe one agent.

        Raises:
            UnknownAgentError: There is none of that id.
        """
        return self.get(agent_id).status(now, now_ns, self._registered_ns[agent_id])

    def _lease_seconds(self, millis: int) -> float:
        if not millis:
            return self._lease_seconds_default
        if not LEASE_MILLIS_MIN <= millis <= LEASE_MILLIS_MAX:
            raise CallerError(
                f"lease of {millis} ms is not allowed: ask for {LEASE_MILLIS_MIN} to {LEASE_MILLIS_MAX}",
                metadata={"lease_millis": str(millis)},
            )
        return millis / 1000


def checked_agent(agent: Agent) -> Agent:
    """Return a copy with defaults filled in.

    Raises:
        CallerError: A name, schema or number is outside its bounds.
    """
    if _NAME.fullmatch(agent.agent_id) is None:
        raise CallerError(
            f"agent_id {agent.agent_id[:200]!r} is not allowed: 1 to 128 characters of [a-zA-Z0-9._-]"
        )
    if len(agent.capabilities) > CAPABILITIES_MAX:
        raise CallerError(
            f"agent has {len(agent.capabilities)} capabilities, limit is {CAPABILITIES_MAX}"
        )
    if agent.max_in_flight > MAX_IN_FLIGHT_MAX:
        raise CallerError(
            f"max_in_flight is {agent.max_in_flight}, limit is {MAX_IN_FLIGHT_MAX}",
        )
    names = set()
    for capability in agent.capabilities:
        _check_capability(capability)
        if capability.name in names:
            raise CallerError(f"capability {capability.name!r} is registered twice by one agent")
        names.add(capability.name)
    checked = Agent()
    checked.CopyFrom(agent)
    checked.name = agent.name or agent.agent_id
    checked.max_in_flight = agent.max_in_flight or MAX_IN_FLIGHT_DEFAULT
    return checked


def _check_capability(capability: Capability) -> None:
    if _NAME.fullmatch(capability.name) is None:
        raise CallerError(
            f"capability name {capability.name[:200]!r} is not allowed: "
            "1 to 128 characters of [a-zA-Z0-9._-]"
        )
    if capability.kind not in (CAPABILITY_KIND_TOOL, CAPABILITY_KIND_INFERENCE):
        raise CallerError(
            f"capability {capability.name!r} has kind {capability.kind}: use TOOL or INFERENCE"
        )
    schema_bytes = max(len(capability.input_schema_json), len(capability.output_schema_json))
    if schema_bytes > SCHEMA_BYTES_MAX:
        raise CallerError(
            f"capability {capability.name!r} has a schema of {schema_bytes} bytes, "
            f"limit is {SCHEMA_BYTES_MAX}"
        )
    if len(capability.description.encode()) > DESCRIPTION_BYTES_MAX:
        raise CallerError(
            f"capability {capability.name!r} has a description above {DESCRIPTION_BYTES_MAX} bytes"
        )
    if capability.HasField("cache"):
        _check_cache(capability)


def _check_cache(capability: Capability) -> None:
    policy = capability.cache
    if not 1 <= policy.ttl_millis <= CACHE_TTL_MILLIS_MAX:
        raise CallerError(
            f"capability {capability.name!r} is cacheable for {policy.ttl_millis} ms, "
            f"1 to {CACHE_TTL_MILLIS_MAX} are allowed: leave `cache` out where nothing is"
        )
    if len(policy.outdated_by) > OUTDATED_BY_MAX:
        raise CallerError(
            f"capability {capability.name!r} is outdated by {len(policy.outdated_by)} topics, "
            f"limit is {OUTDATED_BY_MAX}: use a pattern"
        )
    for text in policy.outdated_by:
        TopicPattern(text)
