"""Groups of coordinators on a real Kafka and a real Redis, in the event loop of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from bellwire.client import ClientSettings, connect
from bellwire.coordinator.cluster.election import Role
from bellwire.coordinator.cluster.server import ClusterCoordinator
from bellwire.coordinator.cluster.topic_groups import GROUPS_KEY
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.testing.redis import RunningRedis, running_redis

WAIT_SECONDS = 20.0


class Group:
    """Coordinators of one group, and what they are."""

    def __init__(self, settings: CoordinatorSettings, topic: str = "") -> None:
        self.settings = settings
        self.topic = topic or f"orders-{uuid4().hex}"
        self._changed = asyncio.Event()
        self._stack = AsyncExitStack()
        self.members: list[ClusterCoordinator] = []

    async def join(self, **overrides: Any) -> ClusterCoordinator:
        """Start one more."""
        settings = replace(self.settings, listen=("127.0.0.1:0",), **overrides)
        member = ClusterCoordinator(settings, on_role=lambda *_: self._changed.set())
        await self._stack.enter_async_context(member)
        self.members.append(member)
        return member

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until roles are as wanted."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def active(self, member: ClusterCoordinator) -> None:
        """Wait until this one is active."""
        await self.until(lambda: member.role is Role.ACTIVE)

    async def close(self) -> None:
        await self._stack.aclose()

    def addresses(self) -> str:
        """All of them, as clients take them."""
        return ",".join(member.addresses[0] for member in self.members)


@asynccontextmanager
async def group_on(kafka: str, redis: str, **overrides: Any) -> AsyncIterator[Group]:
    """A group with a topic of its own, so that others may be beside it on the same Redis."""
    topic = f"orders-{uuid4().hex}"
    chosen: dict[str, Any] = {
        "kafka": kafka,
        "kafka_state_topic": f"_state-{uuid4().hex}",
        "default_log": "kafka",
        "redis": redis,
        "group_lease_seconds": 1.5,
        "group_topics": (topic,),
        **overrides,
    }
    group = Group(CoordinatorSettings(**chosen), topic)
    try:
        yield group
    finally:
        await group.close()


@pytest.fixture(autouse=True)
def no_groups(request: pytest.FixtureRequest) -> None:
    """Nothing is declared by groups of earlier tests in the Redis that all tests share."""
    if "redis_noeviction" in request.fixturenames:
        server: RunningRedis = request.getfixturevalue("redis_noeviction")
        server.ask("DEL", GROUPS_KEY)


@pytest.fixture
async def group(kafka: str, redis_noeviction: RunningRedis) -> AsyncIterator[Group]:
    """A group of all topics on the Redis that all tests share."""
    async with group_on(kafka, redis_noeviction.url, group_topics=()) as made:
        yield made


@pytest.fixture
def own_redis(redis_installed: None) -> Any:
    """A Redis that this test may kill."""
    with running_redis() as server:
        yield server


def client_of(group: Group, **settings: Any) -> Any:
    """A client that knows all of them."""
    return connect(group.addresses(), ClientSettings(timeout_seconds=WAIT_SECONDS, **settings))
