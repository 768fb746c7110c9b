"""Peers killed in mid-stream: what they had goes to others, and the server does not mind."""

from __future__ import annotations

import pytest
from tests.integration.coordinator.frames import (
    Stubs,
    SubscribeStream,
    eventually,
    payloads,
    refusal,
    within,
)
from tests.integration.coordinator.processes import PEER, running

from bellwire.agent.v1.agent_pb2 import ListAgentsRequest
from bellwire.agent.v1.invocation_pb2 import InvokeRequest
from bellwire.testing.server import RunningCoordinator
from bellwire.wire.errors import AgentLostError

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("lane", ["tcp", "unix"])
async def test_what_a_killed_subscriber_had_not_settled_goes_to_another_member(
    server: RunningCoordinator, bus: Stubs, lane: str, caplog
):
    await bus.publish(b"0", b"1", b"2")
    async with running(PEER, "subscriber", getattr(server, lane)) as peer:
        await peer.says("READY")
        other = await SubscribeStream(bus).open("risk")
        assert (await bus.stats()).subscriptions[0].in_flight_messages == 2
        await peer.kill()
        again = await other.delivery()
    assert (payloads([again]), again.attempt) == ([b"1", b"2"], 1)
    await other.settle(again)
    await bus.publish(b"3")
    assert await other.data(1) == [b"3"]
    assert caplog.records == []


async def test_what_a_killed_publisher_was_acknowledged_is_there_in_order(
    server: RunningCoordinator, bus: Stubs, caplog
):
    await bus.create_topic()
    async with running(PEER, "publisher", server.tcp) as peer:
        await peer.says("READY")
        await peer.kill()
    appended = (await bus.stats()).published_messages
    assert appended >= 50
    reader = await SubscribeStream(bus).open("risk")
    read = await reader.data(appended)
    assert read == [b"0", b"1", b"2", *[b"flood"] * (appended - 3)]
    assert await bus.publish(b"others go on")
    assert caplog.records == []


async def test_calls_of_a_killed_agent_are_told_and_it_leaves_the_directory(
    server: RunningCoordinator, bus: Stubs, caplog
):
    async with running(PEER, "agent", server.tcp) as peer:
        await peer.says("REGISTERED")
        calling = bus.invocation.Invoke(InvokeRequest(capability="explain"), timeout=30)
        await peer.says("READY")
        await peer.kill()
        assert isinstance(await refusal(calling), AgentLostError)
    listed = await eventually(
        lambda: within(bus.agents.ListAgents(ListAgentsRequest())), lambda found: not found.agents
    )
    assert not listed.agents
    assert caplog.records == []
