"""The second level at a real Redis: shared, outdated, garbage in it, gone, slow, full, a cluster, a wrong password."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from tests.integration.coordinator.frames import eventually, within

from bellwire.coordinator.cache.key import CacheKey, generation_key
from bellwire.coordinator.cache.redis_level import Found, RedisLevel
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.redis_client import check_noeviction, open_client
from bellwire.policy.breaker import BreakerState
from bellwire.testing.redis import RunningRedis, running_redis, running_redis_cluster
from bellwire.wire.errors import RedisEvictsError, RedisRefusedError, RedisUnavailableError
from bellwire.wire.settings import SettingsError

pytestmark = pytest.mark.integration

KEY = CacheKey("fair_value", "v1", "d1")
OTHER = CacheKey("fair_value", "v1", "d2")
ELSEWHERE = CacheKey("spread", "v1", "d1")


def settings_for(server: RunningRedis, **fields: Any) -> CacheSettings:
    """Settings with a prefix nobody else has, and patience for a busy machine."""
    return CacheSettings(
        **{
            "redis": server.url,
            "redis_prefix": f"test-{uuid4().hex}",
            "redis_timeout_seconds": 2.0,
            **fields,
        }
    )


@asynccontextmanager
async def opened(settings: CacheSettings) -> AsyncIterator[RedisLevel]:
    """The level, closed at the end."""
    level = RedisLevel(settings)
    try:
        await level.open()
        yield level
    finally:
        await level.close()


async def put(level: RedisLevel, key: CacheKey, payload: bytes, seconds: float = 60.0) -> None:
    """Write a value as whoever has looked for it before."""
    await level.put(key, payload, seconds, (await level.get(key)).token)


async def payload_of(level: RedisLevel, key: CacheKey) -> bytes | None:
    """The value, if there is one."""
    return (await level.get(key)).payload


async def asked(level: RedisLevel) -> Found:
    """What it says of the key, a moment later: an open breaker answers without any waiting."""
    await asyncio.sleep(0.01)
    return await level.get(KEY)


# ---------------------------------------------------------------- one Redis


async def test_what_one_coordinator_writes_another_reads(redis_lru: RunningRedis) -> None:
    settings = settings_for(redis_lru)
    async with opened(settings) as one, opened(settings) as other:
        assert await one.get(KEY) == Found(asked=True)
        await put(one, KEY, b"1.0842")
        found = await other.get(KEY)
        assert (found.payload, len(found.token)) == (b"1.0842", 16)
        assert 58 < found.seconds_left <= 60
        assert await payload_of(other, OTHER) is None
        assert (one.written, other.hits, other.misses) == (1, 1, 1)


async def test_buses_with_different_prefixes_share_nothing(redis_lru: RunningRedis) -> None:
    async with opened(settings_for(redis_lru)) as one, opened(settings_for(redis_lru)) as other:
        await put(one, KEY, b"x")
        assert await payload_of(other, KEY) is None


async def test_a_space_is_outdated_for_everybody_and_alone(redis_lru: RunningRedis) -> None:
    settings = settings_for(redis_lru)
    async with opened(settings) as one, opened(settings) as other:
        await put(one, KEY, b"a")
        await put(one, ELSEWHERE, b"b")
        before = (await other.get(KEY)).token
        assert await other.outdate(KEY.space)
        assert await payload_of(one, KEY) is None
        assert await payload_of(one, ELSEWHERE) == b"b"
        await one.put(KEY, b"late", 60.0, before)  # Begun before it was outdated.
        assert await payload_of(one, KEY) is None
        await put(one, KEY, b"fresh")
        assert await payload_of(other, KEY) == b"fresh"
        assert one.outdated == 3


async def test_a_generation_that_redis_forgot_revives_nothing(redis_lru: RunningRedis) -> None:
    settings = settings_for(redis_lru)
    async with opened(settings) as level:
        await put(level, KEY, b"old")
        redis_lru.ask("DEL", generation_key(settings.redis_prefix, KEY.space))
        assert await payload_of(level, KEY) is None
        await put(level, OTHER, b"new")
        assert await payload_of(level, OTHER) == b"new"
        assert await payload_of(level, KEY) is None


async def test_the_longest_life_in_redis_is_bounded_and_kept_by_redis(
    redis_lru: RunningRedis,
) -> None:
    settings = settings_for(redis_lru, redis_ttl_seconds=5.0)
    async with opened(settings) as level:
        await put(level, KEY, b"x", seconds=3_600.0)
        assert 0 < int(redis_lru.ask("PTTL", KEY.text(settings.redis_prefix))) <= 5_000
        await put(level, OTHER, b"x", seconds=0.0001)
        assert redis_lru.ask("EXISTS", OTHER.text(settings.redis_prefix)) == "0"
        await put(level, OTHER, b"x", seconds=0.05)
        found = await eventually(lambda: level.get(OTHER), lambda found: found.payload is None)
        assert found.asked


@pytest.mark.parametrize("garbage", ["OK", "BWC1", "x" * 100, "BWC1" + "x" * 60])
async def test_garbage_is_a_miss_counted_and_overwritten(
    redis_lru: RunningRedis, garbage: str
) -> None:
    settings = settings_for(redis_lru)
    async with opened(settings) as level:
        redis_lru.ask("SET", KEY.text(settings.redis_prefix), garbage)
        assert await payload_of(level, KEY) is None
        assert (level.garbage, level.misses, level.failures) == (1, 1, 0)
        await put(level, KEY, b"right")
        assert await payload_of(level, KEY) == b"right"


async def test_a_value_larger_than_anybody_writes_is_garbage(redis_lru: RunningRedis) -> None:
    settings = settings_for(redis_lru)
    async with opened(settings) as one:
        await put(one, KEY, b"x" * 1_001)
        async with opened(replace(settings, value_bytes_max=1_000)) as other:
            assert await payload_of(other, KEY) is None
            assert other.garbage == 1
        assert await payload_of(one, KEY) == b"x" * 1_001


async def test_a_value_of_another_key_or_kind_is_a_miss(redis_lru: RunningRedis) -> None:
    settings = settings_for(redis_lru)
    here, there = KEY.text(settings.redis_prefix), OTHER.text(settings.redis_prefix)
    async with opened(settings) as level:
        await put(level, KEY, b"x")
        redis_lru.ask("COPY", here, there)
        assert await payload_of(level, OTHER) is None
        redis_lru.ask("DEL", here)
        redis_lru.ask("LPUSH", here, "a", "list")
        assert await payload_of(level, KEY) is None
        assert level.state is BreakerState.CLOSED


async def test_a_value_too_old_by_its_own_account_is_a_miss(redis_lru: RunningRedis) -> None:
    settings = settings_for(redis_lru)
    async with opened(settings) as level:
        await put(level, KEY, b"x", seconds=0.5)
        redis_lru.ask("PERSIST", KEY.text(settings.redis_prefix))
        await eventually(lambda: level.get(KEY), lambda found: found.payload is None)
        assert (await level.get(KEY)).asked
        assert level.outdated > 0


async def test_more_questions_than_connections_wait_their_turn(redis_lru: RunningRedis) -> None:
    settings = settings_for(redis_lru, redis_connections=3)
    async with opened(settings) as level:
        await put(level, KEY, b"x")
        found = await within(asyncio.gather(*(level.get(KEY) for _ in range(200))))
        assert {item.payload for item in found} == {b"x"}
        assert (level.failures, level.skipped) == (0, 0)


# ---------------------------------------------------------------- Redis that fails


async def test_a_redis_that_is_killed_costs_little_and_comes_back_by_itself(
    redis_installed: None, caplog: pytest.LogCaptureFixture
) -> None:
    with running_redis(policy="allkeys-lru") as server:
        async with opened(settings_for(server)) as level:
            await put(level, KEY, b"x")
            await asyncio.to_thread(server.kill)
            began = time.monotonic()
            for _ in range(100):
                assert await level.get(KEY) == Found()
            assert time.monotonic() - began < 2.0
            assert level.state is not BreakerState.CLOSED
            assert level.failures <= 10
            assert level.skipped >= 90
            await asyncio.to_thread(server.start)
            await eventually(lambda: asked(level), lambda found: found.asked)
            await put(level, KEY, b"y")
            assert await payload_of(level, KEY) == b"y"
    told = [record.getMessage() for record in caplog.records]
    assert len([text for text in told if "does not answer" in text]) == 1
    assert len([text for text in told if "answers again" in text]) == 1


async def test_a_redis_that_hangs_is_waited_for_no_longer_than_said(redis_installed: None) -> None:
    with running_redis(policy="allkeys-lru") as server:
        settings = settings_for(server, redis_timeout_seconds=0.2)
        async with opened(settings) as level:
            await put(level, KEY, b"x")
            server.hang()
            began = time.monotonic()
            answers = await within(asyncio.gather(*(level.get(KEY) for _ in range(20))))
            assert time.monotonic() - began < 1.5  # The bound, and a busy machine.
            assert set(answers) == {Found()}
            assert level.state is BreakerState.OPEN
            server.resume()
            found = await eventually(lambda: asked(level), lambda found: found.asked)
            assert found.payload == b"x"


async def test_a_redis_that_is_not_there_at_the_start_may_come_later(
    redis_installed: None, caplog: pytest.LogCaptureFixture
) -> None:
    with running_redis(policy="allkeys-lru") as server:
        server.kill()
        async with opened(settings_for(server)) as level:
            assert "begins without its second level" in caplog.text
            assert await level.get(KEY) == Found()
            await asyncio.to_thread(server.start)
            assert (await eventually(lambda: asked(level), lambda found: found.asked)).asked


async def test_a_full_redis_that_evicts_nothing_takes_no_more_and_still_answers(
    redis_installed: None, caplog: pytest.LogCaptureFixture
) -> None:
    with running_redis(policy="noeviction", memory_bytes=3 << 20) as server:
        async with opened(settings_for(server)) as level:
            assert "allkeys-lru suits the cache" in caplog.text
            for n in range(60):
                await put(level, CacheKey("fair_value", "v1", str(n)), b"x" * 100_000)
            assert level.write_failures > 0
            assert level.state is BreakerState.CLOSED
            assert await payload_of(level, CacheKey("fair_value", "v1", "0")) is not None


# ---------------------------------------------------------------- Redis that is not what it should be


async def test_a_wrong_password_is_refused_at_the_start_and_not_told_to_anybody(
    redis_installed: None,
) -> None:
    with running_redis(password="s3cret") as server:
        async with opened(settings_for(server)) as level:
            await put(level, KEY, b"x")
        for url in (server.url.replace("s3cret", "wr0ng"), f"redis://{server.address}"):
            with pytest.raises(RedisRefusedError, match="check user and password") as refused:
                async with opened(settings_for(server, redis=url)):
                    pass
            assert "wr0ng" not in str(refused.value)
            assert server.address in str(refused.value)


async def test_a_password_that_is_changed_later_opens_the_breaker_and_fails_nothing(
    redis_installed: None, caplog: pytest.LogCaptureFixture
) -> None:
    with running_redis(password="first") as server:
        async with opened(settings_for(server)) as level:
            await put(level, KEY, b"x")
            server.ask("CONFIG", "SET", "requirepass", "second")
            server.password = "second"
            server.ask("CLIENT", "KILL", "TYPE", "normal")
            await eventually(lambda: asked(level), lambda _: level.state is BreakerState.OPEN)
            assert "refuses us" in caplog.text


@pytest.mark.parametrize("url", ["", "localhost:6379", "http://localhost:6379", "redis://x:port"])
async def test_an_address_that_is_none_is_refused(redis_installed: None, url: str) -> None:
    level = RedisLevel(CacheSettings(redis=url))
    with pytest.raises(SettingsError, match=r"cache\.redis is .*redis://"):
        await level.open()


async def test_leases_are_not_given_to_a_redis_that_forgets(
    redis_noeviction: RunningRedis, redis_lru: RunningRedis
) -> None:
    for server, fits in ((redis_noeviction, True), (redis_lru, False)):
        client = open_client(server.url, cluster=False, connections=1, timeout_seconds=2.0)
        try:
            if fits:
                await check_noeviction(client, server.url, 2.0)
                continue
            with pytest.raises(RedisEvictsError, match="has maxmemory-policy 'allkeys-lru'"):
                await check_noeviction(client, server.url, 2.0)
        finally:
            await client.aclose()


async def test_leases_are_not_given_to_a_redis_that_is_not_there(redis_installed: None) -> None:
    with running_redis() as server:
        pass
    client = open_client(server.url, cluster=False, connections=1, timeout_seconds=0.5)
    with pytest.raises(RedisUnavailableError, match="does not answer within"):
        await check_noeviction(client, server.url, 0.5)
    await client.aclose()


# ---------------------------------------------------------------- a cluster


async def test_a_cluster_keeps_a_space_in_one_slot_and_spaces_apart(
    redis_cluster: list[RunningRedis],
) -> None:
    settings = settings_for(redis_cluster[0], redis_cluster=True)
    async with opened(settings) as one, opened(settings) as other:
        keys = [CacheKey(f"tool-{n}", "v1", str(m)) for n in range(20) for m in range(3)]
        for key in keys:
            await put(one, key, key.digest.encode())
        assert [await payload_of(other, key) for key in keys] == [k.digest.encode() for k in keys]
        assert await other.outdate("tool-0")
        assert await payload_of(one, keys[0]) is None
        assert await payload_of(one, keys[3]) == b"0"
        assert (one.failures, other.failures) == (0, 0)
    pattern = f"{settings.redis_prefix}*"
    spread = [len(node.ask("KEYS", pattern).split()) for node in redis_cluster]
    assert min(spread) > 0
    assert sum(spread) == len(keys) + 20


@pytest.mark.slow
async def test_a_cluster_that_loses_a_node_is_used_again_when_it_is_back(
    redis_installed: None,
) -> None:
    with running_redis_cluster() as nodes:
        settings = settings_for(nodes[0], redis_cluster=True, redis_timeout_seconds=0.5)
        keys = [CacheKey(f"tool-{n}", "v1", "d") for n in range(12)]
        async with opened(settings) as level:
            for key in keys:
                await put(level, key, b"x")
            await asyncio.to_thread(nodes[1].kill)

            async def answered() -> int:
                began = time.monotonic()
                found = await asyncio.gather(*(level.get(key) for key in keys))
                assert time.monotonic() - began < 3.0
                await asyncio.sleep(0.05)
                return sum(item.asked for item in found)

            await eventually(answered, lambda count: count < len(keys))
            await asyncio.to_thread(nodes[1].start)
            await eventually(answered, lambda count: count == len(keys), 30)
            for key in keys:
                await put(level, key, b"y")
                assert await payload_of(level, key) == b"y"
