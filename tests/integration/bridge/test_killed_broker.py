"""The broker is killed under load, again and again: what was acknowledged arrives, each key in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from tests.integration.bridge.bridging import (
    Bridging,
    bridge,
    make_topic,
    records,
    take,
    unique,
    within,
)

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.bridge import BridgeSettings, KafkaUnreachableError
from bellwire.bridge.bridge import run_bridge
from bellwire.client import Client, new_message
from bellwire.client.kafka import decode_record
from bellwire.testing.kafka import RunningKafka, running_kafka
from bellwire.wire.cloud_events import headers_of, key_of

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROUNDS = 5
KEYS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCHF")
LOADED_MESSAGES = 300  # Through in both directions before each kill.
PAUSE_SECONDS = 0.02
TOGETHER = 5


class Load:
    """Sends numbered messages, one key after the other, and remembers those acknowledged.

    Each lane has one call under way and its own keys, so that what it sends keeps its order.
    """

    def __init__(self, send: Callable[[str, int], Awaitable[None]]) -> None:
        self._send = send
        self._stop = asyncio.Event()
        self.acknowledged: dict[str, list[int]] = {key: [] for key in KEYS}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for key in KEYS:
                group.create_task(self._lane(key))

    async def _lane(self, key: str) -> None:
        number = 0
        while not self._stop.is_set():
            for _ in range(TOGETHER):
                await self._send(key, number)
                self.acknowledged[key].append(number)
                number += 1
            await asyncio.sleep(PAUSE_SECONDS)  # The load's pace, not a wait for anything.

    def stop(self) -> None:
        self._stop.set()

    @property
    def count(self) -> int:
        return sum(map(len, self.acknowledged.values()))


@pytest.fixture
async def broker(kafka_jars: None) -> AsyncIterator[RunningKafka]:
    """A broker that may be killed."""
    context = running_kafka()
    running = await asyncio.to_thread(context.__enter__)
    yield running
    await asyncio.to_thread(context.__exit__, None, None, None)


async def more(running: Bridging, messages: int) -> None:
    """Wait until so many more have gone through in both directions."""
    counters = running.counters
    await reached(running, counters.sent + messages, counters.received + messages)


async def reached(running: Bridging, sent: int, received: int) -> None:
    """Wait until so many have gone through since the start."""
    counters = running.counters
    assert running.task is not None
    async with asyncio.timeout(60):
        while counters.sent < sent or counters.received < received:
            assert not running.task.done(), running.task.exception()
            await asyncio.sleep(0.005)  # Counters have no event; the deadline is above.


def repeated_and_checked(found: Iterable[tuple[str, int]], load: Load) -> int:
    """Check loss and order per key by first arrival; return how many came twice."""
    firsts: dict[str, dict[int, None]] = {key: {} for key in KEYS}
    repeated = 0
    for key, number in found:
        repeated += number in firsts[key]
        firsts[key].setdefault(number)
    for key in KEYS:
        assert list(firsts[key]) == load.acknowledged[key], f"{key}: lost or out of order"
    return repeated


@pytest.mark.timeout(240)
async def test_nothing_acknowledged_is_lost_when_the_broker_is_killed(
    broker: RunningKafka, client: Client
) -> None:
    out_topic, in_topic, arrived = unique("orders"), unique("ticks"), "ticks"
    await client.admin.create_topic(Topic(name=out_topic, partition_count=3))
    await client.admin.create_topic(Topic(name=arrived, partition_count=3))
    await make_topic(broker.bootstrap, in_topic, 3)
    publisher = client.publisher("desk")
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap, acks="all", enable_idempotence=True
    )
    await producer.start()

    async def to_bus(key: str, number: int) -> None:
        await publisher.publish(out_topic, b"%d" % number, key=key)

    async def to_kafka(key: str, number: int) -> None:
        message = new_message(data=b"%d" % number, key=key, source="vendor", type="text")
        await producer.send_and_wait(
            in_topic, message.data, key_of(message), headers=headers_of(message)
        )

    settings = BridgeSettings(
        kafka=broker.bootstrap,
        out_topics=(out_topic,),
        in_topics=(f"{in_topic}={arrived}",),
        probe_seconds=0.2,
    )
    outwards, inwards = Load(to_bus), Load(to_kafka)
    async with bridge(client, settings) as running:
        loads = [asyncio.create_task(load.run()) for load in (outwards, inwards)]
        for number in range(1, ROUNDS + 1):
            await more(running, LOADED_MESSAGES)
            killed = time.monotonic()
            await asyncio.to_thread(broker.kill)
            await running.reported("kafka_away", number)
            await asyncio.to_thread(broker.start)
            answers = time.monotonic()
            waiting = outwards.count - running.counters.sent
            await reached(running, outwards.count, inwards.count)
            through = time.monotonic()
            print(
                f"round {number}: killed; the broker answers after {answers - killed:.2f} s, all that waited "
                f"({waiting} messages outwards) is through {through - answers:.2f} s later"
            )
        await more(running, LOADED_MESSAGES)
        for load in (outwards, inwards):
            load.stop()
        await asyncio.gather(*loads)
        await producer.stop()
        await reached(running, outwards.count, inwards.count)
        there = await records(broker.bootstrap, out_topic)
        here = await take(client, arrived, inwards.count)
        stats = await client.admin.topic_stats(arrived)
    decoded = [decode_record(each) for each in there]
    repeats_out = repeated_and_checked(((each.key, int(each.data)) for each in decoded), outwards)
    repeats_in = repeated_and_checked(((each.key, int(each.data)) for each in here), inwards)
    repeats_in += stats.published_messages - inwards.count
    print(
        f"{outwards.count} messages out, {repeats_out} of them twice; {inwards.count} in, {repeats_in} twice"
    )
    assert repeats_in == 0


async def test_a_broker_that_stays_away_ends_the_bridge_and_the_next_one_goes_on(
    broker: RunningKafka, client: Client
) -> None:
    out_topic, in_topic = unique("orders"), unique("ticks")
    await make_topic(broker.bootstrap, in_topic, 1)
    settings = BridgeSettings(
        kafka=broker.bootstrap,
        out_topics=(out_topic,),
        in_topics=(in_topic,),
        probe_seconds=0.2,
        outage_seconds_max=1.0,
        stop_seconds=1.0,
    )
    await client.publisher().publish(out_topic, b"before", key="A")
    running = Bridging()
    running.task = asyncio.create_task(run_bridge(client, settings, running.stop, running.report))
    await running.reported("ready")
    assert [each.value for each in await records(broker.bootstrap, out_topic, 1)] == [b"before"]
    await asyncio.to_thread(broker.kill)
    await client.publisher().publish(out_topic, b"meanwhile", key="A")
    with pytest.raises(KafkaUnreachableError, match=r"has been away for 1 s: .*; nothing is lost"):
        await within(running.task)
    starting = asyncio.create_task(asyncio.to_thread(broker.start))
    async with bridge(client, replace(settings, connect_seconds=30.0)):
        await starting
        found = await records(broker.bootstrap, out_topic, 2)
    assert found[-1].value == b"meanwhile"


async def test_a_bridge_stops_in_time_while_kafka_is_away(
    broker: RunningKafka, client: Client
) -> None:
    topic = unique("orders")
    settings = BridgeSettings(
        kafka=broker.bootstrap, out_topics=(topic,), probe_seconds=0.2, stop_seconds=0.5
    )
    async with bridge(client, settings) as running:
        await asyncio.to_thread(broker.kill)
        await running.reported("kafka_away")
        await client.publisher().publish(topic, b"waits", key="A")
    assert running.task is not None
    assert running.task.done()
    assert not running.task.cancelled()
