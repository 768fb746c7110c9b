"""Groups of coordinators that share a Redis and a directory of agents, each with one active coordinator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from tests.integration.cluster.conftest import Group, group_on
from tests.integration.coordinator.frames import AgentStream, Stubs, dial, eventually, within

from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.coordinator.cluster.server import ClusterCoordinator
from bellwire.testing.redis import RunningRedis, running_redis

TOOL = "explain_last_signal"


class Site:
    """The active coordinator of a group, and a connection to it."""

    def __init__(self, group: Group, coordinator: ClusterCoordinator, bus: Stubs) -> None:
        self.group = group
        self.coordinator = coordinator
        self.address = coordinator.addresses[0]
        self.bus = bus

    @property
    def id(self) -> str:
        """Of this time of its being active."""
        state = self.coordinator._state
        assert state is not None
        assert state.federation is not None
        return state.federation.place.id

    async def agents(self, capability: str = "") -> list[agent_pb2.AgentStatus]:
        """The directory as it is seen here."""
        request = agent_pb2.ListAgentsRequest(capability=capability)
        return list((await within(self.bus.agents.ListAgents(request))).agents)

    async def knows(self, *agent_ids: str) -> list[agent_pb2.AgentStatus]:
        """Wait until just these agents are known here."""
        return await eventually(
            self.agents, lambda found: [s.agent.agent_id for s in found] == sorted(agent_ids)
        )

    async def register(self, agent_id: str, *tools: str, **fields: Any) -> AgentStream:
        """Register an agent here."""
        return await AgentStream(self.bus).open(agent_id, *(tools or (TOOL,)), **fields)

    def invoke(self, capability: str = TOOL, **fields: Any) -> Any:
        """An Invoke under way."""
        timeout = fields.pop("timeout", 10.0)
        request = invocation_pb2.InvokeRequest(capability=capability, **fields)
        return self.bus.invocation.Invoke(request, timeout=timeout)


class Sites:
    """Groups with one directory."""

    def __init__(self, kafka: str, redis: str) -> None:
        self.directory = f"d-{uuid4().hex}"
        self._kafka = kafka
        self._redis = redis
        self._stack = AsyncExitStack()

    async def open(self, **overrides: Any) -> Site:
        """Start a group of one coordinator."""
        chosen = {"agent_directory": self.directory, **overrides}
        group = await self._stack.enter_async_context(
            group_on(self._kafka, chosen.pop("redis", self._redis), **chosen)
        )
        coordinator = await group.join()
        await group.active(coordinator)
        bus = await self._stack.enter_async_context(dial(coordinator.addresses[0]))
        return Site(group, coordinator, bus)

    async def close(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def sites_on(kafka: str, redis: str) -> AsyncIterator[Sites]:
    made = Sites(kafka, redis)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def sites(kafka: str, redis_noeviction: RunningRedis) -> AsyncIterator[Sites]:
    """Groups on the Redis that all tests share."""
    async with sites_on(kafka, redis_noeviction.url) as made:
        yield made


@pytest.fixture
def own_redis(redis_installed: None) -> Any:
    """A Redis that this test may kill."""
    with running_redis() as server:
        yield server
