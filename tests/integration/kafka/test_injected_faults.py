"""What brokers answer when they are in trouble, injected: the store and the bridge lose and repeat nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from random import Random
from uuid import uuid4

import pytest
from tests.integration.bridge.bridging import bridge, by_key, records, unique
from tests.integration.kafka.mock_cluster import Api, Code, MockCluster, mock_cluster
from tests.integration.kafka.prepared_session import PreparedSession
from tests.integration.store.material import entries, seen, whole_log

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.bridge import BridgeSettings
from bellwire.client import connect, new_message
from bellwire.client.kafka import decode_record
from bellwire.coordinator.log.kafka import KafkaSettings, KafkaStore
from bellwire.coordinator.log.records import EntryRecord, TopicRecord
from bellwire.testing import running_coordinator

pytestmark = [pytest.mark.integration, pytest.mark.slow]

LOG = 7
TOPIC = "signals"
RTT_MILLIS = 50
DOWN_SECONDS = 1.5
PRODUCE_ERRORS = (
    Code.REQUEST_TIMED_OUT,
    Code.NOT_LEADER_OR_FOLLOWER,
    Code.NOT_ENOUGH_REPLICAS,
    Code.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
)
COORDINATOR_ERRORS = (
    Code.COORDINATOR_LOAD_IN_PROGRESS,
    Code.NOT_COORDINATOR,
    Code.COORDINATOR_NOT_AVAILABLE,
)


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with mock_cluster() as running:
        yield running


@pytest.fixture
def store(cluster: MockCluster) -> Iterator[KafkaStore]:
    settings = KafkaSettings(
        cluster.bootstrap, state_topic=f"_state-{uuid4().hex}", request_seconds=3.0
    )
    made = KafkaStore(settings, PreparedSession(settings, cluster))
    made.load()
    made.write([TopicRecord(TOPIC, b"", (LOG,))])
    yield made
    made.close()


def written_in_steps(store: KafkaStore, steps: int) -> list[EntryRecord]:
    """Write in so many transactions."""
    written: list[EntryRecord] = []
    for number in range(steps):
        part = entries(LOG, 2, 1, base=number * 3)
        store.write(part)
        written += part
    return written


@pytest.mark.parametrize(
    ("api", "codes"),
    [
        (Api.PRODUCE, PRODUCE_ERRORS),
        (Api.ADD_PARTITIONS_TO_TXN, (*COORDINATOR_ERRORS, Code.CONCURRENT_TRANSACTIONS)),
        (Api.END_TXN, COORDINATOR_ERRORS),
        (Api.FETCH, (Code.NOT_LEADER_OR_FOLLOWER,) * 3),
    ],
    ids=["produce", "add partitions", "end", "fetch"],
)
def test_what_is_refused_for_now_is_written_once_and_in_order(
    store: KafkaStore, cluster: MockCluster, api: Api, codes: tuple[Code, ...]
) -> None:
    random = Random(11)
    written: list[EntryRecord] = []
    for number in range(len(codes) * 2):
        cluster.push_errors(api, [random.choice(codes) for _ in range(random.randint(0, 3))])
        part = entries(LOG, 2, 1, base=number * 3)
        store.write(part)
        written += part
    assert whole_log(store, LOG) == seen(record.entry for record in written)


def test_brokers_that_answer_late_only_take_longer(store: KafkaStore, cluster: MockCluster) -> None:
    cluster.set_rtt(RTT_MILLIS)
    began = time.monotonic()
    written = written_in_steps(store, 3)
    assert time.monotonic() - began > 3 * RTT_MILLIS / 1_000
    assert whole_log(store, LOG) == seen(record.entry for record in written)


def test_brokers_that_are_all_away_are_waited_for(store: KafkaStore, cluster: MockCluster) -> None:
    written = written_in_steps(store, 1)
    cluster.set_down()
    back = threading.Timer(DOWN_SECONDS, cluster.set_up)
    back.start()
    began = time.monotonic()
    part = entries(LOG, 2, base=3)
    store.write(part)
    assert time.monotonic() - began > DOWN_SECONDS
    back.join()
    assert whole_log(store, LOG) == seen(record.entry for record in written + part)


async def test_the_bridge_sends_all_of_it_in_order_whatever_the_brokers_answer(
    cluster: MockCluster,
) -> None:
    topic, target = unique("signals"), unique("mirrored")
    cluster.create_topic(target, 2)
    settings = BridgeSettings(
        kafka=cluster.bootstrap, out_topics=(f"{topic}={target}",), create_topics=False
    )
    keys = ("EURUSD", "GBPUSD", "USDJPY")
    sent = [
        new_message(data=b"%d" % number, key=keys[number % len(keys)], source="rules-0")
        for number in range(600)
    ]
    async with running_coordinator() as running, connect(running.unix) as client:
        await client.admin.create_topic(Topic(name=topic, partition_count=2))
        async with bridge(client, settings):
            for start in range(0, len(sent), 60):
                cluster.push_errors(Api.PRODUCE, PRODUCE_ERRORS)
                await client.publisher().publish_many(topic, sent[start : start + 60])
                await asyncio.sleep(0)
            found = await records(cluster.bootstrap, target, len(sent))
        everything = await records(cluster.bootstrap, target)
    assert by_key([decode_record(each) for each in found]) == by_key(sent)
    assert len(everything) == len(sent), "an idempotent producer has repeated something"
