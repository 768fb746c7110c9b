"""How a coordinator goes away: announced, in order, within a bounded time, or at once."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.integration.coordinator.frames import (
    TOPIC,
    WIDE,
    AgentStream,
    Duplex,
    PublishStream,
    SubscribeStream,
    batch,
    dial,
    eventually,
    payloads,
    refusal,
    within,
)
from tests.integration.coordinator.guarantees import Gate

from bellwire.admin.v1.server_pb2 import GetServerInfoRequest
from bellwire.agent.v1 import agent_pb2
from bellwire.agent.v1.invocation_pb2 import InvokeRequest
from bellwire.bus.v1 import publisher_pb2, subscriber_pb2
from bellwire.bus.v1.message_pb2 import Window
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.testing.server import running_coordinator
from bellwire.wire.errors import DrainingError, PeerError, StatusCode

pytestmark = pytest.mark.integration

LONG = 30.0  # Seconds of grace that no test may need.
SHORT = 0.05


async def test_every_open_stream_is_told_and_the_server_stops_when_they_have_left():
    async with running_coordinator(drain_grace_seconds=LONG) as server, dial(server.tcp) as bus:
        publisher = await PublishStream(bus).open()
        subscriber = await SubscribeStream(bus).open()
        agent = await AgentStream(bus).open("rules-0", "explain")
        draining = asyncio.create_task(server.coordinator.drain())
        for stream in (publisher, agent, subscriber):  # Who writes goes first.
            told = await stream.read_arm("draining")
            assert told.reconnect_after_millis > 0
            assert not draining.done()
            await stream.finish()
        await within(draining)
        await within(server.coordinator.wait_closed())


async def test_what_is_in_hand_can_be_finished_while_it_drains():
    async with running_coordinator(drain_grace_seconds=LONG) as server, dial(server.tcp) as bus:
        publisher = await PublishStream(bus).open()
        subscriber = await SubscribeStream(bus).open("risk")
        agent = await AgentStream(bus).open("rules-0", "explain")
        await publisher.publish(batch(b"before"))
        delivery = await subscriber.delivery()
        calling = asyncio.ensure_future(
            bus.invocation.Invoke(InvokeRequest(capability="explain"), timeout=LONG)
        )
        call = await agent.next_call()
        draining = asyncio.create_task(server.coordinator.drain())
        await publisher.read_arm("ack")
        for stream in (publisher, agent):
            await stream.read_arm("draining")
        await publisher.publish(batch(b"in flight when it was told"))
        await publisher.acknowledged(2)
        await agent.answer(call, b'"answered"')
        assert (await within(calling)).result == b'"answered"'
        await publisher.finish()
        await agent.finish()
        await subscriber.settle(delivery)
        assert payloads([await subscriber.delivery()]) == [b"in flight when it was told"]
        await subscriber.read_arm("draining")
        await subscriber.finish()
        await within(draining)


async def test_a_subscriber_is_told_when_it_has_been_given_what_waited_for_it():
    async with running_coordinator(drain_grace_seconds=LONG) as server, dial(server.tcp) as bus:
        narrow = Window(messages=1, bytes=1 << 20)
        subscriber = await SubscribeStream(bus).open("risk", window=narrow)
        for data in (b"0", b"1", b"2"):
            await bus.publish(data)
        draining = asyncio.create_task(server.coordinator.drain())
        # Deliveries only until the last one is out: `data` would fail on any other frame.
        assert await subscriber.data(3) == [b"0", b"1", b"2"]
        await subscriber.read_arm("draining")
        await subscriber.finish()
        await within(draining)


async def test_a_subscriber_that_does_not_read_on_is_told_in_the_end():
    async with running_coordinator(drain_grace_seconds=SHORT) as server, dial(server.tcp) as bus:
        narrow = Window(messages=1, bytes=1 << 20)
        subscriber = await SubscribeStream(bus).open("risk", window=narrow)
        for data in (b"0", b"1"):
            await bus.publish(data)
        await subscriber.delivery()
        await within(server.coordinator.drain())
        await subscriber.read_arm("draining")
        assert isinstance(await subscriber.ended_with(), PeerError)


async def test_new_streams_and_publishes_are_refused_while_it_drains():
    async with running_coordinator(drain_grace_seconds=LONG) as server, dial(server.tcp) as bus:
        holding = await SubscribeStream(bus).open()
        draining = asyncio.create_task(server.coordinator.drain())
        await holding.read_arm("draining")
        publish = publisher_pb2.PublishRequest(batch=batch(b"x"))
        errors = [await refusal(bus.publisher.Publish(publish))]
        firsts = (
            (
                Duplex(bus.publisher.PublishStream(), publisher_pb2.PublishStreamRequest),
                {"start": publisher_pb2.PublishStart()},
            ),
            (
                Duplex(bus.subscriber.Subscribe(), subscriber_pb2.SubscribeRequest),
                {"start": subscriber_pb2.SubscribeStart(topics=[TOPIC], window=WIDE)},
            ),
            (
                Duplex(bus.agents.Connect(), agent_pb2.ConnectRequest),
                {"register": agent_pb2.Register(agent=agent_pb2.Agent(agent_id="a"))},
            ),
        )
        for stream, first in firsts:
            await stream.send(**first)
            errors.append(await stream.ended_with())
        for error in errors:
            assert isinstance(error, DrainingError)
            assert error.code is StatusCode.UNAVAILABLE
            assert error.retryable
            assert "shutting down: reconnect" in error.message
        await holding.finish()
        await within(draining)


async def test_health_turns_to_not_serving_as_soon_as_it_drains():
    async with running_coordinator(drain_grace_seconds=LONG) as server, dial(server.tcp) as bus:
        holding = await SubscribeStream(bus).open()
        health: Any = health_pb2_grpc.HealthStub(bus.channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await within(watch.read())).status == health_pb2.HealthCheckResponse.SERVING
        draining = asyncio.create_task(server.coordinator.drain())
        assert (await within(watch.read())).status == health_pb2.HealthCheckResponse.NOT_SERVING
        check = health_pb2.HealthCheckRequest(service="bellwire.bus.v1.PublisherService")
        answer = await within(health.Check(check))
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        await holding.finish()
        await within(draining)


async def test_a_stream_that_does_not_leave_is_cut_after_the_grace():
    async with running_coordinator(drain_grace_seconds=SHORT) as server, dial(server.tcp) as bus:
        stream = await SubscribeStream(bus).open()
        await within(server.coordinator.drain())
        await stream.read_arm("draining")
        error = await stream.ended_with()
        assert isinstance(error, PeerError)
        assert error.retryable


async def test_draining_twice_is_draining_once():
    async with running_coordinator(drain_grace_seconds=SHORT) as server:
        await within(asyncio.gather(server.coordinator.drain(), server.coordinator.drain()))
        await within(server.coordinator.drain())


async def test_a_server_that_has_drained_answers_no_more():
    async with running_coordinator(drain_grace_seconds=SHORT) as server, dial(server.tcp) as bus:
        await bus.publish(b"x")
        await within(server.coordinator.drain())
        error = await refusal(
            bus.server.GetServerInfo(GetServerInfoRequest(), wait_for_ready=False)
        )
        assert error.code is StatusCode.UNAVAILABLE


@pytest.mark.parametrize("address", ["tcp", "unix"])
async def test_a_server_stopped_at_once_ends_streams_with_unavailable(address: str):
    async with running_coordinator() as server, dial(getattr(server, address)) as bus:
        publisher = await PublishStream(bus).open()
        subscriber = await SubscribeStream(bus).open("risk")
        await publisher.publish(batch(b"x"))
        await subscriber.delivery()
        await within(server.coordinator.close())
        for stream in (publisher, subscriber):
            error = await stream.ended_with()
            assert isinstance(error, PeerError)
            assert error.retryable


async def test_closing_leaves_no_stream_behind_that_still_runs():
    before = asyncio.all_tasks()
    async with running_coordinator() as server, dial(server.tcp) as bus:
        for open_stream in (PublishStream(bus).open, SubscribeStream(bus).open):
            await open_stream()
        await within(server.coordinator.close())
        left = [repr(task.get_coro()) for task in asyncio.all_tasks() - before]
        assert not [coroutine for coroutine in left if "Session" in coroutine]


async def test_a_drain_is_seen_in_server_info():
    async with running_coordinator(drain_grace_seconds=LONG) as server, dial(server.tcp) as bus:
        stream = await SubscribeStream(bus).open()
        draining = asyncio.create_task(server.coordinator.drain())

        found = await eventually(
            lambda: within(bus.server.GetServerInfo(GetServerInfoRequest())),
            lambda answer: answer.draining,
        )
        assert found.open_streams == 1
        await stream.finish()
        await within(draining)


# ---------------------------------------------------------------- with a durable store


async def test_a_backlog_that_must_be_read_from_the_disk_is_delivered_before_the_farewell(tmp_path):
    data = [random.Random(n).randbytes(400 << 10) for n in range(16)]  # Beyond the cache.
    async with (
        running_coordinator(
            drain_grace_seconds=LONG,
            data=str(tmp_path),
            default_log="sqlite",
            store_cache_bytes=4 << 20,
        ) as server,
        dial(server.tcp) as bus,
    ):
        publisher = await PublishStream(bus).open()
        for item in data:
            await publisher.publish(batch(item))
        await publisher.acknowledged(len(data))
        await publisher.finish()
        narrow = Window(messages=1, bytes=1 << 20)
        subscriber = await SubscribeStream(bus).open("risk", window=narrow)
        draining = asyncio.create_task(server.coordinator.drain())
        assert await subscriber.data(len(data)) == data
        await subscriber.read_arm("draining")
        await subscriber.finish()
        await within(draining)


async def test_what_is_being_committed_when_it_drains_is_acknowledged_and_kept(
    tmp_path, monkeypatch
):
    gate = Gate(monkeypatch)
    settings = CoordinatorSettings(
        data=str(tmp_path), default_log="sqlite", drain_grace_seconds=LONG
    )
    async with running_coordinator(settings) as server, dial(server.tcp) as bus:
        publisher = await PublishStream(bus).open()
        gate.shut()
        await publisher.publish(batch(b"0"), batch(b"1"))
        await eventually(bus.stats, lambda stats: stats.partitions[0].next_offset == 2)
        draining = asyncio.create_task(server.coordinator.drain())
        await publisher.read_arm("draining")
        gate.open()
        assert len(await publisher.acknowledged(1)) == 2
        await publisher.finish()
        await within(draining)
    async with running_coordinator(settings) as server, dial(server.tcp) as bus:
        assert payloads((await bus.pull()).deliveries) == [b"0", b"1"]


async def test_what_was_only_received_when_it_stops_at_once_is_kept_all_the_same(
    tmp_path, monkeypatch
):
    gate = Gate(monkeypatch)
    settings = CoordinatorSettings(data=str(tmp_path), default_log="sqlite")
    async with running_coordinator(settings) as server, dial(server.tcp) as bus:
        publisher = await PublishStream(bus).open()
        gate.shut()
        for data in (b"0", b"1"):  # The first is being written, the other waits behind it.
            frame = await publisher.publish(batch(data), ack_level=publisher_pb2.ACK_LEVEL_RECEIVED)
            await publisher.acknowledged(frame)
        closing = asyncio.create_task(server.coordinator.close())
        assert isinstance(await publisher.ended_with(), PeerError)
        gate.open()
        await within(closing)
    async with running_coordinator(settings) as server, dial(server.tcp) as bus:
        assert payloads((await bus.pull()).deliveries) == [b"0", b"1"]
