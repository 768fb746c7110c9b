"""One client of two groups on one Kafka and one Redis: it finds out by itself whose a topic is."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from tests.crash.processes import environment
from tests.integration.cluster.processes import ServedGroup
from tests.integration.cluster.test_topic_groups import Pair, address_of, all_known
from tests.integration.coordinator.frames import dial

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.client import EARLIEST, Client, ClientSettings, connect, new_message
from bellwire.testing.redis import RunningRedis

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(180)]

WAIT_SECONDS = 30.0
SETTINGS = ClientSettings(timeout_seconds=WAIT_SECONDS, heartbeat_seconds=0.5)
LOAD_PAUSE_SECONDS = 0.005


@pytest.fixture
async def pair(kafka: str, redis_noeviction: RunningRedis) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        yield Pair(kafka, redis_noeviction.url, stack)


@pytest.mark.parametrize("first", ["rest", "orders", "both", "standby"])
async def test_any_address_leads_to_every_topic(pair: Pair, first: str) -> None:
    rest, orders = await pair.start_rest(), await pair.start_orders()
    standby = await orders.join()
    addresses = {
        "rest": address_of(rest),
        "orders": address_of(orders),
        "both": f"{standby.addresses[0]},{address_of(rest)}",
        "standby": standby.addresses[0],
    }
    for group in (rest, orders):
        async with dial(address_of(group)) as stubs:
            await all_known(stubs, 2)
    topics = [pair.bars, pair.orders]
    async with asyncio.timeout(WAIT_SECONDS), connect(addresses[first], SETTINGS) as client:
        publisher = client.publisher("desk")
        async with client.subscribe(f"{pair.prefix}.>") as messages:
            for topic in topics:
                assert (await publisher.publish(topic, topic.encode())).offset == 0
            iterator = aiter(messages)
            found = [await anext(iterator) for _ in topics]
            assert sorted(message.data.decode() for message in found) == topics
        await publisher.publish_once(
            pair.orders, [new_message(data=b"once")], request_id=uuid4().hex
        )
        await client.admin.create_topic(Topic(name=f"{pair.orders}.2", partition_count=2))
        listed = await client.admin.list_topics(f"{pair.prefix}.>")
        assert [topic.name for topic in listed] == [*topics, f"{pair.orders}.2"]
        async with client.replay(f"{pair.prefix}.>", speed=0) as replay:
            assert sorted([m.data.decode() async for m in replay]) == sorted([*topics, "once"])
        async with client.subscribe(*topics, subscription="s", start=EARLIEST) as messages:
            taken = [await anext(aiter(messages)) for _ in range(3)]
            assert sorted(m.data.decode() for m in taken) == sorted([*topics, "once"])
        await client.admin.delete_subscription("s")


async def test_a_group_that_is_added_takes_its_topics_along_with_its_publishers_and_readers(
    pair: Pair,
) -> None:
    rest = await pair.start_rest()
    received: dict[str, list[int]] = defaultdict(list)
    published: dict[str, int] = defaultdict(int)
    first_of_log: dict[str, int] = {}  # Of the group that has the topic in the end.
    news, stop = asyncio.Event(), asyncio.Event()
    readers: list[str] = []

    async def read(client: Client, name: str, *topics: str) -> None:
        start = None if name == "from now on" else EARLIEST
        async with client.subscribe(*topics, start=start) as messages:
            readers.append(name)
            news.set()
            async for message in messages:
                received[f"{name} {message.topic}"].append(int(message.data))
                news.set()

    async def publish(client: Client, topic: str) -> None:
        publisher = client.publisher("desk")
        while not stop.is_set():
            number = published[topic]
            result = await publisher.publish(topic, b"%d" % number, key="k")
            if result.offset == 0:
                first_of_log[topic] = number
            published[topic] += 1
            await asyncio.sleep(LOAD_PAUSE_SECONDS)

    async def until(count: int) -> None:
        wanted = [f"name {pair.orders}"]
        for name in ("pattern", "from now on"):
            wanted += [f"{name} {topic}" for topic in (pair.bars, pair.orders)]
        while not all(received[name][-1:] >= [count] for name in wanted):
            news.clear()
            await news.wait()

    async with asyncio.timeout(60), connect(address_of(rest), SETTINGS) as client:
        tasks = [
            asyncio.create_task(read(client, "pattern", f"{pair.prefix}.>")),
            asyncio.create_task(read(client, "name", pair.orders)),
            asyncio.create_task(read(client, "from now on", f"{pair.prefix}.>")),
        ]
        while len(readers) < len(tasks):
            news.clear()
            await news.wait()
        publishing = [
            asyncio.create_task(publish(client, topic)) for topic in (pair.bars, pair.orders)
        ]
        await until(20)
        orders = await pair.start_orders()
        await until(max(published.values()) + 20)
        stop.set()
        await asyncio.gather(*publishing)
        await until(min(published.values()) - 1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    async with connect(address_of(orders), SETTINGS) as client:
        assert {topic.name for topic in await client.admin.list_topics(f"{pair.prefix}.>")} == {
            pair.bars,
            pair.orders,
        }
    for name, numbers in received.items():
        topic = name.split()[-1]
        assert numbers == sorted(numbers), name  # In order, over the change.
        # Who read the topic by name is sent away by the old group, be there something left to read.
        first = first_of_log[topic] if name.startswith("name ") else 0
        assert set(range(first, published[topic])) <= set(numbers), name
    assert first_of_log[pair.orders] > 0


class Flow:
    """Publishes numbers to a topic, the next when the one before is acknowledged."""

    def __init__(self, client: Client, topic: str) -> None:
        self._client = client
        self.topic = topic
        self.acknowledged = 0
        self.longest_gap = 0.0
        self.received: list[int] = []
        self.news = asyncio.Event()
        self.stopping = False

    async def run(self) -> None:
        publisher = self._client.publisher("desk")
        at = time.monotonic()
        while not self.stopping:
            message = new_message(data=b"%d" % self.acknowledged, key="k")
            await publisher.publish_message(self.topic, message)
            self.acknowledged += 1
            now = time.monotonic()
            self.longest_gap, at = max(self.longest_gap, now - at), now
            self.news.set()
            await asyncio.sleep(LOAD_PAUSE_SECONDS)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while self.acknowledged < count:
                self.news.clear()
                await self.news.wait()


async def test_when_one_groups_active_one_is_killed_under_load_the_other_flow_goes_on(
    kafka: str, redis_noeviction: RunningRedis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix, redis = f"p{uuid4().hex}", redis_noeviction.url
    names = {name: ("--group", f"{name}-{prefix}") for name in ("orders", "rest")}
    orders = ServedGroup(
        tmp_path / "orders", kafka, redis, 2, *names["orders"], "--topics", f"{prefix}.orders.>"
    )
    rest = ServedGroup(tmp_path / "rest", kafka, redis, 1, *names["rest"])
    try:
        await rest.start()
        active = await orders.start()
        async with connect(f"{rest.addresses},{orders.addresses}", SETTINGS) as client:
            flows = {name: Flow(client, f"{prefix}.{name}") for name in ("bars", "orders.new")}
            reading = asyncio.create_task(_read(client, f"{prefix}.>", flows))
            tasks = [asyncio.create_task(flow.run()) for flow in flows.values()]
            killed, other = flows["orders.new"], flows["bars"]
            for _ in range(2):
                await killed.until(killed.acknowledged + 100)
                await other.until(other.acknowledged + 100)
                await active.kill()
                following = await orders.active(but=active)
                await killed.until(killed.acknowledged + 100)
                await active.start()
                active = following
            for flow in flows.values():
                flow.stopping = True
            await asyncio.gather(*tasks)
            async with asyncio.timeout(WAIT_SECONDS):
                while any(len(f.received) < f.acknowledged for f in flows.values()):
                    other.news.clear()
                    await other.news.wait()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            for flow in flows.values():
                log = await _log_of(client, flow.topic, flow.acknowledged)
                assert log == list(range(flow.acknowledged)), flow.topic
                assert flow.received == log, flow.topic
        with capsys.disabled():
            print(
                f"\nactive one of a group killed 2 times: {killed.acknowledged} and {other.acknowledged} messages "
                f"acknowledged, longest time without an acknowledgement {killed.longest_gap:.2f} s there and "
                f"{other.longest_gap:.2f} s in the other group"
            )
        assert other.longest_gap < 1.5 < killed.longest_gap
    finally:
        for group in (orders, rest):
            await group.stop()


async def _read(client: Client, pattern: str, flows: dict[str, Flow]) -> None:
    by_topic = {flow.topic: flow for flow in flows.values()}
    async with client.subscribe(pattern, start=EARLIEST) as messages:
        async for message in messages:
            by_topic[message.topic].received.append(int(message.data))
            for flow in flows.values():
                flow.news.set()


async def _log_of(client: Client, topic: str, count: int) -> list[int]:
    found: list[int] = []
    async with (
        asyncio.timeout(WAIT_SECONDS),
        client.subscribe(topic, subscription="log", start=EARLIEST) as messages,
    ):
        async for message in messages:
            found.append(int(message.data))
            if len(found) >= count:
                return found
    raise AssertionError("the subscription ended")


async def test_commands_reach_every_topic_at_any_address(pair: Pair) -> None:
    rest, orders = await pair.start_rest(), await pair.start_orders()
    for group in (rest, orders):
        async with dial(address_of(group)) as stubs:
            await all_known(stubs, 2)

    async def run(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bellwire.cli", *arguments, "-a", address_of(rest)),
            stdout=PIPE,
            stderr=PIPE,
            env=environment(),
        )
        async with asyncio.timeout(WAIT_SECONDS):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    for topic in (pair.bars, pair.orders):
        await run("pub", topic, "--data", '{"n": 1}')
    listed = await run("topics", "list", "--json")
    replayed = await run("replay", f"{pair.prefix}.>", "--json")
    for topic in (pair.bars, pair.orders):
        assert topic in listed
        assert topic in replayed
