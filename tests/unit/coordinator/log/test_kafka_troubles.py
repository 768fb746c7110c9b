"""The store on Kafka, where things go wrong that the model has no word for."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest
from aiokafka.errors import InvalidTopicError, UnknownError
from tests.property.coordinator.log.kafka_in_memory import Cluster, Fault, InMemorySession

from bellwire.coordinator.log.kafka import KafkaSettings, KafkaStore, positions
from bellwire.coordinator.log.kafka.entries import KafkaRecord
from bellwire.coordinator.log.kafka.state import STORE, encode_key
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import (
    EntryRecord,
    EvictedRecord,
    ProducerNameRecord,
    TopicRecord,
)
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import StoreFullError, StoreReadOnlyError
from bellwire.wire.message import new_message

KAFKA = KafkaSettings("in memory", retry_seconds=(1e-6, 1e-6))


class PickySession(InMemorySession):
    """Of a Kafka that takes `bars.5m` and `bars_5m` for one."""

    async def ensure_topic(self, name: str, partitions: int, config: Mapping[str, str]) -> None:
        if name == "bars_5m":
            raise InvalidTopicError("Topic bars_5m collides with existing topic: bars.5m")
        await super().ensure_topic(name, partitions, config)


def test_a_topic_that_kafka_refuses_does_not_stop_the_writes_of_others() -> None:
    store = KafkaStore(KAFKA, PickySession(KAFKA, Cluster()))
    store.load()
    try:
        store.write([TopicRecord("bars.5m", b"", (1,))])
        with pytest.raises(StoreFullError):
            store.write([TopicRecord("bars_5m", b"", (2,))])
        store.write([TopicRecord("orders", b"", (3,))])
    finally:
        store.close()


class CompactedSession(InMemorySession):
    """Of a Kafka whose topics want keys."""

    async def transact(self, entries: Any, state: Any, timestamp_ms: int) -> list[int]:
        found = list(entries)
        if found:
            self._connected = False
            raise UnknownError("INVALID_RECORD")
        return await super().transact(found, state, timestamp_ms)


@pytest.mark.timeout(10)
def test_what_kafka_refuses_again_and_again_is_given_up() -> None:
    store = KafkaStore(KAFKA, CompactedSession(KAFKA, Cluster()))
    store.load()
    try:
        store.write([TopicRecord("t", b"", (1,))])
        batch = encode_batch("t", 0, [new_message(data=b"x")])
        with pytest.raises(StoreFullError):
            store.write([EntryRecord(1, Entry(batch, 0, 1))])
        store.write([TopicRecord("u", b"", (2,))])
    finally:
        store.close()


class SlowSession(InMemorySession):
    """Has something happen before a read is answered."""

    meanwhile: Any = None

    async def read(self, topic: str, partition: int, offset: int) -> AsyncGenerator[Any, None]:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        async for record in super().read(topic, partition, offset):
            yield record


def test_what_is_evicted_while_it_is_read_is_gone_and_not_damaged(monkeypatch: Any) -> None:
    monkeypatch.setattr(positions, "STRIDE_BYTES", 1)
    cluster = Cluster()
    session = SlowSession(KAFKA, cluster)
    store = KafkaStore(KAFKA, session)
    store.load()
    try:
        store.write([TopicRecord("t", b"", (1,))])
        for base in range(3):
            batch = encode_batch("t", 0, [new_message(data=b"x")])
            store.write([EntryRecord(1, Entry(batch, base, base))])

        def evict() -> None:  # As the other thread does, which writes.
            index = store._index
            applied = index.apply([EvictedRecord(1, 2)])
            for removal in index.removals(applied.gone):
                cluster.places[removal.topic, 0].low_offset = removal.before

        session.meanwhile = evict
        assert store.read(1, 0, 1 << 20) == []
        assert [entry.base_offset for entry in store.read(1, 2, 1 << 20)] == [2]
    finally:
        store.close()


class LateSession(InMemorySession):
    """Another coordinator opens the store and writes just before our producer is opened anew."""

    cluster: Cluster
    other = b""

    async def open_producer(self) -> None:
        if self.other:
            record = KafkaRecord(0, encode_key(STORE), self.other, [])
            self.cluster.write(KAFKA.state_topic, 0, [record], committed=True)
            self.other = b""
        await super().open_producer()


def test_who_finds_another_one_after_fencing_it_leaves_its_state_alone() -> None:
    cluster = Cluster()
    session = LateSession(KAFKA, cluster)
    session.cluster = cluster
    store = KafkaStore(KAFKA, session)
    store.load()
    session.other = json.dumps({"format": 1, "incarnation": 2, "commits": 9, "open": True}).encode()
    cluster.faults.append(Fault.BEFORE)
    with pytest.raises(StoreReadOnlyError):
        store.write([ProducerNameRecord("p", 1, 1)])
    store.close()
    found = json.loads(cluster.places[KAFKA.state_topic, 0].records[-1].value or b"")
    assert found["incarnation"] == 2


@pytest.mark.timeout(10)
@pytest.mark.parametrize("fault", [Fault.BEFORE, None], ids=["after an outage", "at once"])
def test_a_refusal_ends_the_outage_for_it_is_an_answer(fault: Fault | None) -> None:
    cluster = Cluster()
    store = KafkaStore(KAFKA, CompactedSession(KAFKA, cluster))
    store.load()
    try:
        store.write([TopicRecord("t", b"", (1,))])
        if fault is not None:
            cluster.faults.append(fault)
        batch = encode_batch("t", 0, [new_message(data=b"x")])
        with pytest.raises(StoreFullError):
            store.write([EntryRecord(1, Entry(batch, 0, 1))])
        assert store.outage is None
    finally:
        store.close()
