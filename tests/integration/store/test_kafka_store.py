"""What is the Kafka store's own: what others read, who writes, and a broker that goes away."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from tests.integration.store.material import entries, seen, whole_log

from bellwire.coordinator.log.kafka import KafkaSettings, KafkaStore, writer
from bellwire.coordinator.log.records import EntryRecord, TopicRecord
from bellwire.testing.kafka import RunningKafka, kafka_classpath
from bellwire.wire.cloud_events import message_of
from bellwire.wire.errors import StoreFullError, StoreReadOnlyError, StoreUnavailableError

LOG = 7


def settings_at(bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap, state_topic=f"_state-{uuid4().hex}", request_seconds=3.0)


class Opened:
    """A store with one topic of its own."""

    def __init__(self, bootstrap: str) -> None:
        self.settings = settings_at(bootstrap)
        self.topic = f"t-{uuid4().hex}"
        self.store = KafkaStore(self.settings)
        self.store.load()

    def create(self) -> None:
        self.store.write([TopicRecord(self.topic, b"", (LOG,))])


@pytest.fixture
def opened(kafka: str) -> Iterator[Opened]:
    made = Opened(kafka)
    yield made
    made.store.close()


@pytest.fixture
def broker(kafka_jars: None, tmp_path: Path) -> Iterator[RunningKafka]:
    """A broker of this test's own, to be killed."""
    made = RunningKafka(kafka_classpath(fetch=False), tmp_path)
    made.start()
    yield made
    made.stop()


async def consumed(bootstrap: str, topic: str, count: int) -> list[Any]:
    """Read records as any consumer would."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        async with asyncio.timeout(10):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def produce(bootstrap: str, topic: str, value: bytes) -> None:
    """Write a record past the store."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def create_topic(bootstrap: str, name: str, **config: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=config)])
    finally:
        await admin.close()


def test_any_consumer_reads_the_messages_as_cloud_events(opened: Opened, kafka: str) -> None:
    opened.create()
    written = entries(LOG, 2, 1)
    opened.store.write(written)
    records = asyncio.run(consumed(kafka, opened.topic, 3))
    messages = [each for record in written for each in record.entry.messages()]
    read = [message_of(each.key, each.value, each.headers) for each in records]
    assert [each.id for each in read] == [each.id for each in messages]
    assert [each.data for each in read] == [each.data for each in messages]
    offsets = [dict(each.headers)["bellwire_offset"] for each in records]
    assert offsets == [b"0", b"1", b"2"]


def test_what_others_write_into_a_topic_is_passed_over(opened: Opened, kafka: str) -> None:
    opened.create()
    written = entries(LOG, 2, 1)
    opened.store.write(written[:1])
    asyncio.run(produce(kafka, opened.topic, b"garbage"))
    opened.store.write(written[1:])
    assert whole_log(opened.store, LOG) == seen(record.entry for record in written)
    assert opened.store.foreign_records


def test_of_two_coordinators_the_later_one_writes(opened: Opened) -> None:
    opened.create()
    other = KafkaStore(opened.settings)
    try:
        found = other.load()
        assert (found.incarnation, found.after_crash) == (2, True)
        with pytest.raises(StoreReadOnlyError, match="another coordinator has taken over"):
            opened.store.write(entries(LOG, 1))
        other.write(entries(LOG, 1))
        assert len(whole_log(other, LOG)) == 1
    finally:
        other.close()


@pytest.mark.parametrize("connected", [True, False])
def test_who_is_fenced_says_by_whom_since_when_and_what_to_do(
    opened: Opened, *, connected: bool
) -> None:
    opened.create()
    if not connected:
        opened.store._loop.run(opened.store._session.drop_producer())
    other = KafkaStore(replace(opened.settings, address="10.0.0.2:7400"))
    before = datetime.now(UTC).replace(microsecond=0)
    try:
        other.load()
        with pytest.raises(StoreReadOnlyError) as caught:
            opened.store.write(entries(LOG, 1))
    finally:
        other.close()
    message = caught.value.message
    assert (
        f"the one at 10.0.0.2:7400 (pid {os.getpid()} on {socket.gethostname()}), since " in message
    )
    since = re.search(r"since (.*) UTC, alone may write", message)
    assert since is not None
    assert datetime.fromisoformat(f"{since[1]}+00:00") >= before
    assert "--redis" in message
    assert "coordinator.kafka_state_topic" in message


