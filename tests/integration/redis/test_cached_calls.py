"""Cacheable calls with Redis behind the memory, and a store behind Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from tests.integration.coordinator.caching import call_tool, counting_agent, invoke, number
from tests.integration.coordinator.frames import Stubs, dial, eventually, within

from bellwire.agent.v1 import invocation_pb2
from bellwire.coordinator.cache.calls import NEVER_OUTDATED
from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.cache.source import KeptAnswer, ValueSource
from bellwire.testing.redis import RunningRedis, running_redis
from bellwire.testing.server import running_coordinator
from bellwire.wire.errors import RedisRefusedError

pytestmark = pytest.mark.integration

MADE = invocation_pb2.CACHE_LEVEL_UNSPECIFIED
MEMORY = invocation_pb2.CACHE_LEVEL_MEMORY
REDIS = invocation_pb2.CACHE_LEVEL_REDIS
STORE = invocation_pb2.CACHE_LEVEL_STORE
SHORT = 30.0  # The tool's answers hold for longer, so that they are for the store.


def cache_at(server: RunningRedis, **fields: Any) -> CacheSettings:
    """Settings of a bus of its own."""
    return CacheSettings(
        **{
            "redis": server.url,
            "redis_prefix": f"test-{uuid4().hex}",
            "redis_timeout_seconds": 2.0,
            "settle_seconds": 0.0,
            **fields,
        }
    )


@asynccontextmanager
async def serving(cache: CacheSettings, source: ValueSource | None = None) -> AsyncIterator[Stubs]:
    """A connection to a coordinator with that cache."""
    async with (
        running_coordinator(cache=cache, source=source) as running,
        dial(running.unix) as bus,
    ):
        yield bus


async def written(bus: Stubs, redis: RunningRedis, cache: CacheSettings, count: int) -> None:
    """Wait until so many values are in Redis: they are written after the answer was given."""

    async def keys() -> int:
        await asyncio.sleep(0.01)  # The coordinator that writes is on this loop.
        found = redis.ask("KEYS", f"{cache.redis_prefix}:*:*:*").split()
        return len(found)

    await eventually(keys, lambda found: found >= count)


async def test_an_answer_outlives_the_coordinator_that_made_it(redis_lru: RunningRedis) -> None:
    cache = cache_at(redis_lru)
    async with serving(cache) as bus, counting_agent(bus):
        first = await invoke(bus, '{"n": 1}')
        await written(bus, redis_lru, cache, 1)
    async with serving(cache) as bus, counting_agent(bus) as agent:
        answers = [await invoke(bus, '{"n": 1}') for _ in range(2)]
        assert [answer.cache_level for answer in answers] == [REDIS, MEMORY]
        assert {answer.result for answer in answers} == {first.result}
        assert (await call_tool(bus, '{"n": 1}')).cached
        assert agent.calls == []
        memory, redis = (await bus.info()).cache.levels
        assert (memory.name, redis.name) == ("memory", "redis")
        assert (redis.state, redis.hits, redis.misses) == ("closed", 1, 0)


async def test_a_crowd_asks_redis_once(redis_lru: RunningRedis) -> None:
    cache = cache_at(redis_lru)
    async with serving(cache) as bus, counting_agent(bus):
        await invoke(bus)
        await written(bus, redis_lru, cache, 1)
    async with serving(cache) as bus, counting_agent(bus) as agent:
        answers = await within(asyncio.gather(*(invoke(bus) for _ in range(100))))
        assert {answer.cache_level for answer in answers} <= {REDIS, MEMORY}
        assert agent.calls == []
        assert (await bus.info()).cache.levels[1].hits == 1


async def test_failures_are_not_shared_with_other_coordinators(redis_lru: RunningRedis) -> None:
    async def fail(agent: Any, call: Any) -> None:
        await agent.answer(call, b"{}", is_error=True)

    cache = cache_at(redis_lru)
    async with serving(cache) as bus, counting_agent(bus, respond=fail) as agent:
        await invoke(bus)
        assert (await invoke(bus)).cache_level == MEMORY
    async with serving(cache) as bus, counting_agent(bus) as agent:
        assert (await invoke(bus)).cache_level == MADE
        assert len(agent.calls) == 1


async def test_a_message_outdates_what_another_coordinator_has_put_into_redis(
    redis_lru: RunningRedis,
) -> None:
    cache = cache_at(redis_lru)
    async with (
        serving(cache) as one,
        serving(cache) as other,
        counting_agent(one, "a", outdated_by=("bars",), name="values"),
        counting_agent(other, "b", outdated_by=("bars",), name="values"),
    ):
        asked = ""

        async def through_redis() -> int:
            nonlocal asked
            asked = f'{{"n": "{uuid4()}"}}'
            await invoke(one, asked)
            return (await invoke(other, asked)).cache_level

        # Each of them has told Redis first that it begins to watch.
        await eventually(through_redis, lambda level: level == REDIS)
        assert (await invoke(other, asked)).cache_level == MEMORY
        await other.publish(b"x", topic="bars")
        assert (await invoke(other, asked)).agent_id == "b"

        # Its memory hears of it a moment later.
        async def kept_elsewhere() -> int:
            await asyncio.sleep(0.01)
            return (await invoke(one, asked)).cache_level

        await eventually(kept_elsewhere, lambda level: level != MEMORY, 5)


async def test_an_outdated_answer_does_not_come_back_from_redis(redis_lru: RunningRedis) -> None:
    cache = cache_at(redis_lru)
    async with serving(cache) as bus, counting_agent(bus, outdated_by=("bars",)):

        async def in_redis() -> str:
            await invoke(bus, f'{{"n": "{uuid4()}"}}')
            return redis_lru.ask("KEYS", f"{cache.redis_prefix}:*:*:*")

        await eventually(in_redis, bool)
        for _ in range(20):
            before = number(await invoke(bus, '{"fixed": true}'))
            await bus.publish(b"x", topic="bars")
            assert number(await invoke(bus, '{"fixed": true}')) > before


async def test_garbage_in_redis_costs_a_call_and_nothing_else(redis_lru: RunningRedis) -> None:
    cache = cache_at(redis_lru)
    async with serving(cache) as bus, counting_agent(bus):
        await invoke(bus)
        await written(bus, redis_lru, cache, 1)
        (key,) = redis_lru.ask("KEYS", f"{cache.redis_prefix}:*:*:*").split()
    redis_lru.ask("SETRANGE", key, "40", "garbage")
    async with serving(cache) as bus, counting_agent(bus) as agent:
        assert (await invoke(bus)).cache_level == MADE
        assert len(agent.calls) == 1
        assert (await bus.info()).cache.levels[1].garbage == 1


async def test_calls_go_on_while_redis_hangs_and_use_it_again_afterwards(
    redis_installed: None,
) -> None:
    with running_redis(policy="allkeys-lru") as server:
        cache = cache_at(server, redis_timeout_seconds=0.1)
        async with serving(cache) as bus, counting_agent(bus):
            await invoke(bus, '{"n": 0}')
            server.hang()
            for n in range(1, 30):
                assert (await invoke(bus, f'{{"n": {n}}}')).cache_level == MADE
                assert (await invoke(bus, f'{{"n": {n}}}')).cache_level == MEMORY
            _, redis = (await bus.info()).cache.levels
            assert redis.state != "closed"
            assert redis.failures >= 3
            server.resume()

            async def state() -> str:
                await invoke(bus, f'{{"n": "{uuid4()}"}}')
                return (await bus.info()).cache.levels[1].state

            await eventually(state, lambda found: found == "closed")


async def test_a_wrong_password_stops_the_start_and_leaves_nothing_open(
    redis_installed: None,
) -> None:
    with running_redis(password="right") as server:
        wrong = cache_at(server, redis=server.url.replace("right", "wrong"))
        with pytest.raises(RedisRefusedError):
            async with serving(wrong):
                pass


class Shelf(ValueSource):
    """A store in memory."""

    def __init__(self) -> None:
        self.values: dict[CacheKey, KeptAnswer] = {}
        self.asked: list[CacheKey] = []
        self.broken = False

    async def find(self, key: CacheKey, validity: str) -> KeptAnswer | None:
        self.asked.append(key)
        if self.broken:
            raise OSError("the disk is gone")
        found = self.values.get(key)
        return found if found is not None and found.validity == validity else None

    def put(self, payload: bytes) -> None:
        """Have an answer to what was asked first."""
        expire_ns = time.time_ns() + 60_000_000_000
        key = self.asked[0]
        self.values[key] = KeptAnswer(key, NEVER_OUTDATED, (), 0, expire_ns, payload)


async def test_what_only_the_store_has_is_read_through_and_kept_above(
    redis_lru: RunningRedis,
) -> None:
    shelf, cache = Shelf(), cache_at(redis_lru, redis_ttl_seconds=SHORT)
    async with serving(cache, shelf) as bus, counting_agent(bus) as agent:
        made = await invoke(bus)
        assert len(shelf.asked) == 1
        await written(bus, redis_lru, cache, 1)
    shelf.put(made.SerializeToString())
    (key,) = redis_lru.ask("KEYS", f"{cache.redis_prefix}:*:*:*").split()
    redis_lru.ask("DEL", key)
    async with serving(cache, shelf) as bus, counting_agent(bus) as agent:
        answers = [await invoke(bus) for _ in range(2)]
        assert [answer.cache_level for answer in answers] == [STORE, MEMORY]
        assert {answer.result for answer in answers} == {made.result}
        await written(bus, redis_lru, cache, 1)
        assert [level.name for level in (await bus.info()).cache.levels] == [
            "memory", "redis", "store",
        ]  # fmt: skip
    async with serving(cache, shelf) as bus, counting_agent(bus) as agent:
        assert (await invoke(bus)).cache_level == REDIS
        assert agent.calls == []


async def test_a_store_that_fails_or_talks_nonsense_costs_a_call_and_nothing_else() -> None:
    shelf = Shelf()
    async with (
        serving(CacheSettings(redis_ttl_seconds=SHORT), shelf) as bus,
        counting_agent(bus) as agent,
    ):
        await invoke(bus)
        shelf.put(b"\xff\xff nonsense")
        shelf.broken = True
        for n in range(10):
            assert (await invoke(bus, f'{{"n": {n}}}')).cache_level == MADE
        assert len(agent.calls) == 11
        _, store = (await bus.info()).cache.levels
        assert (store.failures, store.skipped, store.state) == (3, 7, "open")
    shelf.broken = False
    async with (
        serving(CacheSettings(redis_ttl_seconds=SHORT), shelf) as bus,
        counting_agent(bus) as agent,
    ):
        assert (await invoke(bus)).cache_level == MADE
        assert (await bus.info()).cache.levels[1].garbage == 1
