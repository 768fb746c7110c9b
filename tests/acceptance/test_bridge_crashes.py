"""The bridge and the coordinator are killed under load: nothing is lost, and inwards nothing comes twice."""

from __future__ import annotations

import asyncio
import json
import signal
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bellwire.admin.v1.topic_pb2 import LOG_KIND_SQLITE, Topic
from bellwire.client import EARLIEST, connect, new_message
from bellwire.client.kafka import decode_record
from bellwire.wire.cloud_events import headers_of

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

ROUNDS = 3
KEYS = ("EURUSD", "GBPUSD", "USDJPY")
MORE = 200  # Messages of each key, each way, in a round.


async def filled(client, producer, topics, upto):
    """Bring messages number … `upto` of each key onto both sides; give up nothing, send on."""
    async with asyncio.TaskGroup() as group:
        for key in KEYS:
            group.create_task(to_bus(client, topics["out"], key, upto))
            group.create_task(to_kafka(producer, topics["in"], key, upto))


async def to_bus(client, topic, key, numbers):
    for number in numbers:
        await client.publisher("desk").publish(topic, b"%d" % number, key=key, timeout=30)


async def to_kafka(producer, topic, key, numbers):
    for number in numbers:
        message = new_message(data=b"%d" % number, key=key, source="vendor", type="text")
        headers = headers_of(message)
        await producer.send_and_wait(topic, message.data, key.encode(), headers=headers)


async def offset_after(kafka, topic, count):
    """Wait until Kafka has so many records of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    async with consumer, asyncio.timeout(60):
        while True:
            partitions = consumer.partitions_for_topic(topic) or ()
            places = [TopicPartition(topic, each) for each in partitions]
            if places and sum((await consumer.end_offsets(places)).values()) >= count:
                return
            await consumer._client.force_metadata_update()


async def every_record(kafka, topic, different):
    """Read a topic until it has so many different messages; what is there then, repeats included."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    found = []
    async with consumer, asyncio.timeout(60):
        while not (partitions := consumer.partitions_for_topic(topic)):
            await consumer._client.force_metadata_update()
        consumer.assign([TopicPartition(topic, each) for each in partitions])
        while len({(each.key, each.data) for each in found}) < different:
            for some in (await consumer.getmany(timeout_ms=200)).values():
                found += [decode_record(each) for each in some]
    return found


def in_order_by_first_arrival(messages):
    """Numbers of each key as they came first, and how many came twice."""
    firsts = {key: {} for key in KEYS}
    for message in messages:
        firsts[message.key].setdefault(int(message.data))
    numbers = {key: list(found) for key, found in firsts.items()}
    return numbers, len(messages) - sum(map(len, numbers.values()))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["bridge", "coordinator"])
async def test_nothing_is_lost_when_one_is_killed(bellwire, kafka, victim):
    mark = uuid4().hex[:12]
    topics = {"out": f"orders.{mark}", "in": f"ticks.{mark}"}
    address = f"unix://{bellwire.folder}/bus.sock"
    durable = ("--data", "data", "--default-log", "sqlite")
    serve = ("serve", "--json", "--listen", address, *durable)
    routes = ("--out", topics["out"], "--in", topics["in"])
    small = ("--set", "bridge.publish_messages_max=20")
    mirror = ("bridge", "--json", "--kafka", kafka, "-a", address, *routes, *small)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True)
    server = bridge = None
    async with producer, asyncio.timeout(230):
        try:
            server = await begin(bellwire, serve)
            async with connect(address) as client:
                for name in topics.values():
                    topic = Topic(name=name, partition_count=2, log=LOG_KIND_SQLITE)
                    await client.admin.create_topic(topic)
                bridge = await begin(bellwire, mirror)
                for number in range(ROUNDS):
                    numbers = range(number * MORE, (number + 1) * MORE)
                    load = asyncio.create_task(filled(client, producer, topics, numbers))
                    await offset_after(kafka, topics["out"], number * MORE * len(KEYS) + 50)
                    if victim == "bridge":
                        await killed(bridge)
                        bridge = await begin(bellwire, mirror)
                    else:
                        await killed(server)
                        server = await begin(bellwire, serve)
                    await load
                total = ROUNDS * MORE * len(KEYS)
                received = await take_all(client, topics["in"], total)
                stats = await client.admin.topic_stats(topics["in"])
                end = sum(each.next_offset for each in stats.partitions)
                sent = await every_record(kafka, topics["out"], total)
                bridge[1].signal(signal.SIGTERM)
                done = json.loads((await bridge[1].end())[1].splitlines()[-1])
                assert done["event"] == "stopped"
        finally:
            for running in filter(None, (bridge, server)):
                await running[0].__aexit__(None, None, None)
    everything = {key: list(range(ROUNDS * MORE)) for key in KEYS}
    numbers_in, repeated_in = in_order_by_first_arrival(received)
    numbers_out, repeated_out = in_order_by_first_arrival(sent)
    print(f"{victim}: {total} each way; {repeated_out} twice outwards, {end - total} inwards")
    assert numbers_in == everything
    assert numbers_out == everything
    assert (repeated_in, end) == (0, total)


async def begin(bellwire, arguments):
    """Start a command and wait until it is ready; gives its context and itself."""
    context = bellwire.started(*arguments)
    command = await context.__aenter__()
    while (await command.event())["event"] != "ready":
        pass
    return context, command


async def killed(running):
    context, command = running
    command.signal(signal.SIGKILL)
    await command.end()
    await context.__aexit__(None, None, None)


async def take_all(client, topic, count):
    found = []
    async with client.subscribe(topic, start=EARLIEST) as subscription, asyncio.timeout(60):
        while len(found) < count:
            found += (await subscription.next_batch()).messages
    return found
