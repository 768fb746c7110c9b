"""Last messages in Redis: what memory forgot, was not warmed with or lost, and never one that is not the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from tests.integration.coordinator.frames import eventually

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client import Client, connect
from bellwire.coordinator.cache.last_rule import Asked
from bellwire.coordinator.cache.redis_latest import RedisLatest
from bellwire.coordinator.cache.redis_level import RedisLevel
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.core.latest import LatestMessage
from bellwire.testing import running_coordinator
from bellwire.testing.redis import RunningRedis, running_redis
from bellwire.testing.server import RunningCoordinator

pytestmark = pytest.mark.integration

LOG = 7


def cache_at(server: RunningRedis, **fields: Any) -> CacheSettings:
    """Settings of a bus of its own."""
    return CacheSettings(
        **{
            "redis": server.url,
            "redis_prefix": f"test-{uuid4().hex}",
            "redis_timeout_seconds": 2.0,
            "latest": ("bars",),
            "negative_ttl_seconds": 0.0,
            **fields,
        }
    )


@asynccontextmanager
async def running(
    cache: CacheSettings, **settings: Any
) -> AsyncIterator[tuple[RunningCoordinator, Client]]:
    """A coordinator and a client of it."""
    async with (
        running_coordinator(cache=cache, **settings) as coordinator,
        connect(coordinator.unix) as client,
    ):
        yield coordinator, client


def durable(folder: Path) -> dict[str, Any]:
    return {"data": str(folder), "default_log": "sqlite"}


async def publish(client: Client, *pairs: tuple[str, bytes]) -> None:
    publisher = client.publisher("tests")
    for key, data in pairs:
        await publisher.publish("bars", data, key=key)


async def data_of(client: Client, keys: Iterable[str]) -> dict[str, bytes]:
    await asyncio.sleep(0.01)  # The coordinator that writes is on this loop.
    return {key: item.message.data for key, item in (await client.latest("bars", *keys)).items()}


async def settled(client: Client, wanted: dict[str, bytes], seconds: float = 10) -> None:
    """Wait until the last messages are these: they are written after the publishers were answered."""
    await eventually(lambda: data_of(client, wanted), lambda found: found == wanted, seconds)


async def position_written(server: RunningRedis, cache: CacheSettings) -> None:
    """Wait until something is in Redis."""

    async def there() -> str:
        await asyncio.sleep(0.01)
        return server.ask("GET", f"{cache.redis_prefix}:{{bars}}:latest-position")

    await eventually(there, bool)


async def test_what_memory_has_let_go_of_is_found_in_redis(redis_lru: RunningRedis) -> None:
    async with running(cache_at(redis_lru, latest_keys_max=3)) as (_, client):
        wanted = {f"k{n}": b"%d" % n for n in range(20)}
        await publish(client, *wanted.items())
        await settled(client, wanted)
        await publish(client, ("k0", b"newer"))
        await settled(client, {**wanted, "k0": b"newer"})
        memory, redis = (await client.admin.server_info()).cache.latest_levels
        assert (memory.name, redis.name) == ("memory", "redis")
        assert redis.hits >= 17
        assert memory.hits >= 3


async def test_a_key_silent_for_longer_than_is_warmed_is_found_after_a_restart(
    redis_lru: RunningRedis, tmp_path: Path
) -> None:
    cache = cache_at(redis_lru, latest_warm_messages=3)
    wanted = {f"k{n}": b"%d" % n for n in range(20)}
    for life in range(3):  # Each goes on with the values of the one before.
        async with running(cache, **durable(tmp_path)) as (_, client):
            if not life:
                await publish(client, *wanted.items())
                await position_written(redis_lru, cache)
            await settled(client, wanted)
            await publish(client, (f"life {life}", b"x"))
            wanted[f"life {life}"] = b"x"
            await settled(client, wanted)
            _, redis = (await client.admin.server_info()).cache.latest_levels
            assert redis.hits >= (17 if life else 0)  # What was not warmed.


async def test_a_topic_that_is_not_warm_is_answered_from_redis_that_has_come_as_far(
    redis_lru: RunningRedis, tmp_path: Path
) -> None:
    cache = cache_at(redis_lru)
    wanted = {f"k{n}": b"%d" % n for n in range(5)}
    async with running(cache, **durable(tmp_path)) as (_, client):
        await publish(client, *wanted.items())
        assert await data_of(client, wanted) == wanted  # Noted; what waits is written at the end.
    async with running(cache, **durable(tmp_path)) as (coordinator, client):
        state = coordinator.coordinator._state
        assert state is not None
        kept = state.latest._kept(state.bus.topics["bars"])
        await kept.lock.acquire()  # Its log is slow.
        kept.is_warm = False
        assert await data_of(client, wanted) == wanted
        await publish(client, ("k0", b"newer"))
        asked = asyncio.create_task(data_of(client, wanted))
        done, _ = await asyncio.wait([asked], timeout=0.2)
        assert not done  # Redis has not come as far: memory is waited for.
        kept.lock.release()
        assert await asked == {**wanted, "k0": b"newer"}


async def test_what_redis_did_not_hear_of_is_not_given_as_the_last(
    redis_installed: None, tmp_path: Path
) -> None:
    with running_redis(policy="allkeys-lru") as server:
        cache = cache_at(server, latest_warm_messages=1, redis_timeout_seconds=0.3)
        async with running(cache, **durable(tmp_path)) as (_, client):
            await publish(client, ("a", b"old"), ("b", b"old"), ("c", b"last"))
            await position_written(server, cache)
            server.hang()
            await publish(client, ("a", b"new"), ("b", b"new"), ("d", b"last"))
        server.resume()
        async with running(cache, **durable(tmp_path)) as (_, client):
            for _ in range(20):
                found = await data_of(client, "abcd")
                assert found["d"] == b"last"
                assert {*found.get("a", b"new").split()} == {b"new"}
                assert {*found.get("b", b"new").split()} == {b"new"}
            await publish(client, ("a", b"newer"))
            assert (await data_of(client, "a")) == {"a": b"newer"}


async def test_garbage_in_redis_is_a_miss(redis_lru: RunningRedis, tmp_path: Path) -> None:
    cache = cache_at(redis_lru, latest_keys_max=1)
    async with running(cache) as (_, client):
        wanted = {"a": b"a", "b": b"b", "c": b"c"}
        await publish(client, *wanted.items())
        await settled(client, wanted)
    name = f"{cache.redis_prefix}:{{bars}}:latest:"
    async with running(cache) as (_, client):
        await publish(client, ("x", b"x"))
        redis_lru.ask("SETRANGE", f"{name}a", "60", "garbage")
        redis_lru.ask("DEL", f"{name}b")
        redis_lru.ask("RPUSH", f"{name}b", "not", "a", "text")
        found = await data_of(client, "abc")
        assert (found.get("a"), found.get("b")) == (None, None)
        await publish(client, ("a", b"a2"), ("b", b"b2"), ("y", b"y"))
        await settled(client, {"a": b"a2", "b": b"b2", "y": b"y"})


async def test_a_topic_in_memory_has_its_last_messages_after_a_restart(
    redis_lru: RunningRedis,
) -> None:
    cache = cache_at(redis_lru)
    async with running(cache) as (_, client):
        await publish(client, ("a", b"before"), ("b", b"before"))
        assert len(await data_of(client, "ab")) == 2  # Noted; what waits is written at the end.
    async with running(cache) as (_, client):
        await publish(client, ("b", b"now"))
        await settled(client, {"a": b"before", "b": b"now"})
        await client.admin.delete_topic("bars")
        await publish(client, ("c", b"made anew"))
        for _ in range(10):
            assert await data_of(client, "abc") == {"c": b"made anew"}


async def test_a_message_too_large_for_redis_hides_the_older_one(redis_lru: RunningRedis) -> None:
    cache = cache_at(redis_lru, latest_keys_max=1, value_bytes_max=10_000)
    async with running(cache) as (_, client):
        await publish(client, ("a", b"small"), ("b", b"x"))
        await settled(client, {"a": b"small", "b": b"x"})
        await publish(client, ("a", bytes(20_000)), ("b", b"y"))
        await settled(client, {"b": b"y"})
        for _ in range(10):
            assert await data_of(client, "a") == {}


async def test_a_cluster_keeps_a_topic_in_one_slot(redis_cluster: list[RunningRedis]) -> None:
    cache = cache_at(redis_cluster[1], redis_cluster=True, latest_keys_max=2)
    async with running(cache) as (_, client):
        wanted = {f"k{n}": b"%d" % n for n in range(150)}
        await publish(client, *wanted.items())
        await settled(client, wanted)
        _, redis = (await client.admin.server_info()).cache.latest_levels
        assert redis.hits >= 148  # All that memory had no room for.


def item(key: str, offset: int, data: bytes = b"x") -> LatestMessage:
    return LatestMessage(Message(key=key, data=data), 0, offset, 100)


@asynccontextmanager
async def writer(cache: CacheSettings, begins: int) -> AsyncIterator[RedisLatest]:
    """What a coordinator writes that has read a topic from an offset on."""
    level = RedisLevel(cache)
    await level.open()
    latest = RedisLatest(level, cache)
    latest.begin(Asked("bars", (LOG,), (begins,), any_log=False), [begins])
    try:
        yield latest
    finally:
        await latest.close()
        await level.close()


async def test_an_older_message_never_replaces_a_newer_one(redis_lru: RunningRedis) -> None:
    cache = cache_at(redis_lru)
    asked = Asked("bars", (LOG,), (0,), any_log=False)
    async with writer(cache, 0) as held_up, writer(cache, 0) as other:
        held_up.note("bars", 0, [item("z", 0)], 1)
        await eventually(lambda: other.find(asked, ["z"]), bool)  # They go on with the same values.
        other.note("bars", 0, [item("a", 8, b"newer")], 10)
        await eventually(lambda: other.find(asked, ["a"]), bool)
        held_up.note("bars", 0, [item("a", 3, b"older"), item("b", 4)], 5)
        await eventually(lambda: other.find(asked, ["b"]), bool)
        found = await other.find(asked, ["a"])
        assert [(value.offset, value.message) for value in found.values()] == [
            (8, Message(key="a", data=b"newer"))
        ]


async def test_more_than_may_wait_begins_anew_and_nothing_older_is_given(
    redis_lru: RunningRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellwire.coordinator.cache.redis_latest.WAITING_MAX", 50)
    cache = cache_at(redis_lru)
    asked = Asked("bars", (LOG,), (200,), any_log=False)
    async with writer(cache, 0) as one:
        one.note("bars", 0, [item("a", 0), item("b", 1)], 2)
        await eventually(lambda: one.find(Asked("bars", (LOG,), (2,), False), ["a"]), bool)
        one.note("bars", 0, [item(f"k{n}", n) for n in range(2, 100)], 100)
        assert one.begun_anew == 1
        one.note("bars", 0, [item("b", 150)], 200)
        found = await eventually(lambda: one.find(asked, ["b", "k5"]), bool)
        assert {key: value.offset for key, value in found.items()} == {"b": 150}
        assert await one.find(asked, ["a"]) == {}


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]
)
async def test_whatever_happens_to_redis_no_older_message_is_given(
    redis_installed: None, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    truth: dict[str, bytes] = {}
    given = 0
    keys = [f"k{n}" for n in range(12)]
    with running_redis(policy="allkeys-lru") as server:
        cache = cache_at(
            server, latest_keys_max=3, latest_warm_messages=4, redis_timeout_seconds=0.05
        )
        for _ in range(5):
            hangs = False
            async with running(cache, **durable(tmp_path)) as (_, client):
                for _ in range(25):
                    what = random.choice(("publish", "publish", "publish", "ask", "ask", "redis"))
                    if what == "publish":
                        key, data = random.choice(keys), b"%d" % random.getrandbits(60)
                        await publish(client, (key, data))
                        truth[key] = data
                    elif what == "ask" and truth:
                        found = await data_of(client, keys)
                        given += len(found)
                        assert found.items() <= truth.items()
                    elif what == "redis":
                        (server.resume if hangs else server.hang)()
                        hangs = not hangs
                if hangs and random.random() < 0.5:
                    server.resume()
                    hangs = False
            if hangs:
                server.resume()
            if random.random() < 0.3:
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
    assert given > 50


async def test_who_takes_over_does_not_take_back_how_far_redis_has_come(
    redis_lru: RunningRedis,
) -> None:
    cache = cache_at(redis_lru)
    everything = Asked("bars", (LOG,), (100,), any_log=False)
    async with writer(cache, 0) as one:
        one.note("bars", 0, [item("a", 50), item("b", 99)], 100)
        await eventually(lambda: one.find(everything, ["a", "b"]), lambda found: len(found) == 2)
    async with writer(cache, 0) as other:
        for offset in range(60):  # It reads the log anew, from its beginning.
            other.note("bars", 0, [item("a" if offset == 50 else "c", offset)], offset + 1)
            assert len(await other.find(everything, ["a", "b"])) == 2
        # Then Redis is not able to follow: what it claims is what was noted since, and no more.
        other.skip("bars", 0, 70)
        other.note("bars", 0, [item("d", 80)], 81)
        wanted = Asked("bars", (LOG,), (81,), any_log=False)
        await eventually(lambda: other.find(wanted, ["d"]), bool)
        assert (await other.find(wanted, ["a", "b", "d"])).keys() == {"d"}
        assert await other.find(everything, ["d"]) == {}
