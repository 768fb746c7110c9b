"""How long partitions have no owner when theirs is killed: `python tests/benchmarks/kafka_rebalance.py`.

Two processes share the 64 partitions of a topic as members of one consumer group. One is killed; the stall is the
time from then until the other one has been assigned all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from uuid import uuid4

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bellwire.testing.kafka import running_kafka

PARTITIONS = 64
SETTLE_SECONDS = 60.0


class Told(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types.
    """Prints how many partitions this process owns, whenever that changes."""

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Take no note: what counts is what comes after."""

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Print it."""
        print(len(assigned), flush=True)


async def own(bootstrap: str, topic: str, session_millis: int) -> None:
    """Be a member until the process ends."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=f"owners of {topic}",
        session_timeout_ms=session_millis,
        heartbeat_interval_ms=session_millis // 6,
        rebalance_timeout_ms=session_millis,
    )
    consumer.subscribe([topic], listener=Told())
    await consumer.start()
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def create(bootstrap: str, topic: str) -> None:
    """Make the topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    finally:
        await admin.close()


def until(member: subprocess.Popen[str], owned: int) -> None:
    """Read what a member prints until it owns so many."""
    assert member.stdout is not None
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        if int(member.stdout.readline()) == owned:
            return
    raise TimeoutError(f"the group did not settle within {SETTLE_SECONDS:g} s")


def one_round(bootstrap: str, session_millis: int) -> float:
    """Kill one of two owners; give the stall in seconds."""
    topic = f"owned-{uuid4().hex}"
    asyncio.run(create(bootstrap, topic))
    command = [sys.executable, __file__, "--member", bootstrap, topic, str(session_millis)]
    members = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for member in members:
            until(member, PARTITIONS // 2)
        members[0].kill()
        killed = time.monotonic()
        until(members[1], PARTITIONS)
        return time.monotonic() - killed
    finally:
        for member in members:
            member.kill()
            member.communicate()


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--session-millis", type=int, default=6_000, help="a broker's least is 6000"
    )
    parser.add_argument("--member", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.member:
        bootstrap, topic, millis = options.member
        asyncio.run(own(bootstrap, topic, int(millis)))
        return 0
    with running_kafka() as broker:
        stalls = [
            one_round(broker.bootstrap, options.session_millis) for _ in range(options.rounds)
        ]
    shown = ", ".join(f"{each:.1f}" for each in stalls)
    print(
        f"{PARTITIONS} partitions, session timeout {options.session_millis / 1_000:g} s: without an owner for "
        f"{median(stalls):.1f} s (median of {shown})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
