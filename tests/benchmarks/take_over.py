"""How long a take-over takes as the state grows, from the lease to serving: `python -m tests.benchmarks.take_over`.

Two coordinators on a Kafka and a Redis of their own; the active one is killed with 0, 200 and 1,000 durable topics of
one message each. What is left of the lease by then is not counted.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.integration.cluster.processes import ServedGroup

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.client import Client, ClientSettings, connect
from bellwire.testing.kafka import running_kafka
from bellwire.testing.redis import running_redis

TOPICS = (0, 200, 1_000)
AT_ONCE = 50


async def fill(client: Client, first: int, last: int) -> None:
    """Create topics and publish a message to each."""
    publisher = client.publisher("take-over")
    for start in range(first, last, AT_ONCE):
        names = [f"topic-{number}" for number in range(start, min(last, start + AT_ONCE))]
        await asyncio.gather(*(client.admin.create_topic(Topic(name=name)) for name in names))
        await asyncio.gather(*(publisher.publish(name, bytes(200)) for name in names))


async def measure(kafka: str, redis: str, folder: Path) -> None:
    """Print a line for each size."""
    group = ServedGroup(folder, kafka, redis, 2)
    try:
        active = await group.start()
        async with connect(group.addresses, ClientSettings(timeout_seconds=60.0)) as client:
            for before, topics in zip((0, *TOPICS), TOPICS, strict=False):
                await fill(client, before, topics)
                await active.kill()
                following = await group.active(but=active)
                took = (await client.admin.server_info()).cluster.take_over_millis
                print(f"{topics:5,} topics: took over in {took} ms", flush=True)
                await active.start()
                active = following
    finally:
        await group.stop()


def main() -> None:
    with (
        running_kafka() as kafka,
        running_redis() as redis,
        tempfile.TemporaryDirectory() as folder,
    ):
        asyncio.run(measure(kafka.bootstrap, redis.url, Path(folder)))


if __name__ == "__main__":
    main()
