"""The broker under the rows of Kafka: one node, as `make kafka` runs it, with files of its own for each run."""

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.peers.peer import DATA_FOLDER

from bellwire.testing.kafka import KafkaMissingError, RunningKafka, kafka_classpath, running_kafka
from bellwire.testing.kafka_jars import VERSION

TOPIC: Final = "bench"
GROUP: Final = "bench"
FETCH_MESSAGES_MAX: Final = 1_000  # Handed over by a consumer at a time.


def missing_parts(package: str) -> str | None:
    """Tell what is not installed: the broker, or a client's package."""
    try:
        importlib.metadata.version(package)
        kafka_classpath(fetch=False)
    except importlib.metadata.PackageNotFoundError:
        return f"{package} is not installed (make setup)"
    except KafkaMissingError as error:
        return str(error)
    return None


def versions_of_parts(package: str) -> dict[str, str]:
    """Give the versions of the broker and of a client."""
    return {"kafka": VERSION, package: importlib.metadata.version(package)}


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[RunningKafka]:
    """Run a broker."""
    with ExitStack() as stack:
        broker = await asyncio.to_thread(
            stack.enter_context, running_kafka(directory / DATA_FOLDER)
        )
        try:
            yield broker
        finally:
            await asyncio.to_thread(stack.close)


async def create_topic(bootstrap: str) -> None:
    """Create the topic that raw clients use, with one partition."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
