"""Calls passed on to a coordinator that does not serve, or is not the one any more: nothing is done there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from tests.crash.processes import free_port
from tests.integration.coordinator.frames import within
from tests.integration.federation.conftest import TOOL, Sites

from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_TOOL, Agent, AgentStatus, Capability
from bellwire.agent.v1.invocation_pb2 import InvokeRequest
from bellwire.coordinator.core.fleet import NothingDone
from bellwire.coordinator.core.remotes import Place, RemoteAgents
from bellwire.coordinator.federation import peers
from bellwire.coordinator.federation.forwarding import Forwarder
from bellwire.coordinator.federation.peers import PeerChannels
from bellwire.wire.errors import AgentBusyError, BellwireError, NoCapableAgentError

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(90)]

SHUN_SECONDS = 30.0


@asynccontextmanager
async def told_of(
    address: str,
) -> AsyncIterator[tuple[RemoteAgents, Callable[[], Awaitable[BellwireError]]]]:
    """What was told of an agent at an address, and a call to it that must be refused."""
    remotes, channels = RemoteAgents(), PeerChannels()
    capability = Capability(name=TOOL, kind=CAPABILITY_KIND_TOOL)
    agent = Agent(agent_id="rules-0", capabilities=[capability], max_in_flight=1)
    place, now = Place(uuid4().hex, "g", address), time.monotonic()
    assert remotes.heard(place, 1, [], now + 60, now)
    remotes.roster(place.id, 1, [AgentStatus(agent=agent)])
    (known,) = remotes.agents()
    forwarder = Forwarder(remotes, channels, SHUN_SECONDS)

    async def refused() -> BellwireError:
        with pytest.raises(NothingDone) as caught:
            await within(
                forwarder.invoke(known, InvokeRequest(capability=TOOL), 5.0, "", fresh=False)
            )
        assert known.forwarded == 0
        return caught.value.error

    try:
        yield remotes, refused
    finally:
        await channels.close()


async def test_a_standby_has_done_nothing_and_is_not_asked_again(sites: Sites):
    site = await sites.open()
    standby = await site.group.join()
    await site.group.until(lambda: standby.describe().owner == site.address)
    async with told_of(standby.addresses[0]) as (remotes, refused):
        error = await refused()
        assert isinstance(error, NoCapableAgentError)
        assert "not active any more; nothing was sent" in error.message
        assert len(remotes) == 0


async def test_another_one_under_its_address_has_done_nothing(sites: Sites):
    site = await sites.open()
    agent = await site.register("rules-0")
    async with told_of(site.address) as (remotes, refused):
        assert isinstance(await refused(), NoCapableAgentError)
        assert len(remotes) == 0
    calling = site.invoke()
    await agent.answer(await agent.next_call())  # The first it gets.
    await within(calling)


async def test_nobody_under_its_address_has_done_nothing():
    async with told_of(f"127.0.0.1:{free_port()}") as (remotes, refused):
        error = await refused()
        assert isinstance(error, NoCapableAgentError)
        assert "cannot be reached; nothing was sent" in error.message
        assert len(remotes) == 0


async def test_an_address_that_is_none_has_done_nothing():
    async with told_of("nowhere") as (_, refused):
        assert "malformed" in (await refused()).message


async def test_too_many_calls_to_one_coordinator_are_agents_that_are_busy(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(peers, "IN_FLIGHT_MAX", 0)
    site = await sites.open()
    async with told_of(site.address) as (remotes, refused):
        error = await refused()
        assert isinstance(error, AgentBusyError)
        assert error.retry_delay_seconds
        assert len(remotes) == 1
