"""PeerChannels: connections to other coordinators are kept, bounded, and closed when unused."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from tests.crash.processes import free_port
from tests.integration.coordinator.frames import within

from bellwire.agent.v1 import agent_pb2
from bellwire.coordinator.federation import peers
from bellwire.coordinator.federation.peers import IDLE_SECONDS, PeerChannels
from bellwire.testing.server import running_coordinator
from bellwire.transport.address import AddressError
from bellwire.wire.errors import CapacityError

pytestmark = pytest.mark.integration


@pytest.fixture
async def channels() -> AsyncIterator[PeerChannels]:
    made = PeerChannels()
    yield made
    await made.close()
    assert len(made) == 0


async def test_a_connection_is_made_once_and_kept(channels: PeerChannels):
    async with running_coordinator() as running:
        for address in (running.tcp, running.unix):
            peer = channels.to(address)
            assert await peer.ready(5.0)
            assert channels.to(address) is peer
            await within(peer.agents.ListAgents(agent_pb2.ListAgentsRequest()))
        assert len(channels) == 2


async def test_where_nobody_listens_it_is_told_soon(channels: PeerChannels):
    began = time.monotonic()
    assert not await channels.to(f"127.0.0.1:{free_port()}").ready(5.0)
    assert time.monotonic() - began < 4
    with pytest.raises(AddressError):
        channels.to("nowhere")


async def test_unused_for_long_it_is_closed_and_made_anew(channels: PeerChannels):
    async with running_coordinator() as running:
        peer = channels.to(running.tcp)
        peer.begin()
        channels.close_idle(time.monotonic() + 2 * IDLE_SECONDS)
        assert channels.to(running.tcp) is peer  # In use.
        peer.end()
        channels.close_idle(time.monotonic() + IDLE_SECONDS / 2)
        assert channels.to(running.tcp) is peer
        channels.close_idle(time.monotonic() + 2 * IDLE_SECONDS)
        assert len(channels) == 0
        assert await channels.to(running.tcp).ready(5.0)


async def test_requests_and_connections_are_bounded(
    channels: PeerChannels, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(peers, "IN_FLIGHT_MAX", 2)
    monkeypatch.setattr(peers, "PEERS_MAX", 2)
    first, second = channels.to("127.0.0.1:1"), channels.to("127.0.0.1:2")
    first.begin()
    first.begin()
    with pytest.raises(CapacityError, match=r"2 calls to coordinator .* are in flight"):
        first.begin()
    channels.to("127.0.0.1:3")  # In place of the one that is not in use.
    assert len(channels) == 2
    channels.to("127.0.0.1:3").begin()
    with pytest.raises(CapacityError, match="2 other coordinators are being called"):
        channels.to("127.0.0.1:2")
    assert second.in_flight == 0
