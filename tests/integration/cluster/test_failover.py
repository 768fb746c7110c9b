"""Three coordinators under load: the active one killed, stopped in order, and paused beyond its lease."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from tests.integration.cluster.processes import ServedGroup
from tests.integration.coordinator.frames import dial

from bellwire.admin.v1.topic_pb2 import LOG_KIND_MEMORY, Topic
from bellwire.bus.v1 import publisher_pb2 as pb
from bellwire.bus.v1.message_pb2 import Message
from bellwire.client import EARLIEST, Client, ClientSettings, connect
from bellwire.testing.redis import RunningRedis
from bellwire.transport.status import error_from_rpc
from bellwire.wire.errors import NotOwnerError

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

KILLS = 5
KEYS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCHF", "NZDUSD")
SETTINGS = ClientSettings(timeout_seconds=30.0, heartbeat_seconds=0.5)
WAIT_SECONDS = 60.0
PAUSE_SECONDS = 0.005  # Between an acknowledgement and the next message of its key.


@pytest.fixture
async def group(
    kafka: str, redis_noeviction: RunningRedis, tmp_path: Path
) -> AsyncIterator[ServedGroup]:
    made = ServedGroup(tmp_path, kafka, redis_noeviction.url, 3)
    try:
        yield made
    finally:
        await made.stop()


class Load:
    """Publishes numbered messages of several keys, each key in order, and reads them as they come."""

    def __init__(self, client: Client, topic: str) -> None:
        self._client = client
        self._topic = topic
        self.acknowledged: dict[str, int] = dict.fromkeys(KEYS, 0)
        self.acked_at = time.monotonic()
        self.received: defaultdict[str, list[int]] = defaultdict(list)
        self.resumed: defaultdict[str, list[int]] = defaultdict(list)
        self.longest_gap = 0.0
        self._stop = False
        self._news = asyncio.Event()

    @property
    def count(self) -> int:
        return sum(self.acknowledged.values())

    async def publish(self, key: str) -> None:
        """Publish one key until told to stop: the next when the one before is acknowledged."""
        publisher = self._client.publisher("load")
        number = 0
        while not self._stop:
            await publisher.publish(self._topic, b"%d" % number, key=key)
            number += 1
            self.acknowledged[key] = number
            now = time.monotonic()
            self.longest_gap = max(self.longest_gap, now - self.acked_at)
            self.acked_at = now
            self._news.set()
            await asyncio.sleep(PAUSE_SECONDS)

    async def read(self, subscription: str = "") -> None:
        """Read what comes, with a cursor of that name; without one the client resumes by position."""
        into = self.received if subscription else self.resumed
        async with self._client.subscribe(
            self._topic, subscription=subscription, start=EARLIEST
        ) as messages:
            async for message in messages:
                into[message.key].append(int(message.data))
                self._news.set()

    async def until(self, condition: object) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():  # type: ignore[operator]
                self._news.clear()
                await self._news.wait()

    def stop(self) -> None:
        self._stop = True

    def is_read(self) -> bool:
        return self._has(self.received)

    def is_resumed(self) -> bool:
        return self._has(self.resumed)

    def _has(self, found: dict[str, list[int]]) -> bool:
        return all(found[key][-1:] == [count - 1] for key, count in self.acknowledged.items())


async def ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def repeated(received: dict[str, list[int]]) -> int:
    return sum(len(numbers) - len(set(numbers)) for numbers in received.values())


async def test_killed_five_times_and_stopped_once_nothing_acknowledged_is_lost(
    group: ServedGroup, capsys: pytest.CaptureFixture[str]
) -> None:
    active = await group.start()
    topic = f"load-{uuid4().hex}"
    recoveries: list[str] = []
    async with connect(group.addresses, SETTINGS) as client:
        await client.admin.create_topic(Topic(name=topic, partition_count=4))
        load = Load(client, topic)
        reading = [asyncio.create_task(load.read(name)) for name in ("live", "")]
        publishing = [asyncio.create_task(load.publish(key)) for key in KEYS]
        for _ in range(KILLS):
            enough = load.count + 500
            await load.until(lambda enough=enough: load.count >= enough)
            began, before = time.monotonic(), load.count
            await active.kill()
            following = await group.active(but=active)
            taken_over = time.monotonic() - began
            await load.until(lambda before=before: load.count > before + len(KEYS))
            recoveries.append(f"{taken_over:.2f} + {time.monotonic() - began - taken_over:.2f}")
            await active.start()
            active = following
        enough = load.count + 500
        await load.until(lambda: load.count >= enough)
        began, before = time.monotonic(), load.count
        stopping = asyncio.create_task(active.stop())
        await group.active(but=active)
        taken_over = time.monotonic() - began
        await load.until(lambda: load.count > before + len(KEYS))
        handed_over = f"{taken_over:.2f} + {time.monotonic() - began - taken_over:.2f}"
        await stopping
        enough = load.count + 500
        await load.until(lambda: load.count >= enough)
        load.stop()
        await asyncio.gather(*publishing)
        await load.until(lambda: load.is_read() and load.is_resumed())
        again = Load(client, topic)
        again.acknowledged = load.acknowledged
        reading.append(asyncio.create_task(again.read("again")))
        await again.until(again.is_read)
        await ended(*reading)
    with capsys.disabled():
        print(
            f"\nactive one killed {KILLS} times and stopped once under load: {load.count} messages acknowledged, "
            f"take-over + first acknowledgements s: {', '.join(recoveries)}; "
            f"handed over: {handed_over}; "
            f"repeated by position {repeated(load.resumed)}, by cursor {repeated(load.received)}; "
            f"longest time without an acknowledgement {load.longest_gap:.2f} s"
        )
    for key, count in load.acknowledged.items():
        # In the log and to who resumes by position: each once, in order. A cursor of the coordinator's may be a
        # tenth of a second old: what was settled since comes again, in order.
        assert again.received[key] == list(range(count)), key
        assert load.resumed[key] == list(range(count)), key
        assert list(dict.fromkeys(load.received[key])) == list(range(count)), key


async def test_paused_beyond_its_lease_it_acknowledges_nothing_any_more_and_names_the_owner(
    group: ServedGroup, capsys: pytest.CaptureFixture[str]
) -> None:
    active = await group.start()
    durable, memory = f"load-{uuid4().hex}", f"memory-{uuid4().hex}"
    async with connect(group.addresses, SETTINGS) as client, dial(active.address) as stubs:
        for name, kind in ((durable, None), (memory, LOG_KIND_MEMORY)):
            await client.admin.create_topic(
                Topic(name=name) if kind is None else Topic(name=name, log=kind)
            )
        load = Load(client, durable)
        publishing = [asyncio.create_task(load.publish(key)) for key in KEYS]
        await load.until(lambda: load.count > 100)
        active.send(signal.SIGSTOP)
        began = time.monotonic()
        # These wait in its socket while somebody else takes over, and are the first it sees when it goes on.
        requests = [
            pb.PublishRequest(topic=name, messages=[Message(data=b"late", key="EURUSD")])
            for name in (durable, memory)
            for _ in range(20)
        ]
        waiting = [asyncio.ensure_future(_answered(stubs, request)) for request in requests]
        following = await group.active(but=active)
        before = load.count
        await load.until(lambda: load.count > before + len(KEYS))
        paused = time.monotonic() - began
        active.send(signal.SIGCONT)
        async with asyncio.timeout(WAIT_SECONDS):
            refusals = await asyncio.gather(*waiting)
        await group.until(lambda: active.role == "standby")
        async with asyncio.timeout(WAIT_SECONDS):
            while (await _answered(stubs, requests[0])) != following.address:
                pass  # Each is a round trip.
        load.stop()
        await asyncio.gather(*publishing)
        reading = asyncio.create_task(load.read("all"))
        await load.until(load.is_read)
        await ended(reading)
    with capsys.disabled():
        print(
            f"\nactive one paused for {paused:.2f} s: {len(refusals)} requests that waited in its socket refused, "
            f"{sum(owner is not None for owner in refusals)} of them with NOT_OWNER"
        )
    for key, count in load.acknowledged.items():
        assert load.received[key] == list(range(count)), key


async def _answered(stubs: object, request: pb.PublishRequest) -> str | None:
    """Send a publish; return the owner that the refusal names, None when it was refused without; it must be."""
    try:
        await stubs.publisher.Publish(request, timeout=WAIT_SECONDS)  # type: ignore[attr-defined]
    except grpc.aio.AioRpcError as error:
        refused = error_from_rpc(error)
        return refused.owner if isinstance(refused, NotOwnerError) else None
    raise AssertionError("it acknowledged a message that its successor knows nothing of")
