"""A recording played over Bellwire, and somebody who counts what arrives."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.open_loop import NANOSECONDS_PER_SECOND, Schedule, run_open_loop
from tests.benchmarks.peers.bellwire import settings_at
from tests.benchmarks.roles import LEAD_SECONDS, OVERRUN_FACTOR, QUIET_SECONDS, Reply
from tests.benchmarks.studies.record_demo import read_messages
from tests.benchmarks.timerfd import KernelTimer

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_RECEIVED
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.client import Publisher, PublishResult, Subscription, connect
from bellwire.client.settings import PublishSettings

NEVER_BYTES: Final = 4 << 20  # More than a batch may hold: nothing is compressed.


class RecordedPublisherRole:
    """Plays a recording."""

    def __init__(self, publisher: Publisher, messages: Sequence[tuple[str, Message]]) -> None:
        self._publisher = publisher
        self._messages = messages

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `play`, or `begin`: publish once to each topic, so that its metadata is known."""
        if command == "begin":
            for topic, message in dict(self._messages).items():
                await self._publisher.publish_message(topic, message)
            return {"sent": len(dict(self._messages))}
        if command == "play":
            return await self._play(**arguments)
        raise ValueError(f"a publisher of recordings cannot {command!r}")

    async def _play(self, *, rate: int) -> Reply:
        acknowledged: list[asyncio.Future[PublishResult]] = []

        async def send(index: int, _intended_ns: int, _began_ns: int) -> None:
            acknowledged.append(await self._publisher.enqueue(*self._messages[index]))

        if rate:
            await self._paced(send, rate)
        else:
            for index in range(len(self._messages)):
                await send(index, 0, 0)
        await self._publisher.flush()
        await asyncio.gather(*acknowledged)
        return {"sent": len(acknowledged)}

    async def _paced(self, send: Any, rate: int) -> None:
        count = len(self._messages)
        start_ns = time.monotonic_ns() + round(LEAD_SECONDS * NANOSECONDS_PER_SECOND)
        longest_ns = round(OVERRUN_FACTOR * count / rate * NANOSECONDS_PER_SECOND)
        with KernelTimer() as timer:
            await run_open_loop(
                Schedule(start_ns, rate, count),
                send,
                wait_until=timer.wait_until,
                give_up_ns=start_ns + longest_ns,
            )


class CountingSubscriberRole:
    """Counts messages."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._received = 0
        self._arrived = asyncio.Event()

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `await`: until so many messages have come in all, or none comes any more."""
        if command != "await":
            raise ValueError(f"a counting subscriber cannot {command!r}")
        expected: int = arguments["expected"]
        while self._received < expected:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), QUIET_SECONDS)
            except TimeoutError:
                break
        return {"received": self._received}

    async def read(self) -> None:
        """Count until cancelled."""
        async for batch in self._subscription.batches():
            self._received += len(batch.messages)
            self._arrived.set()


@asynccontextmanager
async def open_recorded_publisher(
    *, address: str, recording: str, compress: bool
) -> AsyncIterator[tuple[RecordedPublisherRole, Reply]]:
    """Connect a publisher with default settings, or one that never compresses."""
    publish = PublishSettings()
    if not compress:
        publish = replace(publish, compress_above_bytes=NEVER_BYTES)
    async with connect(address, settings=replace(settings_at(address), publish=publish)) as client:
        publisher = client.publisher(ack_level=ACK_LEVEL_RECEIVED)
        yield RecordedPublisherRole(publisher, read_messages(Path(recording))), {}


@asynccontextmanager
async def open_counting_subscriber(
    *, address: str
) -> AsyncIterator[tuple[CountingSubscriberRole, Reply]]:
    """Subscribe to everything."""
    async with connect(address, settings_at(address)) as client:
        subscription = client.subscribe(">", overflow_policy=OVERFLOW_POLICY_BLOCK)
        async with subscription:
            role = CountingSubscriberRole(subscription)
            task = asyncio.create_task(role.read())
            try:
                yield role, {}
            finally:
                task.cancel()
                await asyncio.wait([task])
