"""Peers that do not read, do not settle, or do not stop: bounded memory, and nothing lost."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from tests.integration.coordinator.frames import (
    ACCEPT,
    BOTH_CODECS,
    TOPIC,
    Duplex,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    dial,
    eventually,
    refusal,
    within,
)
from tests.integration.coordinator.processes import SERVER, running

from bellwire.admin.v1.server_pb2 import GetServerInfoRequest, GetServerInfoResponse
from bellwire.bus.v1 import publisher_pb2, subscriber_pb2
from bellwire.bus.v1.message_pb2 import Message, Window
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.testing.server import running_coordinator
from bellwire.wire.errors import (
    CapacityError,
    DeadlineExceededError,
    TopicFullError,
    from_item_error,
)

pytestmark = pytest.mark.integration

MIB = 1 << 20
NARROW = Window(messages=10, bytes=MIB)
NOISE = random.Random(3).randbytes(64 << 10)  # Does not compress: a payload costs what it weighs.
FILLING = [b"delivered", b"kept", b"last that fits"]  # Fills a topic that retains one message.
STILL_ROUNDS = 50  # Round trips without progress after which a publisher counts as held.


@asynccontextmanager
async def server_process(tmp_path, **settings: float) -> AsyncIterator[Stubs]:
    """A connection to a coordinator whose memory is its own."""
    address = f"unix://{tmp_path}/bus.sock"
    async with running(SERVER, address, json.dumps(settings)) as child:
        await child.says("READY")
        async with dial(address) as bus:
            yield bus


async def info(bus: Stubs) -> GetServerInfoResponse:
    """What the server says of itself."""
    return await within(bus.server.GetServerInfo(GetServerInfoRequest()))


async def rss_bytes(bus: Stubs) -> int:
    """Resident memory of the server."""
    return (await info(bus)).rss_bytes


class Flood:
    """A publisher that never stops and minds no window.

    Attributes:
        sent: Batches written so far, a number and a payload each.
        acknowledged: Messages the server has taken, two of each batch.
        failures: What the server refused.
    """

    def __init__(self, stream: PublishStream, size: int, batches: int) -> None:
        self.sent = 0
        self.acknowledged = 0
        self.failures: list[publisher_pb2.PublishFailure] = []
        self._stream = stream
        self._size = size
        self._batches = batches
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    async def _write(self) -> None:
        while self.sent < self._batches:
            made = batch(str(self.sent).encode(), NOISE[: self._size - 1])
            frame = publisher_pb2.PublishBatches(frame_sequence=self.sent + 1, batches=[made])
            # No deadline: to be held here is what this is for.
            await self._stream.call.write(publisher_pb2.PublishStreamRequest(batches=frame))
            self.sent += 1

    async def _read(self) -> None:
        while (frame := await self._stream.call.read()) is not grpc.aio.EOF:
            if frame.WhichOneof("frame") == "ack":
                places = frame.ack.positions
                self.acknowledged += sum(p.last_offset - p.first_offset + 1 for p in places)
            elif frame.WhichOneof("frame") == "failure":
                self.failures.append(frame.failure)

    async def held(self, bus: Stubs) -> int:
        """Wait until it makes no more progress; return how much it has sent."""
        still, before = 0, -1
        async with asyncio.timeout(20):
            while still < STILL_ROUNDS:
                await bus.stats()
                still, before = (still + 1 if self.sent == before else 0), self.sent
        return self.sent

    async def stop(self) -> None:
        """Drop the stream."""
        self._stream.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_a_subscriber_that_never_reads_holds_its_window_and_no_memory(tmp_path):
    async with server_process(tmp_path, retention_bytes=4 * MIB) as bus:
        await bus.create_topic()
        silent = bus.subscriber.Subscribe()
        start = subscriber_pb2.SubscribeStart(
            topics=[TOPIC], window=NARROW, accepted_codecs=BOTH_CODECS
        )
        await within(silent.write(subscriber_pb2.SubscribeRequest(start=start)))
        await eventually(bus.stats, lambda stats: stats.subscriptions)
        publisher = await PublishStream(bus).open()
        await publisher.publish(batch(NOISE))
        await publisher.acknowledged(1)
        before = await rss_bytes(bus)
        for _ in range(100):
            await publisher.publish(*[batch(NOISE) for _ in range(10)])
            await publisher.acknowledged(publisher.frame)
        (counted,) = (await bus.stats()).subscriptions
        assert counted.in_flight_messages == NARROW.messages
        assert counted.dropped_messages > 900
        assert await rss_bytes(bus) - before < 30 * MIB, "62 MiB went by, 4 MiB may be kept"
        silent.cancel()


async def test_a_publisher_that_never_stops_is_held_and_goes_on_with_nothing_lost(tmp_path):
    total, size = 2_000, 64 << 10
    limits = {"retention_bytes": MIB, "publish_window_bytes": 4 * MIB, "publish_wait_seconds": 60}
    async with (
        server_process(tmp_path, **limits) as bus,
        dial(f"unix://{tmp_path}/bus.sock") as own,
    ):
        subscriber = await SubscribeStream(bus).open("risk", window=NARROW)
        await bus.publish(b"first")
        held = await subscriber.delivery()
        before = await rss_bytes(bus)
        flood = Flood(await PublishStream(own).open(), size, total)
        sent = await flood.held(bus)
        assert sent < total // 4
        assert flood.acknowledged < sent
        assert await rss_bytes(bus) - before < 40 * MIB, "125 MiB are on their way"

        await subscriber.settle(held)
        read = await subscriber.data(2 * total)
        assert read[::2] == [str(index).encode() for index in range(total)]
        await eventually(bus.stats, lambda _: flood.acknowledged == 2 * total)
        assert flood.failures == []
        await flood.stop()


async def test_publishers_of_other_topics_are_not_held(tmp_path):
    async with server_process(tmp_path, retention_messages=1, workers=1) as bus:
        await SubscribeStream(bus).open("risk", window=NARROW)
        async with dial(f"unix://{tmp_path}/bus.sock") as own:
            flood = Flood(await PublishStream(own).open(), 1, 10_000)
            await flood.held(bus)
            stream = await PublishStream(bus).open()
            for _ in range(20):
                await stream.publish(batch(b"x", topic="signals.tactical"))
            assert len(await stream.acknowledged(20)) == 20
            await flood.stop()


async def test_a_unary_publish_to_a_full_topic_is_told_who_blocks_it():
    limits = CoordinatorSettings(retention_messages=1, publish_wait_seconds=0.05)
    async with running_coordinator(limits) as server, dial(server.tcp) as bus:
        reader = await SubscribeStream(bus).open("risk", window=Window(messages=1, bytes=MIB))
        for data in FILLING:
            await bus.publish(data)
        request = publisher_pb2.PublishRequest(topic=TOPIC, messages=[Message(data=b"x")])
        error = await refusal(bus.publisher.Publish(request))
        assert isinstance(error, TopicFullError)
        assert "subscription risk (policy BLOCK) has not read on" in error.message
        assert error.retryable
        assert error.retry_delay_seconds
        assert await reader.data(3) == FILLING
        await bus.publish(b"next")
        assert await reader.data(1) == [b"next"]


async def test_a_batch_that_waits_too_long_is_refused_alone_and_the_stream_goes_on():
    limits = CoordinatorSettings(retention_messages=1, publish_wait_seconds=0.05)
    async with running_coordinator(limits) as server, dial(server.tcp) as bus:
        reader = await SubscribeStream(bus).open("risk", window=Window(messages=1, bytes=MIB))
        stream = await PublishStream(bus).open()
        for data in (*FILLING, b"too many"):
            await stream.publish(batch(data))
        await stream.acknowledged(3)
        failure = await stream.read_arm("failure")
        assert (failure.frame_sequence, failure.error.reason) == (4, TopicFullError.reason)
        assert failure.error.retry_delay_millis
        assert await reader.data(3) == FILLING
        await stream.publish(batch(b"next"))
        assert await reader.data(1) == [b"next"]


async def test_more_batches_than_may_wait_are_refused_with_the_limit():
    limits = CoordinatorSettings(
        retention_messages=1, worker_inbox_batches=2, publish_wait_seconds=30
    )
    async with running_coordinator(limits) as server, dial(server.tcp) as bus:
        reader = await SubscribeStream(bus).open("risk", window=Window(messages=1, bytes=MIB))
        for data in FILLING:
            await bus.publish(data)
        stream = await PublishStream(bus).open()
        await stream.publish(*[batch(data) for data in (b"3", b"4", b"too many")])
        refused = from_item_error((await stream.read_arm("failure")).error)
        assert type(refused) is CapacityError
        assert "2 batches wait in worker" in refused.message
        assert refused.retry_delay_seconds
        assert await reader.data(5) == [*FILLING, b"3", b"4"]
        assert len(await stream.acknowledged(1)) == 2


async def test_a_held_stream_gets_heartbeats():
    limits = CoordinatorSettings(retention_messages=1, heartbeat_seconds=0.02)
    async with running_coordinator(limits) as server, dial(server.tcp) as bus:
        await SubscribeStream(bus).open("risk", window=Window(messages=1, bytes=MIB))
        stream = await PublishStream(bus).open()
        await stream.publish(*[batch(b"x") for _ in range(5)])
        for _ in range(3):
            await stream.read_arm("heartbeat")


async def test_a_stream_lost_while_its_batches_wait_can_send_them_again_in_order():
    async with running_coordinator(retention_messages=1) as server, dial(server.tcp) as bus:
        reader = await SubscribeStream(bus).open("risk", window=Window(messages=1, bytes=MIB))
        for data in FILLING:
            await bus.publish(data)
        first = await PublishStream(bus).open()
        producer = first.started.producer_id
        mine = [batch(str(n).encode(), producer_id=producer, base_sequence=n) for n in range(4)]
        await first.publish(*mine[:2])
        await first.publish(*mine[2:])
        await first.send(heartbeat=publisher_pb2.PublishHeartbeat())
        await first.read_arm("heartbeat")  # Frames are read in order: both wait for room now.
        first.cancel()
        await eventually(lambda: info(bus), lambda found: found.open_streams == 1)
        second = await PublishStream(bus).open(producer_id=producer)
        await second.publish(*mine)
        assert await reader.data(7) == [*FILLING, b"0", b"1", b"2", b"3"]
        assert len(await second.acknowledged(1)) == 4


async def test_more_streams_than_allowed_are_refused_with_the_limit_and_unary_calls_go_on():
    async with running_coordinator(streams_max=2) as server, dial(server.tcp) as bus:
        publisher = await PublishStream(bus).open()
        subscriber = await SubscribeStream(bus).open()
        third = Duplex(bus.subscriber.Subscribe(), subscriber_pb2.SubscribeRequest)
        await third.send(start=subscriber_pb2.SubscribeStart(topics=[TOPIC], window=NARROW))
        error = await third.ended_with()
        assert type(error) is CapacityError
        assert "2 streams are open, limit is 2" in error.message
        assert await bus.publish(b"x") == [0]
        await publisher.finish()
        again = await PublishStream(bus).open()
        assert await subscriber.data(1) == [b"x"]
        await again.finish()


@pytest.mark.parametrize("service", ["publisher", "subscriber", "agents"])
async def test_a_stream_that_says_nothing_gives_its_place_up(monkeypatch, service: str):
    monkeypatch.setattr("bellwire.coordinator.services.duplex.FIRST_FRAME_SECONDS", 0.05)
    async with running_coordinator() as server, dial(server.tcp) as bus:
        streams: dict[str, Any] = {
            "publisher": bus.publisher.PublishStream,
            "subscriber": bus.subscriber.Subscribe,
            "agents": bus.agents.Connect,
        }
        error = await Duplex(streams[service](), bytes).ended_with()
        assert isinstance(error, DeadlineExceededError)
        assert "no first frame came within 0.05 s" in error.message
        assert await bus.publish(b"others go on") == [0]


async def test_pull_leases_hold_no_more_than_their_share_of_memory(monkeypatch):
    monkeypatch.setattr("bellwire.coordinator.core.leases.LEASED_BYTES_MAX", 100_000)
    async with running_coordinator() as server, dial(server.tcp) as bus:
        await bus.publish(NOISE)
        await bus.publish(NOISE)
        first = await bus.pull(max_messages=1)
        await bus.pull(max_messages=1)
        request = subscriber_pb2.PullRequest(subscription="inspect", topics=[TOPIC])
        error = await refusal(bus.subscriber.Pull(request))
        assert isinstance(error, CapacityError)
        assert "bytes are out under pull leases, limit is 100000: acknowledge some" in error.message
        settlement = subscriber_pb2.Settlement(first_tag=1, last_tag=1, disposition=ACCEPT)
        done = subscriber_pb2.AcknowledgeRequest(lease_id=first.lease_id, settlements=[settlement])
        await within(bus.subscriber.Acknowledge(done))
        await bus.publish(b"x")
        assert (await bus.pull(max_messages=1)).deliveries


async def test_one_small_batch_does_not_keep_its_large_frame_in_memory(tmp_path):
    async with server_process(tmp_path, retention_bytes=64 << 10) as bus:
        stream = await PublishStream(bus).open()
        large = batch(NOISE * 7)
        small = [batch(b"x", topic=f"kept.{n}") for n in range(60)]
        await stream.publish(large, small[0])
        await stream.acknowledged(1)
        before = await rss_bytes(bus)
        for kept in small:
            await stream.publish(large, kept)
            await stream.acknowledged(stream.frame)
        assert await rss_bytes(bus) - before < 10 * MIB, "60 frames of 448 KiB went by"


async def test_who_does_not_read_its_refusals_is_disconnected(monkeypatch):
    monkeypatch.setattr("bellwire.coordinator.core.publish_session.OUTBOX_FRAMES_MAX", 3)
    async with running_coordinator() as server, dial(server.tcp) as bus:
        stream = await PublishStream(bus).open()
        bad = batch(b"x")
        bad.header.crc32 ^= 1
        await stream.publish(*[bad] * 10)
        error = await stream.ended_with()
        assert isinstance(error, CapacityError)
        assert "left 3 frames unread, limit is 3: read faster" in error.message
        assert await bus.publish(b"others go on") == [0]
