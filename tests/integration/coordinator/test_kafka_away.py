"""A coordinator whose Kafka went away: what it says to who waits, and to who looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.integration.coordinator.frames import within

from bellwire.admin.v1.server_pb2 import StoreInfo
from bellwire.cli.faults import CommandError
from bellwire.cli.store_outage import store_named
from bellwire.client import Client, connect
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.testing import running_coordinator
from bellwire.testing.kafka import RunningKafka, running_kafka

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(120)]

NOTICED_SECONDS = 5.0  # A question each second, and two for its answer.


async def store_when(client: Client, *, away: bool) -> StoreInfo:
    """Ask until the store is away, or is not."""
    while True:
        store = (await client.admin.server_info()).store
        if bool(store.unanswered_since_unix_nano) is away:
            return store
        await asyncio.sleep(0.05)  # Nobody tells of it.


@pytest.fixture
def broker(kafka_jars: None, tmp_path: Path) -> Iterator[RunningKafka]:
    """A broker of the test's own, to be killed."""
    with running_kafka(tmp_path) as running:
        yield running


async def test_who_waits_hears_that_kafka_is_away_and_since_when(broker: RunningKafka) -> None:
    topic = f"orders-{uuid4().hex}"
    settings = CoordinatorSettings(kafka=broker.bootstrap, default_log="kafka")
    async with running_coordinator(settings) as running, connect(running.tcp) as client:
        publisher = client.publisher("desk")
        await publisher.publish(topic, b"before")
        assert (await client.admin.get_topic(topic)).kafka_cluster
        killed_ns = time.time_ns()
        await asyncio.to_thread(broker.kill)
        store = await within(store_when(client, away=True), NOTICED_SECONDS)
        assert killed_ns <= store.unanswered_since_unix_nano <= time.time_ns()
        assert f"Kafka at {broker.bootstrap} does not answer" in store.unanswered_reason
        assert not store.read_only
        with pytest.raises(CommandError, match=r"Kafka at .* does not answer: .*, for \d+ s"):
            async with store_named(client):
                await publisher.publish(topic, b"meanwhile", timeout=1.0)
        await asyncio.to_thread(broker.start)
        await within(store_when(client, away=False), 30)
        await publisher.publish(topic, b"after")
