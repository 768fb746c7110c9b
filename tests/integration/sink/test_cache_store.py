"""A coordinator with an analytic store as the third level of its cache: answers that last, and last messages."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.integration.coordinator.caching import CountingAgent, counting_agent, invoke
from tests.integration.coordinator.frames import Stubs, dial, eventually
from tests.integration.sink.test_runner import SETTINGS as SINK
from tests.integration.sink.test_runner import running as running_sink

from bellwire.agent.v1 import invocation_pb2
from bellwire.client import Client, connect, new_message
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.sink import ParquetWriter, QuerySettings, ask
from bellwire.sink.cache_store import CacheStore
from bellwire.sink.folder import StoreFolder
from bellwire.testing.redis import RunningRedis
from bellwire.testing.server import running_coordinator

pytestmark = pytest.mark.integration

MADE = invocation_pb2.CACHE_LEVEL_UNSPECIFIED
MEMORY = invocation_pb2.CACHE_LEVEL_MEMORY
REDIS = invocation_pb2.CACHE_LEVEL_REDIS
STORE = invocation_pb2.CACHE_LEVEL_STORE
HOUR_MILLIS = 3_600_000


def cache_of(root: Path, **fields: Any) -> CacheSettings:
    return CacheSettings(
        **{"store": str(root / "store"), "store_timeout_seconds": 20.0, "settle_seconds": 0.0, **fields}
    )  # fmt: skip


@asynccontextmanager
async def serving(
    root: Path, cache: CacheSettings | None = None, **settings: Any
) -> AsyncIterator[tuple[Stubs, Client]]:
    """A coordinator whose durable topics and whose store outlive it."""
    settings = {"data": str(root / "bus"), "default_log": "sqlite", **settings}
    store = CacheStore(root / "store", seconds_max=20, answer_seconds=86_400)
    async with (
        running_coordinator(cache=cache or cache_of(root), source=store, **settings) as running,
        dial(running.unix) as bus,
        connect(running.unix) as client,
    ):
        yield bus, client


@asynccontextmanager
async def agent_of(
    bus: Stubs, outdated_by: tuple[str, ...] = (), **fields: Any
) -> AsyncIterator[CountingAgent]:
    async with counting_agent(
        bus, ttl_millis=HOUR_MILLIS, outdated_by=outdated_by, **fields
    ) as agent:
        yield agent


# ---------------------------------------------------------------- answers


async def test_an_answer_that_holds_for_long_outlives_the_coordinator(tmp_path: Path) -> None:
    async with serving(tmp_path) as (bus, _), agent_of(bus):
        made = [await invoke(bus, f'{{"n": {n}}}') for n in range(20)]
    async with serving(tmp_path) as (bus, _), agent_of(bus) as agent:
        again = [await invoke(bus, f'{{"n": {n}}}') for n in range(20)]
        assert {answer.cache_level for answer in again} == {STORE}
        assert [answer.result for answer in again] == [answer.result for answer in made]
        assert (await invoke(bus, '{"n": 1}')).cache_level == MEMORY
        assert (await invoke(bus, '{"n": 20}')).cache_level == MADE
        assert len(agent.calls) == 1
        store = (await bus.info()).cache.levels[-1]
        assert (store.name, store.hits, store.misses) == ("store", 20, 1)
    counted = "SELECT capability, count(*) FROM answers GROUP BY ALL"
    assert ask(tmp_path / "store", counted, QuerySettings()).rows == [("fair_value", 21)]


async def test_answers_that_redis_keeps_as_long_are_not_for_the_store(tmp_path: Path) -> None:
    async with serving(tmp_path) as (bus, _), counting_agent(bus, ttl_millis=300_000):
        await invoke(bus)
    async with serving(tmp_path) as (bus, _), counting_agent(bus, ttl_millis=300_000):
        assert (await invoke(bus)).cache_level == MADE


async def test_an_answer_of_before_the_newest_message_never_comes_back(tmp_path: Path) -> None:
    outdated_by = ("bars.1h", "news.>")
    async with serving(tmp_path) as (bus, _), agent_of(bus, outdated_by):
        for topic in ("bars.1h", "news.a"):
            await bus.publish(b"x", topic=topic)
        await invoke(bus, '{"n": "old"}')
        await bus.publish(b"x", topic="news.a")
        await invoke(bus, '{"n": "new"}')
    async with serving(tmp_path) as (bus, _), agent_of(bus, outdated_by):
        assert (await invoke(bus, '{"n": "old"}')).cache_level == MADE
        assert (await invoke(bus, '{"n": "new"}')).cache_level == STORE
        await bus.publish(b"x", topic="bars.1h")
        assert (await invoke(bus, '{"n": "new"}')).cache_level == MADE
    async with serving(tmp_path) as (bus, _):
        await bus.publish(b"x", topic="news.b")  # A pattern names it, and nobody watches.
    async with serving(tmp_path) as (bus, _), agent_of(bus, outdated_by):
        for n in ("old", "new"):
            assert (await invoke(bus, f'{{"n": "{n}"}}')).cache_level == MADE


async def test_a_topic_made_anew_outdates_what_its_namesake_had_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as (bus, client), agent_of(bus, ("bars",)):
        await bus.publish(b"x", topic="bars")
        await invoke(bus)
    async with serving(tmp_path) as (bus, client), agent_of(bus, ("bars",)):
        await client.admin.delete_topic("bars")
        await bus.publish(b"x", topic="bars")
        assert (await invoke(bus)).cache_level == MADE


@pytest.mark.parametrize("topic", ["absent", "in.memory"])
async def test_where_messages_cannot_be_known_later_nothing_is_kept(
    tmp_path: Path, topic: str
) -> None:
    for _ in range(2):
        async with serving(tmp_path, default_log="memory") as (bus, _), agent_of(bus, (topic,)):
            if topic != "absent":
                await bus.publish(b"x", topic=topic)
            assert (await invoke(bus)).cache_level == MADE
            assert (await invoke(bus)).cache_level == MEMORY


async def test_the_store_stands_behind_redis(redis_lru: RunningRedis, tmp_path: Path) -> None:
    cache = cache_of(
        tmp_path, redis=redis_lru.url, redis_prefix=f"test-{uuid4().hex}", redis_timeout_seconds=2.0
    )
    async with serving(tmp_path, cache) as (bus, _), agent_of(bus):
        await invoke(bus)

        async def keys() -> list[str]:
            await asyncio.sleep(0.01)
            return redis_lru.ask("KEYS", f"{cache.redis_prefix}:*:*:*").split()

        (key,) = await eventually(keys, bool)
    redis_lru.ask("DEL", key)
    for expected in (STORE, REDIS):
        async with serving(tmp_path, cache) as (bus, _), agent_of(bus):
            assert (await invoke(bus)).cache_level == expected
            await eventually(keys, bool)


async def test_a_store_that_cannot_be_written_costs_nothing_but_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store").write_text("a file is in the way")
    with caplog.at_level(logging.WARNING, "bellwire.coordinator"):
        async with serving(tmp_path) as (bus, _), agent_of(bus):
            for n in range(5):
                assert (await invoke(bus, f'{{"n": {n}}}')).cache_level == MADE
                assert (await invoke(bus, f'{{"n": {n}}}')).cache_level == MEMORY

            async def unstored() -> int:
                await asyncio.sleep(0.05)
                return (await bus.info()).cache.unstored_answers

            await eventually(unstored, lambda count: count == 5)
    assert "begins without its store" in caplog.text
    assert "takes no answers" in caplog.text


# ---------------------------------------------------------------- last messages


@asynccontextmanager
async def sinking(root: Path, client: Client, rows: int) -> AsyncIterator[None]:
    """A sink into the store; ends when it has stored so many rows."""
    writer = ParquetWriter(StoreFolder(root / "store"), SINK)
    try:
        async with running_sink(client, writer) as (_, seen):
            yield
            await seen.until(lambda seen: seen.rows >= rows)
    finally:
        writer.close()


async def publish(client: Client, *pairs: tuple[str, bytes]) -> None:
    publisher = client.publisher("tests")
    for key, data in pairs:
        await publisher.publish("bars", data, key=key)


async def data_of(client: Client, *keys: str) -> dict[str, bytes]:
    return {key: item.message.data for key, item in (await client.latest("bars", *keys)).items()}


async def test_a_key_beyond_what_is_warmed_is_found_in_the_store(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, latest=("bars",), latest_warm_messages=3, negative_ttl_seconds=60.0)
    wanted = {f"k{n}": b"%d" % n for n in range(20)}
    async with serving(tmp_path, cache) as (_, client), sinking(tmp_path, client, 20):
        await publish(client, *wanted.items())
    async with serving(tmp_path, cache) as (bus, client):
        assert await data_of(client, *wanted, "none") == wanted
        await publish(client, ("k0", b"newer"))
        assert await data_of(client, *wanted) == {**wanted, "k0": b"newer"}
        memory, store = (await bus.info()).cache.latest_levels
        assert (memory.name, store.name) == ("memory", "store")
        before = store.misses
        for _ in range(5):
            assert await data_of(client, "none") == {}
        # That there is none is remembered, too.
        assert (await bus.info()).cache.latest_levels[1].misses == before


async def test_the_last_messages_of_the_store_are_there_before_they_are_asked_for(
    tmp_path: Path,
) -> None:
    cache = cache_of(tmp_path, latest=("bars",), latest_warm_messages=1)
    wanted = {f"k{n}": b"%d" % n for n in range(20)}
    async with serving(tmp_path, cache) as (_, client), sinking(tmp_path, client, 20):
        await publish(client, *wanted.items())
    store = CacheStore(tmp_path / "store", seconds_max=20, answer_seconds=86_400)
    durable: dict[str, Any] = {"data": str(tmp_path / "bus"), "default_log": "sqlite"}
    async with (
        running_coordinator(cache=cache, source=store, **durable) as running,
        connect(running.unix) as client,
    ):
        state = running.coordinator._state
        assert state is not None
        below = state.latest.below

        async def remembered() -> int:
            await asyncio.sleep(0.01)
            return len(below._found)

        await eventually(remembered, lambda count: count >= 19)
        shutil.rmtree(tmp_path / "store" / "messages")
        assert await data_of(client, *wanted) == wanted


async def test_a_store_that_is_behind_is_not_believed(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, latest=("bars",), latest_warm_messages=1)
    async with serving(tmp_path, cache) as (_, client):
        async with sinking(tmp_path, client, 2):
            await publish(client, ("a", b"old"), ("b", b"old"))
        await publish(client, ("a", b"new"), ("c", b"last"))  # The sink is down.
    async with serving(tmp_path, cache) as (bus, client):
        assert await data_of(client, "a", "b", "c") == {"c": b"last"}
        assert (await bus.info()).cache.latest_levels[1].stale > 0


async def test_what_retention_dropped_before_the_start_is_found_in_the_store(
    tmp_path: Path,
) -> None:
    cache = cache_of(tmp_path, latest=("bars",))
    bounds: dict[str, Any] = {"durable_retention_messages": 10}
    async with serving(tmp_path, cache, **bounds) as (_, client), sinking(tmp_path, client, 201):
        await publish(client, ("rare", b"once"))
        publisher = client.publisher("tests")
        for _ in range(20):
            often = [new_message(data=b"x", key="often") for _ in range(10)]
            await publisher.publish_many("bars", often)
        stats = await client.admin.topic_stats("bars")
        assert stats.partitions[0].low_offset > 0
    async with serving(tmp_path, cache, **bounds) as (_, client):
        assert await data_of(client, "rare", "often") == {"rare": b"once", "often": b"x"}


async def test_a_topic_in_memory_has_its_last_messages_of_before_the_restart(
    tmp_path: Path,
) -> None:
    cache = cache_of(tmp_path, latest=("bars",))
    memory: dict[str, Any] = {"default_log": "memory", "data": ""}
    async with serving(tmp_path, cache, **memory) as (_, client), sinking(tmp_path, client, 2):
        await publish(client, ("a", b"before"), ("b", b"before"))
    async with serving(tmp_path, cache, **memory) as (_, client):
        await publish(client, ("b", b"now"))
        assert await data_of(client, "a", "b", "c") == {"a": b"before", "b": b"now"}
        await client.admin.delete_topic("bars")
        await publish(client, ("c", b"made anew"))
        assert await data_of(client, "a", "b", "c") == {"c": b"made anew"}


async def test_a_sink_and_a_coordinator_share_a_folder_and_nothing_else(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, latest=("bars",))
    async with (
        serving(tmp_path, cache) as (bus, client),
        agent_of(bus),
        sinking(tmp_path, client, 2),
    ):
        await invoke(bus)
        await publish(client, ("a", b"x"), ("b", b"x"))
    sink = replace(SINK, compact_files=2)
    writer = ParquetWriter(StoreFolder(tmp_path / "store"), sink)
    writer.close()
    async with serving(tmp_path, cache) as (bus, _), agent_of(bus):
        assert (await invoke(bus)).cache_level == STORE
    counted = "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM answers)"
    assert ask(tmp_path / "store", counted, QuerySettings()).rows == [(2, 1)]