def test_a_successor_that_has_not_given_its_name_yet_is_told_of_without(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "NAME_SECONDS", 0.2)
    opened.create()
    other = KafkaStore(opened.settings)
    other._loop.run(other._session.open_producer())
    try:
        with pytest.raises(StoreReadOnlyError, match=r"'.*': it alone may write there"):
            opened.store.write(entries(LOG, 1))
    finally:
        other.close()


def test_who_has_lost_its_connection_does_not_fence_its_successor(opened: Opened) -> None:
    opened.create()
    opened.store._loop.run(opened.store._session.drop_producer())
    other = KafkaStore(opened.settings)
    try:
        other.load()
        with pytest.raises(StoreReadOnlyError, match="another coordinator has taken over"):
            opened.store.write(entries(LOG, 1))
        other.write(entries(LOG, 1))
        assert len(whole_log(other, LOG)) == 1
    finally:
        other.close()


def test_a_proof_is_given_until_another_one_has_taken_over(opened: Opened) -> None:
    opened.store.prove()
    other = KafkaStore(opened.settings)
    try:
        other.load()
        other.prove()
        with pytest.raises(StoreReadOnlyError, match="another coordinator has taken over"):
            opened.store.prove()
    finally:
        other.close()


def test_who_may_not_write_fences_nobody(opened: Opened) -> None:
    opened.create()
    other = KafkaStore(opened.settings)
    other.only_while(lambda: False)
    with pytest.raises(StoreUnavailableError, match="another coordinator may be writing"):
        other.load()
    opened.store.write(entries(LOG, 1))


def test_without_a_broker_the_start_says_where_it_looked(tmp_path: Path) -> None:
    store = KafkaStore(KafkaSettings("127.0.0.1:1", request_seconds=0.5))
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError, match=r"Kafka at 127\.0\.0\.1:1 cannot be used"):
        store.load()
    assert time.monotonic() - began < 10


def test_what_a_topic_is_too_narrow_for_is_refused_and_the_rest_goes_on(
    opened: Opened, kafka: str
) -> None:
    asyncio.run(create_topic(kafka, opened.topic, **{"max.message.bytes": "2000"}))
    opened.create()
    with pytest.raises(StoreFullError, match="MessageSizeTooLarge"):
        opened.store.write([EntryRecord(LOG, _random_entry(0, 20_000))])
    small = entries(LOG, 1)
    opened.store.write(small)
    assert whole_log(opened.store, LOG) == seen(record.entry for record in small)


def _random_entry(base: int, size: int) -> Any:
    import os

    from bellwire.coordinator.log.protocol import Entry
    from bellwire.wire.batch import encode_batch
    from bellwire.wire.message import new_message

    return Entry(encode_batch("t", 0, [new_message(data=os.urandom(size))]), base, 1)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_broker_that_is_killed_loses_and_repeats_nothing(
    broker: RunningKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = Opened(broker.bootstrap)
    opened.create()
    written: list[EntryRecord] = []
    stop = threading.Event()
    stalls: list[float] = []

    def write() -> None:
        base = 0
        while not stop.is_set():
            records = entries(LOG, 3, 2, base=base)
            began = time.monotonic()
            opened.store.write(records)
            stalls.append(time.monotonic() - began)
            written.extend(records)
            base += 5

    writer = threading.Thread(target=write)
    writer.start()
    recoveries = []
    try:
        for round_number in range(5):
            _wait_for(lambda enough=20 * (round_number + 1): len(written) >= enough)
            broker.kill()
            before = len(written)
            broker.start()
            began = time.monotonic()
            _wait_for(lambda before=before: len(written) > before + 4)
            recoveries.append(time.monotonic() - began)
    finally:
        stop.set()
        writer.join()
    opened.store.close()
    again = KafkaStore(opened.settings)
    try:
        assert not again.load().after_crash
        assert whole_log(again, LOG) == seen(record.entry for record in written)
    finally:
        again.close()
    with capsys.disabled():
        times = ", ".join(f"{each:.1f}" for each in recoveries)
        print(
            f"\nKafka killed 5 times: {len(written)} batches committed, 0 lost, 0 twice; "
            f"goes on {times} s after the broker answers; longest commit {max(stalls):.1f} s"
        )


def _wait_for(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
