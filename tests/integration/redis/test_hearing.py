"""What one coordinator outdates, the memory of another drops at once: over pub/sub, and after every gap in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from tests.integration.coordinator.caching import CountingAgent, counting_agent, invoke
from tests.integration.coordinator.frames import Stubs, dial, eventually

from bellwire.agent.v1 import invocation_pb2
from bellwire.coordinator.cache.hearing import channel_of
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.testing.redis import RunningRedis, running_redis
from bellwire.testing.server import running_coordinator

pytestmark = pytest.mark.integration

MEMORY = invocation_pb2.CACHE_LEVEL_MEMORY
BOUND_SECONDS = 2.0  # For what takes milliseconds, on a busy machine.


@asynccontextmanager
async def two_coordinators(
    url: str,
) -> AsyncIterator[tuple[CacheSettings, tuple[Stubs, CountingAgent], tuple[Stubs, CountingAgent]]]:
    """Two coordinators on one Redis, each with an agent of the same name and version."""
    # Memory would keep its answers for an hour.
    cache = CacheSettings(
        redis=url,
        redis_prefix=f"test-{uuid4().hex}",
        redis_timeout_seconds=1.0,
        settle_seconds=0.0,
        ttl_seconds=3_600.0,
    )
    async with (
        running_coordinator(cache=cache) as first,
        running_coordinator(cache=cache) as second,
        dial(first.unix) as one,
        dial(second.unix) as other,
        counting_agent(one, "a", outdated_by=("bars",), ttl_millis=3_600_000, name="v") as left,
        counting_agent(other, "b", outdated_by=("bars",), ttl_millis=3_600_000, name="v") as right,
    ):
        await eventually(lambda: hears(one), bool, 20)
        await eventually(lambda: hears(other), bool, 20)
        yield cache, (one, left), (other, right)


async def hears(bus: Stubs) -> bool:
    await asyncio.sleep(0.01)
    return (await bus.info()).cache.hears_others


async def in_memory(bus: Stubs, asked: str) -> bool:
    """Ask twice, and tell whether the second answer was remembered."""
    await invoke(bus, asked)
    return (await invoke(bus, asked)).cache_level == MEMORY


async def forgotten(bus: Stubs, asked: str, seconds: float = BOUND_SECONDS) -> float:
    """Wait until an answer is not given from memory any more; return how long that took."""
    began = time.monotonic()

    async def level() -> int:
        await asyncio.sleep(0.002)
        return (await invoke(bus, asked)).cache_level

    await eventually(level, lambda level: level != MEMORY, seconds)
    return time.monotonic() - began


async def test_an_answer_outdated_elsewhere_is_not_given(redis_lru: RunningRedis) -> None:
    async with two_coordinators(redis_lru.url) as (_, (one, left), (other, _)):
        asked = "{}"
        for _ in range(10):
            await eventually(lambda: in_memory(one, asked), bool)
            made = len(left.calls)
            await other.publish(b"x", topic="bars")
            await forgotten(one, asked)
            assert len(left.calls) == made + 1  # Redis had no answer that is meant, either.
        cache = (await one.info()).cache
        assert cache.heard_outdated >= 10
        assert cache.outdated_capabilities == 0  # No message of its own.


async def test_what_is_outdated_here_is_not_news(redis_lru: RunningRedis) -> None:
    async with two_coordinators(redis_lru.url) as (_, (one, _), (other, _)):
        await one.publish(b"x", topic="bars")

        async def heard_there() -> int:
            await asyncio.sleep(0.01)
            return (await other.info()).cache.heard_outdated

        await eventually(heard_there, bool)
        before = (await one.info()).cache.heard_outdated
        await eventually(lambda: in_memory(one, '{"n": 1}'), bool)
        assert (await one.info()).cache.heard_outdated == before


async def test_garbage_on_the_channel_outdates_nothing(redis_lru: RunningRedis) -> None:
    async with two_coordinators(redis_lru.url) as (cache, (one, _), _):
        await eventually(lambda: in_memory(one, "{}"), bool)
        channel = channel_of(cache.redis_prefix)
        for said in ("", "x", "node ", "node " + "y" * 300, "node other_tool"):
            redis_lru.ask("PUBLISH", channel, said)
        redis_lru.ask("PUBLISH", channel, "node fair_value")
        await forgotten(one, "{}")  # The last one is what another coordinator would say.
        assert await in_memory(one, "{}")


async def test_all_that_was_missed_counts_as_outdated_when_redis_is_back(
    redis_installed: None,
) -> None:
    with running_redis(policy="allkeys-lru") as server:
        async with two_coordinators(server.url) as (_, (one, _), (other, _)):
            await eventually(lambda: in_memory(one, '{"n": "kept"}'), bool)
            await asyncio.to_thread(server.kill)

            async def deaf() -> bool:
                return not await hears(one) and not await hears(other)

            await eventually(deaf, bool, 10)
            assert await in_memory(one, '{"n": "kept"}')  # Nobody can know of messages elsewhere.
            await other.publish(b"x", topic="bars")
            await asyncio.to_thread(server.start)
            await forgotten(one, '{"n": "kept"}', 10)
            await eventually(lambda: hears(one), bool, 10)
            # And from then on it hears again.
            await eventually(lambda: in_memory(one, '{"n": "later"}'), bool, 20)
            await eventually(lambda: hears(other), bool, 10)
            await other.publish(b"y", topic="bars")
            await forgotten(one, '{"n": "later"}', 10)


async def test_a_redis_that_hangs_is_a_gap(redis_installed: None) -> None:
    with running_redis(policy="allkeys-lru") as server:
        async with two_coordinators(server.url) as (_, (one, _), _):
            await eventually(lambda: in_memory(one, "{}"), bool)
            server.hang()

            async def deaf() -> bool:
                return not await hears(one)

            await eventually(deaf, bool, 10)
            server.resume()
            await eventually(lambda: hears(one), bool, 10)
            assert (await invoke(one, "{}")).cache_level != MEMORY


async def test_a_cluster_tells_at_every_node(redis_cluster: list[RunningRedis]) -> None:
    cache = CacheSettings(
        redis=redis_cluster[0].url,
        redis_cluster=True,
        redis_prefix=f"test-{uuid4().hex}",
        redis_timeout_seconds=2.0,
        settle_seconds=0.0,
    )
    async with (
        running_coordinator(cache=cache) as first,
        dial(first.unix) as one,
        counting_agent(one, outdated_by=("bars",)),
    ):
        await eventually(lambda: hears(one), bool, 10)
        await eventually(lambda: in_memory(one, "{}"), bool, 10)
        redis_cluster[2].ask("PUBLISH", channel_of(cache.redis_prefix), "node fair_value")
        await forgotten(one, "{}", 10)
        assert (await one.info()).cache.heard_outdated == 1
