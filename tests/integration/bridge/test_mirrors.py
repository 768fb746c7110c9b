"""Topics mirrored between the bus and a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from tests.integration.bridge.bridging import (
    bridge,
    by_key,
    make_topic,
    records,
    send,
    take,
    unique,
)

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.bridge import BridgeSettings, KafkaTopicError, KafkaUnreachableError
from bellwire.bridge.bridge import run_bridge
from bellwire.client import (
    LATEST,
    BellwireError,
    Client,
    Message,
    UnknownTopicError,
    connect,
    new_message,
)
from bellwire.client.kafka import decode_record, origin_of
from bellwire.testing import running_coordinator
from bellwire.wire.cloud_events import headers_of

pytestmark = pytest.mark.integration
KEYS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "")


def numbered(count: int, source: str) -> list[Message]:
    return [
        new_message(data=b"%d" % number, key=KEYS[number % len(KEYS)], type="text", source=source)
        for number in range(count)
    ]


def keyed(messages: list[Message]) -> dict[str, list[bytes]]:
    """Payloads of each key in order; without a key no order is asked."""
    found = by_key(messages)
    return {**found, "": sorted(found.get("", []))}


async def test_a_topic_goes_out_by_key_in_order_with_its_origin(kafka: str, client: Client) -> None:
    topic, target = unique("signals"), unique("mirrored")
    await client.admin.create_topic(Topic(name=topic, partition_count=3))
    sent = numbered(1_000, "rules-0")
    settings = BridgeSettings(kafka=kafka, out_topics=(f"{topic}={target}",), bus="desk")
    async with bridge(client, settings) as running:
        await client.publisher().publish_many(topic, sent)
        found = await records(kafka, target, len(sent))
    assert running.counters.sent == len(sent)
    assert keyed([decode_record(each) for each in found]) == keyed(sent)
    partitioner = DefaultPartitioner()
    for each in found:
        origin = origin_of(each.headers)
        assert origin is not None
        assert (origin.bus, origin.topic) == ("desk", topic)
        if each.key:
            assert each.partition == partitioner(each.key, [0, 1, 2], [0, 1, 2])
        else:
            assert each.partition == origin.partition
    assert len({(origin_of(each.headers)) for each in found}) == len(sent)


async def test_a_topic_comes_in_by_key_in_order_with_its_origin(kafka: str, client: Client) -> None:
    topic = unique("vendor")
    await make_topic(kafka, topic, 3)
    sent = numbered(1_000, "vendor")
    await send(kafka, topic, *sent)
    settings = BridgeSettings(kafka=kafka, in_topics=(f"{topic}=bars",), publish_messages_max=64)
    async with bridge(client, settings) as running:
        found = await take(client, "bars", len(sent))
    assert running.counters.received == len(sent)
    assert keyed(found) == keyed(sent)
    assert {each.id for each in found} == {each.id for each in sent}
    origins = {
        (each.attributes["kafka_partition"], each.attributes["kafka_offset"]) for each in found
    }
    assert len(origins) == len(sent)
    assert {each.attributes["kafka_topic"] for each in found} == {topic}


async def test_what_came_from_the_other_side_is_not_sent_back(kafka: str, client: Client) -> None:
    topic = unique("both")
    settings = BridgeSettings(kafka=kafka, out_topics=(topic,), in_topics=(topic,))
    async with bridge(client, settings) as running:
        await client.publisher().publish(topic, b"of the bus", key="A")
        await records(kafka, topic, 1)
        await send(kafka, topic, new_message(data=b"of Kafka", key="A", type="text", source="v"))
        await take(client, topic, 2)
        # Both mirrors have the other's message before them and this one behind it.
        await client.publisher().publish(topic, b"end", key="A")
        assert [each.value for each in await records(kafka, topic, 3)] == [
            b"of the bus", b"of Kafka", b"end",
        ]  # fmt: skip
        await send(kafka, topic, new_message(data=b"END", key="A", type="text", source="v"))
        found = await take(client, topic, 4)
        assert [each.data for each in found] == [b"of the bus", b"of Kafka", b"end", b"END"]
    assert running.counters.skipped >= 3
    assert (running.counters.sent, running.counters.received) == (2, 2)


async def test_two_buses_share_a_kafka_and_nothing_goes_in_circles(
    kafka: str, client: Client
) -> None:
    topic = unique("shared")
    first = BridgeSettings(kafka=kafka, bus="a", name="a", out_topics=(topic,), in_topics=(topic,))
    second = BridgeSettings(kafka=kafka, bus="b", name="b", out_topics=(topic,), in_topics=(topic,))
    async with (
        running_coordinator() as other,
        connect(other.unix) as far,
        bridge(client, first),
        bridge(far, second),
    ):
        for number in range(3):
            here, there = (client, far) if number % 2 == 0 else (far, client)
            await here.publisher().publish(topic, str(number).encode(), key="A")
            await take(there, topic, number + 1)
        for each in (client, far):
            assert [m.data for m in await take(each, topic, 3)] == [b"0", b"1", b"2"]
        assert len(await records(kafka, topic, 3)) == 3


async def test_garbage_is_dead_lettered_with_the_reason_and_stops_nothing(
    kafka: str, client: Client
) -> None:
    topic = unique("foreign")
    await make_topic(kafka, topic, 1)
    good = new_message(data=b"good", key="A", type="text", source="v")
    long_key = new_message(data=b"long", key="k" * 300, type="text", source="v")
    odd = new_message(data=b"odd", key="A", type="text", source="v")
    odd.attributes.update({f"name-{number}": "x" for number in range(63)})
    settings = BridgeSettings(kafka=kafka, in_topics=(topic,))
    async with bridge(client, settings) as running:
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            await producer.send_and_wait(topic, b"\x00\xff", b"\xfe")
            await producer.send_and_wait(topic, None, b"k", headers=[("ce_specversion", b"1.0")])
        await send(kafka, topic, good, long_key, odd, good)
        found = await take(client, topic, 2)
        letters = await records(kafka, f"{topic}.dlq", 4)
    assert [each.data for each in found] == [b"good", b"good"]
    assert running.counters.dead_lettered == 4
    said = [dict(each.headers) for each in letters]
    reasons = [each["bellwire_dlq_reason"].decode() for each in said]
    assert "the key is not UTF-8" in reasons[0]
    assert "no header ce_id" in reasons[1]
    assert "key of 300 bytes, limit is 256" in reasons[2]
    assert "67 attributes, limit is 64" in reasons[3]
    assert [each["bellwire_dlq_offset"] for each in said] == [b"0", b"1", b"3", b"4"]
    assert (letters[0].key, letters[0].value) == (b"\xfe", b"\x00\xff")


async def test_a_record_too_large_becomes_a_dead_letter_of_the_bus_and_the_rest_goes_on(
    kafka: str, client: Client
) -> None:
    topic = unique("large")
    await make_topic(kafka, topic, 1, **{"max.message.bytes": "20000"})
    await client.admin.create_topic(Topic(name=topic, partition_count=1))
    noise = Random(0).randbytes(30_000)  # Nothing for LZ4 to find.
    settings = BridgeSettings(kafka=kafka, out_topics=(topic,), record_bytes_max=100_000)
    sent = [b"first", noise, b"second", b"x" * 200_000, b"third"]
    async with bridge(client, settings) as running:
        await client.publisher().publish_payloads(topic, sent, key="A")
        found = await records(kafka, topic, 3)
        await running.reported("dead_lettered", 2)
        letters = [each async for each in client.admin.dead_letters(topic)]
    reasons = [each.reason for each in letters]
    assert [each.value for each in found] == [b"first", b"second", b"third"]
    assert len(reasons) == 2
    assert all("too large for Kafka" in each for each in reasons)


async def test_a_record_that_no_bus_takes_is_named_in_the_dead_letters(
    kafka: str, client: Client
) -> None:
    topic = unique("huge")
    await make_topic(kafka, topic, 1, **{"max.message.bytes": "20000000"})
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=20_000_000) as producer:
        for size in (600_000, 2_000_000, 6_000_000):
            message = new_message(data=b"x" * size, key="A", type="text", source="v")
            await producer.send_and_wait(topic, message.data, b"A", headers=headers_of(message))
    await send(kafka, topic, new_message(data=b"good", key="A", type="text", source="v"))
    async with bridge(client, BridgeSettings(kafka=kafka, in_topics=(topic,))):
        assert [each.data for each in await take(client, topic, 1)] == [b"good"]
        letters = await records(kafka, f"{topic}.dlq", 3)
    assert [len(each.value) for each in letters] == [600_000, 0, 0]
    said = [{name: text.decode() for name, text in each.headers} for each in letters]
    assert "limit is 524288" in said[0]["bellwire_dlq_reason"]
    assert said[1]["bellwire_dlq_value_bytes"] == "2000000"
    assert "no bus takes more than 4194304" in said[2]["bellwire_dlq_reason"]
    assert said[2]["bellwire_dlq_offset"] == "2"


async def test_a_record_that_no_client_can_read_ends_the_bridge_with_its_place(
    kafka: str, client: Client, find_tool: Callable[[str], Path], tmp_path: Path
) -> None:
    topic = unique("unreadable")
    await make_topic(kafka, topic, 1)
    (tmp_path / "value").write_bytes(b"x")
    write = ("-b", kafka, "-P", "-t", topic, "-H", b"\xff=1", str(tmp_path / "value"))
    kcat = await asyncio.create_subprocess_exec(str(find_tool("kcat")), *write)
    assert await kcat.wait() == 0
    error = await ended(client, BridgeSettings(kafka=kafka, in_topics=(topic,)))
    assert isinstance(error, KafkaTopicError)
    assert "0@0: the name of a header is not UTF-8" in str(error)
    assert f"move group 'bridge.{topic}' behind its batch" in str(error)


async def test_a_bridge_that_is_cut_off_publishes_nothing_twice_and_loses_nothing(
    kafka: str, client: Client
) -> None:
    topic = unique("cut")
    await make_topic(kafka, topic, 2)
    sent = numbered(3_000, "v")
    await send(kafka, topic, *sent)
    settings = BridgeSettings(kafka=kafka, in_topics=(f"{topic}=bars",))
    await client.admin.create_topic(Topic(name="bars", partition_count=2))

    async def appended() -> int:
        return (await client.admin.topic_stats("bars")).published_messages

    for size in (100, 70, 130, 90, 110, 60):
        # Cut otherwise each time, so that only what was promised can be the same request again.
        sized = replace(settings, publish_messages_max=size)
        async with client.subscribe("bars", start=LATEST) as seen, asyncio.timeout(30):
            cut = asyncio.create_task(run_bridge(client, sized, asyncio.Event()))
            await seen.next_batch()  # It is on the bus, and the bridge hardly knows.
            cut.cancel()
            await asyncio.wait([cut])
    async with bridge(client, settings):
        found = await take(client, "bars", len(sent))
        last = new_message(data=b"end", key="EURUSD", type="text", source="v")
        await send(kafka, topic, last)
        assert len(await take(client, "bars", len(sent) + 1)) == len(sent) + 1
    assert sorted(each.id for each in found) == sorted(each.id for each in sent)
    assert keyed(found) == keyed(sent)
    assert await appended() == len(sent) + 1


@pytest.mark.slow
async def test_two_bridges_of_one_name_share_the_partitions_and_hand_them_over(
    kafka: str, client: Client
) -> None:
    topic = unique("shared")
    await make_topic(kafka, topic, 4)
    settings = BridgeSettings(kafka=kafka, in_topics=(f"{topic}=ticks",), publish_messages_max=20)
    await client.admin.create_topic(Topic(name="ticks", partition_count=4))
    sent: list[Message] = []

    async def more() -> None:
        sent.extend(fresh := numbered(200, "v"))
        await send(kafka, topic, *fresh)

    async with bridge(client, settings) as first:
        await more()
        await take(client, "ticks", 1)
        async with bridge(client, settings) as second, asyncio.timeout(30):
            while not second.counters.received:  # The group rebalances at its next heartbeat.
                await more()
            await more()
        await more()
        found = await take(client, "ticks", len(sent))
    assert first.counters.received > 0
    assert keyed(found) == keyed(sent)
    assert (await client.admin.topic_stats("ticks")).published_messages == len(sent)


# ---------------------------------------------------------------- what stops a bridge


async def ended(client: Client, settings: BridgeSettings) -> Exception:
    """What a bridge ends with."""
    async with asyncio.timeout(30):
        with pytest.raises(BellwireError) as found:
            await run_bridge(client, settings, asyncio.Event())
    return found.value


async def test_no_broker_at_start_is_said_after_a_bounded_wait(client: Client) -> None:
    settings = BridgeSettings(kafka="127.0.0.1:9", in_topics=("t",), connect_seconds=0.5)
    error = await ended(client, settings)
    assert isinstance(error, KafkaUnreachableError)
    assert str(error).startswith("no Kafka at 127.0.0.1:9 within 0.5 s: ")
    assert "is it running, and is this its address?" in str(error)


async def test_a_stop_is_heard_while_kafka_is_looked_for(client: Client) -> None:
    stop = asyncio.Event()
    settings = BridgeSettings(kafka="127.0.0.1:9", in_topics=("t",), connect_seconds=600)
    running = asyncio.create_task(run_bridge(client, settings, stop))
    stop.set()
    async with asyncio.timeout(30):
        assert (await running).received == 0


async def test_too_few_partitions_are_refused(kafka: str, client: Client) -> None:
    topic = unique("narrow")
    await make_topic(kafka, topic, 2)
    await client.admin.create_topic(Topic(name=topic, partition_count=4))
    settings = BridgeSettings(kafka=kafka, out_topics=(topic,))
    await client.publisher().publish(topic, b"kept", key="A")
    error = await ended(client, settings)
    assert isinstance(error, KafkaTopicError)
    assert f"Kafka topic {topic!r} has 2 partitions, the bridge needs 4" in str(error)
    async with bridge(client, replace(settings, partitions=2)):
        assert [each.value for each in await records(kafka, topic, 1)] == [b"kept"]


async def test_a_missing_topic_is_not_made_where_that_is_forbidden(
    kafka: str, client: Client
) -> None:
    settings = BridgeSettings(kafka=kafka, in_topics=(unique("absent"),), create_topics=False)
    error = await ended(client, settings)
    assert isinstance(error, KafkaTopicError)
    assert "does not exist: make it, or set bridge.create_topics" in str(error)


async def test_a_bus_that_knows_no_such_topic_ends_the_bridge_and_nothing_is_lost(
    kafka: str,
) -> None:
    topic = unique("strict")
    await send(kafka, topic, new_message(data=b"kept", key="A", type="text", source="v"))
    settings = BridgeSettings(kafka=kafka, in_topics=(topic,))
    async with (
        running_coordinator(auto_create_topics=False) as running,
        connect(running.unix) as client,
    ):
        assert isinstance(await ended(client, settings), UnknownTopicError)
        await client.admin.create_topic(Topic(name=topic))
        async with bridge(client, settings):
            assert [each.data for each in await take(client, topic, 1)] == [b"kept"]
