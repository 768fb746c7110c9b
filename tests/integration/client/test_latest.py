"""Last messages through the client: as fresh as a subscription, warmed from the log, bounded answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.client import CallerError, Client, LatestNotKeptError, UnknownTopicError, connect
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.testing import running_coordinator
from bellwire.wire.errors import InvalidTopicNameError

pytestmark = pytest.mark.integration

KEPT = CacheSettings(latest=("bars.>", "orders"))


@asynccontextmanager
async def client_of(cache: CacheSettings = KEPT, **settings: Any) -> AsyncIterator[Client]:
    """A client of a coordinator that keeps last messages."""
    async with (
        running_coordinator(cache=cache, **settings) as running,
        connect(running.unix) as client,
    ):
        yield client


async def publish(client: Client, topic: str, *pairs: tuple[str, bytes]) -> None:
    """Publish and wait until it is acknowledged."""
    publisher = client.publisher("tests")
    for key, data in pairs:
        await publisher.publish(topic, data, key=key)


async def test_the_last_message_of_each_key_comes_back_as_soon_as_it_is_acknowledged() -> None:
    async with client_of() as client:
        for n in range(50):
            await publish(client, "bars.1h", ("EURUSD", b"%d" % n), ("IBM", b"%d" % -n))
            found = await client.latest("bars.1h", "EURUSD", "IBM", "GBPUSD")
            values = {key: item.message.data for key, item in found.items()}
            assert values == {"EURUSD": b"%d" % n, "IBM": b"%d" % -n}
            assert found["EURUSD"].offset == 2 * n


async def test_keys_of_many_partitions_are_found() -> None:
    async with client_of() as client:
        await client.admin.create_topic(Topic(name="bars.5m", partition_count=8))
        pairs = [(f"S{n}", b"%d" % n) for n in range(200)]
        await publish(client, "bars.5m", *pairs)
        found = await client.latest("bars.5m", *(key for key, _ in pairs))
        assert {key: item.message.data for key, item in found.items()} == dict(pairs)
        assert {item.partition for item in found.values()} == set(range(8))


async def test_a_durable_topic_is_warmed_from_its_log(tmp_path: Path) -> None:
    durable: dict[str, Any] = {"data": str(tmp_path), "default_log": "sqlite"}
    async with client_of(**durable) as client:
        await publish(client, "orders", *((f"k{n % 10}", b"%d" % n) for n in range(100)))
    async with client_of(**durable) as client:
        found = await client.latest("orders", *(f"k{n}" for n in range(10)))
        assert [found[f"k{n}"].message.data for n in range(10)] == [b"9%d" % n for n in range(10)]
        await publish(client, "orders", ("k0", b"new"))
        assert (await client.latest("orders", "k0"))["k0"].message.data == b"new"


async def test_only_the_end_of_a_long_log_is_read_at_the_start(tmp_path: Path) -> None:
    durable: dict[str, Any] = {"data": str(tmp_path), "default_log": "sqlite"}
    async with client_of(**durable) as client:
        for n in range(20):
            await publish(client, "orders", (f"k{n}", b"x"))
    short = CacheSettings(latest=("orders",), latest_warm_messages=5)
    async with client_of(short, **durable) as client:
        found = await client.latest("orders", *(f"k{n}" for n in range(20)))
        assert sorted(found) == ["k15", "k16", "k17", "k18", "k19"]


async def test_what_retention_has_dropped_is_still_the_last_message() -> None:
    async with client_of(retention_messages=10) as client:
        await publish(client, "bars.1h", ("rare", b"once"))
        await client.latest("bars.1h", "rare")
        await publish(client, "bars.1h", *(("often", b"%d" % n) for n in range(100)))
        found = await client.latest("bars.1h", "rare", "often")
        assert [found[key].message.data for key in ("rare", "often")] == [b"once", b"99"]


async def test_a_topic_made_anew_has_no_messages_of_the_old_one() -> None:
    async with client_of() as client:
        await publish(client, "bars.1h", ("a", b"old"))
        assert "a" in await client.latest("bars.1h", "a")
        await client.admin.delete_topic("bars.1h")
        with pytest.raises(UnknownTopicError):
            await client.latest("bars.1h", "a")
        await publish(client, "bars.1h", ("b", b"new"))
        assert sorted(await client.latest("bars.1h", "a", "b")) == ["b"]


async def test_more_than_one_answer_can_hold_comes_in_several() -> None:
    async with client_of() as client:
        size = 400_000
        await publish(client, "bars.1h", *((f"k{n}", bytes([n]) * size) for n in range(20)))
        found = await client.latest("bars.1h", *(f"k{n}" for n in range(20)))
        assert [found[f"k{n}"].message.data for n in range(20)] == [
            bytes([n]) * size for n in range(20)
        ]
        many = await client.latest("bars.1h", *(f"none-{n}" for n in range(2_500)))
        assert many == {}


async def test_topics_not_named_in_the_settings_are_refused_with_what_to_do() -> None:
    async with client_of() as client:
        await publish(client, "signals", ("a", b"x"))
        with pytest.raises(LatestNotKeptError, match=r"cache\.latest=signals"):
            await client.latest("signals", "a")
        with pytest.raises(CallerError):
            await client.latest("a b", "a")
    with pytest.raises(InvalidTopicNameError):
        CacheSettings(latest=("a b",))


async def test_the_counters_tell_what_is_kept() -> None:
    async with client_of(CacheSettings(latest=("bars.>",), latest_keys_max=3)) as client:
        await publish(client, "bars.1h", *((f"k{n}", b"x") for n in range(5)))
        await client.latest("bars.1h", "k0")
        cache = (await client.admin.server_info()).cache
        assert (cache.latest_keys, cache.latest_dropped) == (3, 2)
        assert cache.latest_bytes > 3 * 512


async def test_the_keys_published_last_are_given_without_being_named() -> None:
    async with client_of() as client:
        await publish(client, "bars.1h", *((f"k{n}", b"%d" % n) for n in range(10)), ("k3", b"x"))
        found = await client.latest_of_recent("bars.1h", 3)
        assert [(key, item.message.data) for key, item in found.items()] == [
            ("k3", b"x"),
            ("k9", b"9"),
            ("k8", b"8"),
        ]
        assert len(await client.latest_of_recent("bars.1h", 1_000)) == 10
        for count in (0, 1_001):
            with pytest.raises(CallerError):
                await client.latest_of_recent("bars.1h", count)
        size = 400_000
        await publish(client, "bars.1h", *((f"l{n}", bytes([n]) * size) for n in range(20)))
        assert len(await client.latest_of_recent("bars.1h", 30)) == 30
