"""What keeps the directory of agents goes on after a fault of our own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from tests.integration.coordinator.frames import eventually

from bellwire.agent.v1.agent_pb2 import Agent
from bellwire.coordinator.cluster.election import LeaseTimes
from bellwire.coordinator.core.registry import AgentSession, Registry
from bellwire.coordinator.core.remotes import Place
from bellwire.coordinator.core.routing import Router
from bellwire.coordinator.federation.federation import Federation
from bellwire.coordinator.federation.redis_directory import RedisDirectory
from bellwire.testing.redis import RunningRedis
from bellwire.wire.errors import BellwireError

pytestmark = pytest.mark.integration

TIMES = LeaseTimes(3.0)
HERE, ELSEWHERE = (
    Place(uuid4().hex, "here", "10.0.0.1:7400"),
    Place(uuid4().hex, "elsewhere", "10.0.0.2:7400"),
)


class Keeping:
    """A coordinator's part in a directory, and another coordinator's view of it."""

    def __init__(self, redis: str) -> None:
        name = uuid4().hex
        self.registry = Registry(lease_seconds_default=60, agents_max=10)
        self.elsewhere = RedisDirectory(redis, name, ELSEWHERE, TIMES.ttl)
        store = RedisDirectory(redis, name, HERE, TIMES.ttl)
        self.federation = Federation(self.registry, Router(self.registry), store, HERE, TIMES)

    def register(self, agent_id: str) -> AgentSession:
        return self.registry.register(
            Agent(agent_id=agent_id), 0, f"lease-{agent_id}", time.monotonic(), time.time_ns()
        )

    async def roster(self) -> bytes:
        """Our record as the other one reads it."""
        ((_, roster),) = await self.elsewhere.rosters([HERE.id])
        return roster

    async def close(self) -> None:
        await self.federation.close()
        await self.elsewhere.close()


@pytest.fixture
async def keeping(redis_noeviction: RunningRedis) -> AsyncIterator[Keeping]:
    made = Keeping(redis_noeviction.url)
    yield made
    await made.close()


async def test_an_agent_whose_end_goes_wrong_does_not_end_what_keeps_the_directory(
    keeping: Keeping, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(error: BellwireError) -> None:
        raise ZeroDivisionError

    assert await keeping.elsewhere.claim("lost-0") is None
    keeping.federation.joined(keeping.register("lost-0"), broken)
    keeping.federation.start()
    keeping.register("rules-0")
    keeping.federation.changed()
    await eventually(keeping.roster, lambda roster: b"rules-0" in roster)
    assert keeping.federation.faults == 1
    assert "ZeroDivisionError" in caplog.text
