"""A process that publishes until it is told to stop (SIGTERM) or killed, and records what it was told.

Its lanes publish side by side: one hands over single messages and waits for none, the others publish many at
once and wait for all. Each lane is a producer of its own in the history: what it hands over stays in order.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import random
import signal
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.crash.patience import OUTAGE_SECONDS, patient
from tests.crash.recording import Recorder

from bellwire.bus.v1.publisher_pb2 import AckLevel
from bellwire.client import (
    BellwireError,
    Message,
    PublishedRange,
    Publisher,
    PublishResult,
    connect,
    new_message,
)

LANES_OF_MANY: Final = 2
KEYS: Final = 16  # More than partitions, so that each partition holds several.
BURST_MAX: Final = 20  # Single messages handed over in one turn of the event loop.
MANY_MAX: Final = 300  # Three full batches, and with uneven ends.
BYTES_MAX: Final = 1_500  # Below and above what is worth compressing.
UNACKNOWLEDGED_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Lane:
    """One producer of the history."""

    name: str
    topics: tuple[str, ...]
    random: random.Random
    publisher: Publisher
    recorder: Recorder
    rate: float
    """Messages per second."""

    def made(self, count: int, sequence: int, key: str) -> list[Message]:
        """Make messages whose payload says which they are; an empty key stands for a random one."""
        return [
            new_message(
                data=f"{self.name}/{number}/".encode()
                + self.random.randbytes(8) * (self.random.randrange(BYTES_MAX) // 8),
                key=key or f"key-{self.random.randrange(KEYS)}",
                source=self.publisher.source,
            )
            for number in range(sequence, sequence + count)
        ]

    async def pause(self, messages: int) -> None:
        """Keep to the rate, unevenly."""
        await asyncio.sleep(self.random.expovariate(self.rate / messages))


async def publish_singly(lane: Lane, stopping: asyncio.Event) -> None:
    """Hand over one message after the other, without waiting for the acknowledgements."""
    waiting: deque[asyncio.Future[PublishResult]] = deque()
    sequence = 0
    while not stopping.is_set():
        topic = lane.random.choice(lane.topics)
        messages = lane.made(lane.random.randint(1, BURST_MAX), sequence, "")
        lane.recorder.published(topic, lane.name, sequence, messages)
        for message in messages:
            try:
                future = await lane.publisher.enqueue(topic, message, timeout=OUTAGE_SECONDS)
            except BellwireError as error:
                lane.recorder.note("refused", error=repr(error))
            else:
                future.add_done_callback(functools.partial(_note, lane.recorder, message.id))
                waiting.append(future)
        sequence += len(messages)
        while waiting and (waiting[0].done() or len(waiting) > UNACKNOWLEDGED_MAX):
            await asyncio.wait([waiting.popleft()])
        await lane.pause(len(messages))
    if waiting:
        await asyncio.wait(waiting)


def _note(recorder: Recorder, id_: str, done: asyncio.Future[PublishResult]) -> None:
    if done.cancelled():
        return
    error = done.exception()
    if error is None:
        result = done.result()
        recorder.acknowledged(result.topic, result.partition, [(id_, result.offset)])
    else:
        recorder.note("refused", error=repr(error))


async def publish_many(lane: Lane, stopping: asyncio.Event) -> None:
    """Publish many messages of one key, wait for all, and go on."""
    sequence = 0
    while not stopping.is_set():
        topic = lane.random.choice(lane.topics)
        count = 1 + int(MANY_MAX * lane.random.random() ** 3)  # Mostly few.
        messages = lane.made(count, sequence, f"key-{lane.random.randrange(KEYS)}")
        lane.recorder.published(topic, lane.name, sequence, messages)
        sequence += count
        try:
            ranges = await lane.publisher.publish_many(topic, messages, timeout=OUTAGE_SECONDS)
        except BellwireError as error:
            lane.recorder.note("refused", error=repr(error))
        else:
            # One key is one partition: what was acknowledged first was handed over first.
            offsets = (o for found in ranges for o in _offsets(found))
            places = [(message.id, o) for message, o in zip(messages, offsets, strict=True)]
            lane.recorder.acknowledged(topic, ranges[0].partition, places)
        await lane.pause(count)


def _offsets(found: PublishedRange) -> range:
    return range(found.first_offset, found.last_offset + 1)


def lanes(
    arguments: argparse.Namespace, publisher: Publisher, recorder: Recorder
) -> Iterator[Lane]:
    """Make the lanes; each draws numbers of its own."""
    for number in range(1 + LANES_OF_MANY):
        name = f"{arguments.name}/{number}"
        yield Lane(
            name,
            tuple(arguments.topics),
            random.Random(f"{arguments.seed}/{name}"),
            publisher,
            recorder,
            arguments.rate / (1 + LANES_OF_MANY),
        )


async def run(arguments: argparse.Namespace) -> None:
    """Publish until SIGTERM, then wait for what is still unacknowledged."""
    recorder = Recorder(arguments.record)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    level = AckLevel.Value(f"ACK_LEVEL_{arguments.level}")
    async with connect(arguments.address, patient(arguments.name)) as client:
        publisher = client.publisher(f"crash/{arguments.name}", ack_level=level)
        single, *many = lanes(arguments, publisher, recorder)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publish_singly(single, stopping))
            for lane in many:
                tasks.create_task(publish_many(lane, stopping))
        recorder.note("flushed")


def arguments() -> argparse.ArgumentParser:
    """Return what the process may be told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--name", required=True, help="unique among all publishers ever started")
    parser.add_argument("--record", required=True, type=Path)
    parser.add_argument("--topics", required=True, nargs="+")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rate", type=float, default=1_000.0, help="messages per second")
    parser.add_argument("--level", choices=("RECEIVED", "PERSISTED"), default="PERSISTED")
    return parser


if __name__ == "__main__":
    asyncio.run(run(arguments().parse_args()))
