"""A client of several groups of coordinators: real ones, each alone, and a map that the client is given.

What needs coordinators that know of each other is in tests/integration/cluster/.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise

import pytest

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.client import (
    EARLIEST,
    Client,
    ClientSettings,
    PeerError,
    ProducerFencedError,
    UnknownSubscriptionError,
    UnknownTopicError,
    UnreachableError,
    new_message,
)
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.policy.topic_groups import GroupEntry
from bellwire.testing import RunningCoordinator, running_coordinator

WAIT_SECONDS = 20.0
COUNT = 300


@dataclass
class Pair:
    """Two coordinators and a client of both: `orders` has `orders.>`, `rest` all others."""

    orders: RunningCoordinator
    rest: RunningCoordinator
    client: Client

    def alone(self, running: RunningCoordinator) -> Client:
        """A client of one of them, which knows nothing of groups."""
        return Client(running.tcp)


def groups_of(orders: str, rest: str) -> list[GroupEntry]:
    return [
        GroupEntry("rest", (), rest, 1),
        GroupEntry("orders", ("orders.>",), orders, 1),
    ]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        orders = await stack.enter_async_context(
            running_coordinator(cache=CacheSettings(latest=("orders.last",)))
        )
        rest = await stack.enter_async_context(running_coordinator())
        settings = ClientSettings(timeout_seconds=WAIT_SECONDS)
        client = Client(rest.tcp, settings, topic_groups=groups_of(orders.tcp, rest.tcp))
        await stack.enter_async_context(client)
        yield Pair(orders, rest, client)


async def taken(client: Client, topic: str, count: int) -> list[bytes]:
    """Read the first messages of a topic."""
    found: list[bytes] = []
    async with asyncio.timeout(WAIT_SECONDS), client.subscribe(topic, start=EARLIEST) as messages:
        async for message in messages:
            found.append(message.data)
            if len(found) == count:
                break
    return found


async def test_each_topic_is_published_to_the_group_that_owns_it(pair: Pair) -> None:
    publisher = pair.client.publisher("test")
    for number in range(10):
        await publisher.publish("orders.paper", b"o%d" % number)
        await publisher.publish("bars.5m", b"b%d" % number)
    await publisher.publish_payloads("orders.live", [b"1", b"2", b"3"])
    await publisher.publish_many("control.killswitch", [new_message(data=b"stop")])
    await publisher.publish_once("orders.once", [new_message(data=b"once")], request_id="1")
    future = await publisher.enqueue("orders.later", new_message(data=b"later"))
    await publisher.flush()
    assert (await future).topic == "orders.later"
    async with pair.alone(pair.orders) as orders, pair.alone(pair.rest) as rest:
        assert [topic.name for topic in await orders.admin.list_topics()] == [
            "orders.later",
            "orders.live",
            "orders.once",
            "orders.paper",
        ]
        assert [topic.name for topic in await rest.admin.list_topics()] == [
            "bars.5m",
            "control.killswitch",
        ]
        assert await taken(orders, "orders.paper", 10) == [b"o%d" % number for number in range(10)]
        assert await taken(rest, "bars.5m", 10) == [b"b%d" % number for number in range(10)]


async def test_a_pattern_brings_the_topics_of_all_groups_in_turn_and_in_order(pair: Pair) -> None:
    publisher = pair.client.publisher("test")
    topics = ("orders.paper", "bars.5m")
    for topic in topics:
        await publisher.publish_payloads(topic, [b"%d" % number for number in range(COUNT)])
    found: dict[str, list[int]] = {topic: [] for topic in topics}
    subscribed = pair.client.subscribe(
        ">", start=EARLIEST, subscription="all", max_batch_messages=10, settle="manual"
    )
    order: list[str] = []
    async with asyncio.timeout(WAIT_SECONDS), subscribed as subscription:
        async for batch in subscription.batches():
            order.append(batch.topic)
            found[batch.topic] += [int(message.data) for message in batch.messages]
            await subscription.accept(batch)
            if sum(map(len, found.values())) == 2 * COUNT:
                break
    assert found == {topic: list(range(COUNT)) for topic in topics}
    both = order[2 : 2 * min(map(order.count, topics)) - 2]
    assert sum(a != b for a, b in pairwise(both)) > len(both) // 2, order


async def test_what_is_released_comes_again_from_its_own_group(pair: Pair) -> None:
    publisher = pair.client.publisher("test")
    async with (
        asyncio.timeout(WAIT_SECONDS),
        pair.client.subscribe(
            "orders.>", "bars.*", start=EARLIEST, subscription="s", settle="manual"
        ) as subscription,
    ):
        await publisher.publish("orders.paper", b"o")
        await publisher.publish("bars.5m", b"b")
        attempts: dict[str, list[int]] = {}
        async for message in subscription:
            attempts.setdefault(message.topic, []).append(message.attempt)
            if message.attempt == 0:
                await subscription.release(message)
            else:
                await subscription.renew(message)
                await subscription.accept(message)
            if attempts == {"orders.paper": [0, 1], "bars.5m": [0, 1]}:
                break
        assert subscription.streams_opened == 2


async def test_a_pause_is_one_of_all_parts(pair: Pair) -> None:
    publisher = pair.client.publisher("test")
    async with (
        asyncio.timeout(WAIT_SECONDS),
        pair.client.subscribe(">") as subscription,
        pair.alone(pair.orders) as orders,
        pair.alone(pair.rest) as rest,
    ):
        await subscription.pause()
        assert subscription.paused
        await publisher.publish("orders.paper", b"o")
        await publisher.publish("bars.5m", b"b")
        waiting = asyncio.ensure_future(anext(aiter(subscription)))
        for client in (orders, rest):  # Round trips in which a delivery would have come.
            for _ in range(5):
                await client.admin.server_info()
        assert not waiting.done()
        await subscription.resume()
        first = await waiting
        assert first.topic in ("orders.paper", "bars.5m")


@pytest.mark.slow
async def test_a_group_that_is_away_does_not_stop_the_others() -> None:
    settings = ClientSettings(timeout_seconds=1.0)
    async with running_coordinator() as rest:
        groups = [*groups_of("127.0.0.1:1", rest.tcp), GroupEntry("nobody", ("fills.*",))]
        client = Client(rest.tcp, settings, topic_groups=groups)
        async with asyncio.timeout(WAIT_SECONDS), client, client.subscribe(">") as subscription:
            publisher = client.publisher("test")
            await publisher.publish("bars.5m", b"b")
            assert (await anext(aiter(subscription))).data == b"b"
            for topic in ("orders.paper", "fills.paper"):
                with pytest.raises(PeerError):
                    await publisher.publish(topic, b"o")
            with pytest.raises(UnreachableError):
                await client.subscribe("fills.paper").__aenter__()
            with pytest.raises(PeerError):
                await client.admin.list_topics()
            await publisher.publish("bars.5m", b"c")
            assert (await anext(aiter(subscription))).data == b"c"


async def test_administration_goes_to_the_group_of_the_topic_and_lists_are_whole(
    pair: Pair,
) -> None:
    admin = pair.client.admin
    for name in ("orders.paper", "bars.5m"):
        assert (await admin.create_topic(Topic(name=name, partition_count=2))).partition_count == 2
        assert (await admin.get_topic(name)).name == name
    assert [topic.name for topic in await admin.list_topics()] == ["bars.5m", "orders.paper"]
    assert [topic.name for topic in await admin.list_topics("orders.>")] == ["orders.paper"]
    await admin.delete_topic("orders.paper")
    with pytest.raises(UnknownTopicError):
        await admin.get_topic("orders.paper")
    with pytest.raises(UnknownTopicError):
        await admin.delete_topic("orders.paper")
    assert [topic.name for topic in await admin.list_topics()] == ["bars.5m"]


async def test_a_named_subscription_has_a_cursor_in_each_group(pair: Pair) -> None:
    publisher, admin = pair.client.publisher("test"), pair.client.admin
    topics = ("orders.paper", "bars.5m")
    for topic in topics:
        await publisher.publish_payloads(topic, [b"%d" % number for number in range(10)])

    async def read(count: int) -> list[tuple[str, bytes]]:
        found = []
        async with (
            asyncio.timeout(WAIT_SECONDS),
            pair.client.subscribe(*topics, subscription="s") as messages,
        ):
            async for message in messages:
                found.append((message.topic, message.data))
                if len(found) == count:
                    break
        return found

    every = sorted((topic, b"%d" % number) for topic in topics for number in range(10))
    assert sorted(await read(20)) == every
    positions = await admin.seek("s", EARLIEST)
    assert sorted((at.topic, at.offset) for at in positions) == [
        ("bars.5m", 0),
        ("orders.paper", 0),
    ]
    assert sorted(await read(20)) == every
    only = await admin.seek("s", EARLIEST, topics=["orders.paper"])
    assert [at.topic for at in only] == ["orders.paper"]
    await admin.delete_subscription("s")
    with pytest.raises(UnknownSubscriptionError):
        await admin.delete_subscription("s")


async def test_a_dead_letter_is_found_and_redriven_at_its_group(pair: Pair) -> None:
    publisher, admin = pair.client.publisher("test"), pair.client.admin
    await publisher.publish("orders.paper", b"bad")
    async with asyncio.timeout(WAIT_SECONDS):
        async with pair.client.subscribe(
            ">", subscription="s", start=EARLIEST, settle="manual"
        ) as subscription:
            message = await anext(aiter(subscription))
            await subscription.reject(message, reason="no such venue")
        letters = [letter async for letter in admin.dead_letters("orders.paper")]
        assert [letter.reason for letter in letters] == ["no such venue"]
        assert [letter async for letter in admin.dead_letters("bars.5m")] == []
        assert (await admin.redrive_all("orders.paper")).messages == 1
        assert (await admin.purge("orders.paper", dry_run=True)).messages == 0


@pytest.mark.parametrize("speed", [0.0, 1_000.0])
async def test_a_replay_of_several_groups_is_merged_by_message_time(
    pair: Pair, speed: float
) -> None:
    publisher = pair.client.publisher("test")
    second = 1_000_000_000
    for number in range(20):
        topic = ("orders.paper", "bars.5m")[number % 2]
        await publisher.publish(topic, b"%d" % number, time_unix_nano=(100 + number) * second)
    async with asyncio.timeout(WAIT_SECONDS), pair.client.replay(">", speed=speed) as replay:
        found = [message async for message in replay]
    assert [int(message.data) for message in found] == list(range(20))
    assert all(message.replayed and message.settled for message in found)
    async with pair.client.replay("orders.>", speed=0) as replay:
        assert [int(message.data) async for message in replay] == list(range(0, 20, 2))
    with pytest.raises(UnknownTopicError):
        async with pair.client.replay("fills.*", "orders.none", speed=0) as replay:
            _ = [message async for message in replay]


async def test_last_messages_are_asked_of_the_group_of_the_topic(pair: Pair) -> None:
    await pair.client.publisher("test").publish("orders.last", b"1", key="EURUSD")
    found = await pair.client.latest("orders.last", "EURUSD", "GBPUSD")
    assert {key: last.message.data for key, last in found.items()} == {"EURUSD": b"1"}


async def test_a_named_producer_fences_its_predecessor_in_each_group(pair: Pair) -> None:
    old = pair.client.publisher("venue", producer_name="venue-0")
    for topic in ("orders.paper", "bars.5m"):
        await old.publish(topic, b"1")
    settings = ClientSettings(timeout_seconds=WAIT_SECONDS)
    groups = groups_of(pair.orders.tcp, pair.rest.tcp)
    async with Client(pair.orders.tcp, settings, topic_groups=groups[::-1]) as second:
        await second.publisher("venue", producer_name="venue-0").ready()
        for topic in ("orders.paper", "bars.5m"):
            with pytest.raises(ProducerFencedError):
                await old.publish(topic, b"2")
            await second.publisher("venue", producer_name="venue-0").publish(topic, b"3")
