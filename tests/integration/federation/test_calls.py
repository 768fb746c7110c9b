"""Agents of one coordinator called through another one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.integration.coordinator.frames import Duplex, eventually, refusal, within
from tests.integration.federation.conftest import TOOL, Sites

from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.bus.v1.error_pb2 import ItemError
from bellwire.mcp.v1 import mcp_pb2
from bellwire.wire.errors import (
    AgentBusyError,
    AgentExistsError,
    AgentFailedError,
    AgentLostError,
    DeadlineExceededError,
    NoCapableAgentError,
    UnknownAgentError,
)

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(90)]

PINNED = invocation_pb2.ROUTING_POLICY_PINNED
STICKY = invocation_pb2.ROUTING_POLICY_STICKY


def pinned(agent_id: str) -> invocation_pb2.Routing:
    return invocation_pb2.Routing(policy=PINNED, agent_id=agent_id)


async def test_an_agent_is_found_listed_and_called_through_the_other_coordinator(sites: Sites):
    here, there = await sites.open(), await sites.open()
    agent = await there.register("rules-0", name="rules")
    (status,) = await here.knows("rules-0")
    assert (status.agent.name, status.coordinator) == ("rules", there.address)
    assert status.lease_expire_time_unix_nano > status.register_time_unix_nano > 0
    found = await within(here.bus.agents.GetAgent(agent_pb2.GetAgentRequest(agent_id="rules-0")))
    assert found.agent.coordinator == there.address
    (own,) = await there.agents()
    assert own.coordinator == there.address

    calling = here.invoke(
        arguments=b'{"n":1}',
        request_id="r-1",
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-00",
    )
    call = await agent.next_call()
    assert (call.capability, call.arguments, call.request_id) == (TOOL, b'{"n":1}', "r-1")
    assert call.traceparent == "00-" + "a" * 32 + "-" + "b" * 16 + "-00"
    await agent.answer(call, b'{"answer":42}')
    reply = await within(calling)
    assert (reply.agent_id, reply.result) == ("rules-0", b'{"answer":42}')
    assert reply.duration_micros > 0
    # Its request id is remembered where it was called.
    again = await within(
        here.invoke(
            arguments=b'{"n":1}',
            request_id="r-1",
            traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-00",
        )
    )
    assert (again.replayed, again.result) == (True, b'{"answer":42}')


async def test_tools_of_all_coordinators_are_listed_and_called_as_mcp_does(sites: Sites):
    here, there = await sites.open(), await sites.open()
    mine = await here.register("a-0", "shared", "mine")
    theirs = await there.register("b-0", "shared", "theirs")
    await here.knows("a-0", "b-0")
    listed = await within(here.bus.mcp.ListTools(mcp_pb2.ListToolsRequest()))
    assert [(tool.name, tool.agents) for tool in listed.tools] == [
        ("mine", 1), ("shared", 2), ("theirs", 1),
    ]  # fmt: skip
    calling = here.bus.mcp.CallTool(mcp_pb2.CallToolRequest(name="theirs"), timeout=10)
    await theirs.answer(await theirs.next_call(), b'"done"')
    assert (await within(calling)).agent_id == "b-0"
    assert mine.registered.lease_id


async def test_ours_come_first_then_the_least_loaded_of_others(sites: Sites):
    here, there, third = await sites.open(), await sites.open(), await sites.open()
    mine = await here.register("mine", max_in_flight=1)
    busy = await there.register("busy", max_in_flight=10)
    idle = await third.register("idle", max_in_flight=10)
    await busy.send(load_report=agent_pb2.LoadReport(queue_depth=5))
    await here.knows("busy", "idle", "mine")
    await eventually(here.agents, lambda found: found[0].load.queue_depth == 5)
    first = here.invoke()
    held = await mine.next_call()
    others = []
    for _ in range(4):
        calling = here.invoke()
        await idle.answer(await idle.next_call())
        others.append((await within(calling)).agent_id)
    assert others == ["idle"] * 4
    await mine.answer(held)
    assert (await within(first)).agent_id == "mine"


async def test_all_full_everywhere_is_busy(sites: Sites):
    here, there = await sites.open(), await sites.open()
    agent = await there.register("one", max_in_flight=1)
    await here.knows("one")
    first = here.invoke()
    call = await agent.next_call()
    assert isinstance(await refusal(here.invoke()), AgentBusyError)
    await agent.answer(call)
    await within(first)


async def test_a_peer_that_has_become_full_says_so_and_another_one_is_asked(sites: Sites):
    here, there, third = await sites.open(), await sites.open(), await sites.open()
    full = await there.register("full", max_in_flight=1)
    free = await third.register("free", max_in_flight=1)
    await here.knows("free", "full")
    await there.knows("free", "full")
    held = there.invoke()
    call = await full.next_call()
    # Here it is not known yet that it is full; whichever is asked first, the free one answers.
    calling = here.invoke()
    await free.answer(await free.next_call())
    assert (await within(calling)).agent_id == "free"
    await full.answer(call)
    await within(held)


async def test_one_named_agent_is_found_where_it_is(sites: Sites):
    here, there = await sites.open(), await sites.open()
    mine, theirs = await here.register("mine"), await there.register("theirs")
    await here.knows("mine", "theirs")
    await there.knows("mine", "theirs")
    for site in (here, there):
        calling = site.invoke(routing=pinned("theirs"))
        await theirs.answer(await theirs.next_call())
        assert (await within(calling)).agent_id == "theirs"
    error = await refusal(here.invoke(routing=pinned("nobody")))
    assert isinstance(error, NoCapableAgentError)
    # The same agent for the same key, through whichever coordinator.
    serving = [asyncio.create_task(_serve(agent)) for agent in (mine, theirs)]
    chosen = set()
    for key in ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD"):
        routing = invocation_pb2.Routing(policy=STICKY, routing_key=key)
        found = [(await within(site.invoke(routing=routing))).agent_id for site in (here, there)]
        assert found[0] == found[1], key
        chosen.add(found[0])
    assert chosen == {"mine", "theirs"}
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)


async def _serve(agent: Any) -> None:
    while True:
        await agent.answer(await agent.next_call())


async def test_a_second_agent_of_an_id_is_refused_by_name_of_the_coordinator(sites: Sites):
    here, there = await sites.open(), await sites.open()
    first = await there.register("rules-0")
    second = Duplex(here.bus.agents.Connect(), agent_pb2.ConnectRequest)
    await second.send(register=agent_pb2.Register(agent=agent_pb2.Agent(agent_id="rules-0")))
    error = await second.ended_with()
    assert isinstance(error, AgentExistsError)
    assert error.metadata["coordinator"] == there.address
    await here.knows("rules-0")
    calling = here.invoke()
    await first.answer(await first.next_call())
    await within(calling)


async def test_an_agent_moves_from_one_coordinator_to_the_other(sites: Sites):
    here, there = await sites.open(), await sites.open()
    agent = await there.register("rules-0")
    await here.knows("rules-0")
    await agent.finish()
    await here.knows()
    agent = await here.register("rules-0")
    (status,) = await there.knows("rules-0")
    assert status.coordinator == here.address
    calling = there.invoke()
    await agent.answer(await agent.next_call())
    assert (await within(calling)).agent_id == "rules-0"


async def test_draining_an_agent_of_another_coordinator(sites: Sites):
    here, there = await sites.open(), await sites.open()
    agent = await there.register("rules-0")
    await here.knows("rules-0")
    calling = here.invoke()
    call = await agent.next_call()
    request = agent_pb2.DrainAgentRequest(agent_id="rules-0")
    assert (await within(here.bus.agents.DrainAgent(request))).in_flight == 1
    await eventually(here.agents, lambda found: found[0].draining)
    assert isinstance(await refusal(here.invoke()), AgentBusyError)
    await agent.answer(call)
    await within(calling)
    ghost = agent_pb2.DrainAgentRequest(agent_id="ghost")
    assert isinstance(await refusal(here.bus.agents.DrainAgent(ghost)), UnknownAgentError)


async def test_errors_of_agents_keep_their_class_and_metadata(sites: Sites):
    here, there = await sites.open(), await sites.open()
    agent = await there.register("rules-0")
    await here.knows("rules-0")
    for reason, kind in (
        ("AGENT_FAILED", AgentFailedError),
        ("NOT_OWNER", None),  # Said by an agent it is no word of its coordinator's.
        ("AGENT_BUSY", AgentBusyError),
    ):
        calling = asyncio.ensure_future(here.invoke(routing=pinned("rules-0")))
        call = await agent.next_call()
        item = ItemError(code=14, reason=reason, message="no data", metadata={"symbol": "EURUSD"})
        await agent.send(result=agent_pb2.CallResult(call_id=call.call_id, error=item))
        error = await refusal(calling)
        assert error.reason == reason
        assert kind is None or isinstance(error, kind)
        assert error.message == "no data"
        assert error.metadata == {"symbol": "EURUSD", "agent_id": "rules-0"}


async def test_an_agent_that_dies_under_a_call_is_lost(sites: Sites):
    here, there = await sites.open(), await sites.open()
    agent = await there.register("rules-0")
    await here.knows("rules-0")
    calling = asyncio.ensure_future(here.invoke())
    await agent.next_call()
    agent.cancel()
    error = await refusal(calling)
    assert isinstance(error, AgentLostError)
    assert error.metadata["agent_id"] == "rules-0"
    await here.knows()
    assert isinstance(await refusal(here.invoke()), NoCapableAgentError)


async def test_the_deadline_travels_and_is_told_by_name(sites: Sites):
    here, there = await sites.open(), await sites.open()
    agent = await there.register("rules-0")
    await here.knows("rules-0")
    calling = asyncio.ensure_future(here.invoke(timeout=0.5))
    call = await agent.next_call()
    assert isinstance(await refusal(calling), DeadlineExceededError)
    cancel = await agent.read_arm("cancel")
    assert cancel.call_id == call.call_id


async def test_a_caller_that_goes_away_has_its_call_cancelled_at_the_other_end(sites: Sites):
    here, there = await sites.open(), await sites.open()
    agent = await there.register("rules-0")
    await here.knows("rules-0")
    calling = here.invoke()
    call = await agent.next_call()
    calling.cancel()
    cancel = await agent.read_arm("cancel")
    assert (cancel.call_id, cancel.reason) == (call.call_id, "caller gone")


async def test_what_is_meant_for_another_coordinator_is_refused(sites: Sites):
    here = await sites.open()
    agent = await here.register("rules-0")
    request = invocation_pb2.InvokeRequest(capability=TOOL)
    error = await refusal(
        here.bus.invocation.Invoke(request, metadata=(("bellwire-meant-for", "f" * 32),), timeout=5)
    )
    assert error.reason == "NOT_OWNER"
    assert agent.registered.lease_id


async def test_a_call_is_passed_on_once(sites: Sites):
    """The agent goes while the call is on its way: the one asked does not pass it on to a third."""
    here, there, third = await sites.open(), await sites.open(), await sites.open()
    agent = await third.register("rules-0")
    await here.knows("rules-0")
    await there.knows("rules-0")
    request = invocation_pb2.InvokeRequest(capability=TOOL)
    meant_for = (("bellwire-meant-for", there.id),)
    error = await refusal(there.bus.invocation.Invoke(request, metadata=meant_for, timeout=5))
    assert isinstance(error, NoCapableAgentError)
    assert agent.registered.lease_id


async def test_a_coordinator_that_stops_takes_its_agents_out_at_once(sites: Sites):
    here, there = await sites.open(), await sites.open(group_lease_seconds=30)
    await there.register("rules-0")
    await here.knows("rules-0")
    await there.group.close()
    await here.knows()  # Long before its record would have ended.
    assert isinstance(await refusal(here.invoke()), NoCapableAgentError)


async def test_other_directories_on_the_same_redis_are_apart(sites: Sites):
    here, there = await sites.open(), await sites.open(agent_directory="apart-" + sites.directory)
    alone = await sites.open(agent_directory="")
    await there.register("rules-0")
    await alone.register("rules-0")
    await here.register("rules-0")
    assert [s.coordinator for s in await here.agents()] == [here.address]
    assert [s.coordinator for s in await there.agents()] == [there.address]
    assert [s.coordinator for s in await alone.agents()] == [""]
