"""The broker of the tests: it keeps its data, and leaves nobody behind."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bellwire.testing.kafka import running_kafka

pytestmark = pytest.mark.integration


async def put(bootstrap: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait("kept", value, partition=0)


async def take(bootstrap: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(20):
        consumer.assign([TopicPartition("kept", 0)])
        return [(await consumer.getone()).value for _ in range(count)]


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9_and_other_ports(
    kafka_jars: None, tmp_path: Path
) -> None:
    with running_kafka(tmp_path) as broker:
        asyncio.run(put(broker.bootstrap, b"before"))
        broker.kill()
        broker.start()
        asyncio.run(put(broker.bootstrap, b"after"))
    with running_kafka(tmp_path) as again:
        assert asyncio.run(take(again.bootstrap, 2)) == [b"before", b"after"]


@pytest.mark.slow
async def test_the_command_takes_its_broker_with_it(kafka_jars: None, tmp_path: Path) -> None:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bellwire.testing.kafka", "--data", str(tmp_path)), stdout=PIPE
    )
    assert command.stdout is not None
    async with asyncio.timeout(50):
        said = (await command.stdout.readline()).decode()
        bootstrap = said.split(" listens on ")[1].split(";")[0]
        await put(bootstrap, b"x")
        command.send_signal(signal.SIGTERM)
        assert await command.wait() == 0
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(*bootstrap.split(":"))
