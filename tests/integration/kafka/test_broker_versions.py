"""Brokers of a version that does not serve: the store and the bridge say so at the start, and touch nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from tests.integration.bridge.bridging import Bridging, bridge, records, unique, within
from tests.integration.kafka.mock_cluster import ABSENT, Api, MockCluster, mock_cluster
from tests.integration.kafka.prepared_session import PreparedSession

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.bridge import BridgeSettings, KafkaUnreachableError
from bellwire.bridge.bridge import run_bridge
from bellwire.client import connect
from bellwire.coordinator.cluster.server import ClusterCoordinator
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.log.kafka import KafkaSettings, KafkaStore
from bellwire.testing import running_coordinator
from bellwire.wire.errors import KafkaVersionError

pytestmark = pytest.mark.integration

AT_ONCE_SECONDS = 5  # Of the bridge's 30 in which it tries again what may pass.
TOO_OLD = r"too old: it speaks Produce up to version 2, needed is 3 .*; use Kafka 2.4 or newer"
TOO_NEW = (
    r"too new: it speaks Produce from version 8 on, known are those up to 7 .*Kafka 3.x or 4.x"
)
SERVING = {Api.PRODUCE: (3, 7), Api.FETCH: (4, 11), Api.INIT_PRODUCER_ID: (0, 1)}
FOR_BOTH = [
    pytest.param(Api.PRODUCE, (0, 2), TOO_OLD, id="old messages"),
    pytest.param(Api.PRODUCE, (8, 10), TOO_NEW, id="new messages"),
    pytest.param(
        Api.INIT_PRODUCER_ID, ABSENT, "too old: it has no InitProducerId", id="no idempotence"
    ),
    pytest.param(
        Api.FETCH, (0, 3), "too old: it speaks Fetch up to version 3, needed is 4", id="old reads"
    ),
]


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with mock_cluster(1) as running:
        yield running


@pytest.mark.parametrize(
    ("api", "versions", "said"),
    [
        *FOR_BOTH,
        pytest.param(
            Api.END_TXN,
            ABSENT,
            r"too old: it has no EndTxn \(for transactions\)",
            id="no transactions",
        ),
    ],
)
async def test_the_store_does_not_begin_on_it(
    cluster: MockCluster, api: Api, versions: tuple[int, int], said: str
) -> None:
    cluster.set_api_versions(api, *versions)
    settings = KafkaSettings(cluster.bootstrap, state_topic=f"_state-{uuid4().hex}")
    session = PreparedSession(settings, cluster)
    store = KafkaStore(settings, session)
    with pytest.raises(KafkaVersionError, match=said):
        await within(asyncio.to_thread(store.load), AT_ONCE_SECONDS)
    assert session.made == set(), "a topic was made all the same"


@pytest.mark.parametrize(("api", "versions", "said"), FOR_BOTH)
async def test_the_bridge_does_not_begin_on_it_and_what_waits_is_mirrored_later(
    cluster: MockCluster, api: Api, versions: tuple[int, int], said: str
) -> None:
    topic, target = unique("signals"), unique("mirrored")
    cluster.create_topic(target, 1)
    settings = BridgeSettings(
        kafka=cluster.bootstrap,
        out_topics=(f"{topic}={target}",),
        in_topics=(unique("vendor"),),
        create_topics=False,
    )
    serving = BridgeSettings(
        kafka=cluster.bootstrap, out_topics=settings.out_topics, create_topics=False
    )
    async with running_coordinator() as running, connect(running.unix) as client:
        await client.admin.create_topic(Topic(name=topic, partition_count=1))
        await client.publisher().publish(topic, b"waits", key="EURUSD")
        cluster.set_api_versions(api, *versions)
        with pytest.raises(KafkaVersionError, match=said):
            await within(run_bridge(client, settings, asyncio.Event()), AT_ONCE_SECONDS)
        cluster.set_api_versions(api, *SERVING[api])
        async with bridge(client, serving):
            (found,) = await records(cluster.bootstrap, target, 1)
    assert found.value == b"waits"


async def test_a_bridge_needs_no_transactions(cluster: MockCluster) -> None:
    cluster.set_api_versions(Api.END_TXN, *ABSENT)
    target = unique("mirrored")
    cluster.create_topic(target, 1)
    settings = BridgeSettings(
        kafka=cluster.bootstrap, out_topics=(f"signals={target}",), create_topics=False
    )
    async with (
        running_coordinator() as running,
        connect(running.unix) as client,
        bridge(client, settings),
    ):
        await client.publisher().publish("signals", b"through", key="EURUSD")
        (found,) = await records(cluster.bootstrap, target, 1)
    assert found.value == b"through"


async def test_a_coordinator_of_a_group_says_it_before_it_stands_by(cluster: MockCluster) -> None:
    """Else it would be heard of when the others are gone; Redis, which is not there, is not even asked."""
    settings = CoordinatorSettings(
        listen=("127.0.0.1:0",), kafka=cluster.bootstrap, redis="redis://127.0.0.1:1"
    )
    coordinator = ClusterCoordinator(settings)
    try:
        with pytest.raises(KafkaVersionError, match="it has no CreateTopics"):
            await within(coordinator.start(), AT_ONCE_SECONDS)
    finally:
        await coordinator.close()


async def test_a_version_that_changes_under_a_bridge_is_what_it_ends_with(
    cluster: MockCluster,
) -> None:
    cluster.create_topic("mirrored", 1)
    settings = BridgeSettings(
        kafka=cluster.bootstrap,
        out_topics=("signals=mirrored",),
        create_topics=False,
        probe_seconds=0.1,
        outage_seconds_max=1.0,
        stop_seconds=1.0,
    )
    async with running_coordinator() as running, connect(running.unix) as client:
        bridging = Bridging()
        bridging.task = asyncio.create_task(
            run_bridge(client, settings, bridging.stop, bridging.report)
        )
        await bridging.reported("ready")
        cluster.set_down()
        await bridging.reported("kafka_away")
        cluster.set_api_versions(Api.METADATA, 8, 12)
        cluster.set_up()
        with pytest.raises(KafkaUnreachableError, match=r"away for 1 s: .* is too new: .*Metadata"):
            await within(bridging.task)


async def test_something_that_is_no_kafka_is_given_up_in_time() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    settings = KafkaSettings(f"127.0.0.1:{port}", request_seconds=1.0)
    async with server:
        with pytest.raises(Exception, match=f"Kafka at 127.0.0.1:{port} cannot be used") as raised:
            await within(asyncio.to_thread(KafkaStore(settings).load), AT_ONCE_SECONDS)
    assert raised.type.__name__ == "StoreUnavailableError"
