"""Agents at a real server: leases, calls, deadlines, losses, and who gets the next call."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import grpc
import pytest
from tests.integration.coordinator.frames import (
    AgentStream,
    Duplex,
    Stubs,
    dial,
    eventually,
    refusal,
    within,
)

from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.bus.v1.error_pb2 import ItemError
from bellwire.mcp.v1 import mcp_pb2
from bellwire.testing.server import running_coordinator
from bellwire.wire.errors import (
    AgentBusyError,
    AgentExistsError,
    AgentFailedError,
    AgentLostError,
    BellwireError,
    CallerError,
    CapacityError,
    DeadlineExceededError,
    LeaseExpiredError,
    NoCapableAgentError,
    PayloadTooLargeError,
    StatusCode,
    UnknownAgentError,
    UnknownFrameError,
    UnknownToolError,
)

pytestmark = pytest.mark.integration

TOOL = "explain_last_signal"


def invoke(bus: Stubs, capability: str = TOOL, **fields: Any) -> Any:
    """An Invoke under way."""
    timeout = fields.pop("timeout", None)
    request = invocation_pb2.InvokeRequest(capability=capability, **fields)
    return bus.invocation.Invoke(request, timeout=timeout)


def call_tool(bus: Stubs, name: str = TOOL, **fields: Any) -> Any:
    """A CallTool under way."""
    return bus.mcp.CallTool(mcp_pb2.CallToolRequest(name=name, **fields))


async def agents(bus: Stubs) -> list[agent_pb2.AgentStatus]:
    """The directory."""
    return list((await within(bus.agents.ListAgents(agent_pb2.ListAgentsRequest()))).agents)


# ---------------------------------------------------------------- the directory


async def test_a_registered_agent_is_in_the_directory_until_its_stream_ends(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL, name="rules", lease_millis=2_000)
    assert agent.registered.lease_millis == 2_000
    (status,) = await agents(bus)
    assert (status.agent.agent_id, status.agent.name) == ("rules-0", "rules")
    assert status.lease_expire_time_unix_nano > time.time_ns()
    await agent.finish()
    assert await agents(bus) == []


async def test_load_reports_are_shown(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0")
    await agent.send(load_report=agent_pb2.LoadReport(queue_depth=7, restarts=2))
    (found,) = await eventually(lambda: agents(bus), lambda found: found[0].load.queue_depth)
    assert (found.load.queue_depth, found.load.restarts) == (7, 2)


async def test_the_directory_can_be_read_by_capability_and_by_page(bus: Stubs):
    streams = [await AgentStream(bus).open(f"a{n}", TOOL if n % 2 else "other") for n in range(5)]
    request = agent_pb2.ListAgentsRequest(capability=TOOL)
    found = (await within(bus.agents.ListAgents(request))).agents
    assert [status.agent.agent_id for status in found] == ["a1", "a3"]
    first = await within(bus.agents.ListAgents(agent_pb2.ListAgentsRequest(page_size=3)))
    rest = await within(
        bus.agents.ListAgents(agent_pb2.ListAgentsRequest(page_token=first.next_page_token))
    )
    assert [status.agent.agent_id for status in (*first.agents, *rest.agents)] == [
        "a0", "a1", "a2", "a3", "a4",
    ]  # fmt: skip
    assert len(streams) == 5


async def test_an_agent_nobody_knows_is_refused_by_name(bus: Stubs):
    for ask in (
        bus.agents.GetAgent(agent_pb2.GetAgentRequest(agent_id="ghost")),
        bus.agents.DrainAgent(agent_pb2.DrainAgentRequest(agent_id="ghost")),
    ):
        error = await refusal(ask)
        assert isinstance(error, UnknownAgentError)
        assert error.metadata == {"agent_id": "ghost"}


async def test_a_second_agent_of_the_same_id_is_refused_and_the_first_lives_on(bus: Stubs):
    first = await AgentStream(bus).open("rules-0", TOOL)
    second = Duplex(bus.agents.Connect(), agent_pb2.ConnectRequest)
    agent = agent_pb2.Agent(agent_id="rules-0")
    await second.send(register=agent_pb2.Register(agent=agent))
    assert isinstance(await second.ended_with(), AgentExistsError)
    calling = invoke(bus)
    await first.answer(await first.next_call())
    await within(calling)


async def test_a_malformed_registration_is_refused(bus: Stubs):
    stream = Duplex(bus.agents.Connect(), agent_pb2.ConnectRequest)
    await stream.send(register=agent_pb2.Register(agent=agent_pb2.Agent(agent_id="a b")))
    error = await stream.ended_with()
    assert isinstance(error, CallerError)
    assert "agent_id 'a b' is not allowed" in error.message


async def test_a_stream_must_begin_with_register_and_only_once(bus: Stubs):
    early = Duplex(bus.agents.Connect(), agent_pb2.ConnectRequest)
    await early.send(heartbeat=agent_pb2.AgentHeartbeat())
    assert "is `heartbeat`: it must be `register`" in (await early.ended_with()).message
    twice = await AgentStream(bus).open("a")
    await twice.send(register=agent_pb2.Register())
    assert "`register` came twice" in (await twice.ended_with()).message
    assert await agents(bus) == []


@pytest.mark.parametrize("started", [False, True], ids=["as first frame", "in mid-stream"])
async def test_an_unknown_arm_ends_its_stream_and_its_calls_are_told(bus: Stubs, started: bool):
    raw = bus.channel.stream_stream(
        "/bellwire.agent.v1.AgentService/Connect",
        request_serializer=lambda data: data,
        response_deserializer=agent_pb2.ConnectResponse.FromString,
    )()
    stream = Duplex(raw, bytes)
    calling = None
    if started:
        capability = agent_pb2.Capability(name=TOOL, kind=agent_pb2.CAPABILITY_KIND_TOOL)
        agent = agent_pb2.Agent(agent_id="a", capabilities=[capability])
        frame = agent_pb2.ConnectRequest(register=agent_pb2.Register(agent=agent))
        await within(raw.write(frame.SerializeToString()))
        await stream.read_arm("registered")
        calling = invoke(bus)
        await stream.read_arm("call")
    await within(raw.write(b"\xa2\x06\x01x"))  # Field 100, length-delimited.
    assert isinstance(await stream.ended_with(), UnknownFrameError)
    if calling is not None:
        assert isinstance(await refusal(calling), AgentLostError)


# ---------------------------------------------------------------- leases


async def test_a_silent_agent_loses_its_lease(bus: Stubs):
    agent = await AgentStream(bus).open("silent", TOOL, lease_millis=1_000)
    error = await agent.ended_with()
    assert isinstance(error, LeaseExpiredError)
    assert "'silent' sent nothing for 1 s" in error.message
    assert await agents(bus) == []


async def test_a_silent_agent_loses_its_lease_though_calls_keep_coming(bus: Stubs):
    await AgentStream(bus).open("stuck", TOOL, lease_millis=1_000)
    loop = asyncio.get_running_loop()
    began = loop.time()
    reasons = set()
    while "NO_CAPABLE_AGENT" not in reasons:
        reasons.add((await refusal(invoke(bus, timeout=0.05))).reason)
        assert loop.time() - began < 5, "an agent that hangs must not be called for ever"
    assert loop.time() - began >= 0.9


async def test_any_frame_renews_a_lease(bus: Stubs):
    agent = await AgentStream(bus).open("alive", TOOL, lease_millis=1_000)
    loop = asyncio.get_running_loop()
    until = loop.time() + 1.5
    while loop.time() < until:
        await agent.read_arm("heartbeat")
        await agent.send(heartbeat=agent_pb2.AgentHeartbeat())
    assert [status.agent.agent_id for status in await agents(bus)] == ["alive"]


# ---------------------------------------------------------------- calls


async def test_a_call_reaches_the_agent_and_its_result_the_caller(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL)
    calling = invoke(bus, arguments=b'{"symbol":"EURUSD"}', traceparent="00-t", timeout=5)
    call = await agent.next_call()
    assert (call.capability, call.arguments) == (TOOL, b'{"symbol":"EURUSD"}')
    assert (call.content_type, call.attempt, call.traceparent) == ("application/json", 1, "00-t")
    assert 0 < call.deadline_unix_nano - time.time_ns() < 5.1e9
    await agent.answer(call, b'{"why":"gap"}')
    reply = await within(calling)
    assert (reply.result, reply.agent_id, reply.is_error) == (b'{"why":"gap"}', "rules-0", False)
    assert reply.content_type == "application/json"


async def test_many_calls_are_answered_in_any_order(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL, max_in_flight=50)
    calling = [invoke(bus, arguments=str(n).encode()) for n in range(20)]
    calls = [await agent.next_call() for _ in calling]
    for call in reversed(calls):
        await agent.answer(call, call.arguments)
    assert [(await within(one)).result for one in calling] == [str(n).encode() for n in range(20)]


async def test_without_an_agent_the_call_is_refused_and_may_be_tried_again(bus: Stubs):
    error = await refusal(invoke(bus))
    assert isinstance(error, NoCapableAgentError)
    assert error.retryable
    assert error.metadata == {"capability": TOOL}


async def test_an_agent_that_takes_too_long_is_told_to_stop():
    async with running_coordinator(call_timeout_seconds=0.05) as server, dial(server.tcp) as bus:
        agent = await AgentStream(bus).open("slow", TOOL)
        calling = invoke(bus)
        call = await agent.next_call()
        error = await refusal(calling)
        assert isinstance(error, DeadlineExceededError)
        assert "did not answer 'explain_last_signal' within 0.05 s" in error.message
        assert error.metadata == {"agent_id": "slow", "capability": TOOL}
        cancel = await agent.read_arm("cancel")
        assert (cancel.call_id, cancel.reason) == (call.call_id, "deadline")
        await agent.answer(call, b"late")  # Nobody reads it, and nothing breaks.
        again = invoke(bus, timeout=5)
        await agent.answer(await agent.next_call(), b'"in time"')
        assert (await within(again)).result == b'"in time"'


async def test_a_caller_that_leaves_stops_its_call(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL)
    calling = invoke(bus)
    call = await agent.next_call()
    calling.cancel()
    cancel = await agent.read_arm("cancel")
    assert (cancel.call_id, cancel.reason) == (call.call_id, "caller gone")
    request = agent_pb2.GetAgentRequest(agent_id="rules-0")
    assert (await within(bus.agents.GetAgent(request))).agent.in_flight == 0


@pytest.mark.parametrize("how", ["finish", "cancel"])
async def test_calls_of_an_agent_that_goes_away_are_told_and_not_tried_again(
    server, bus: Stubs, how: str
):
    async with dial(server.tcp) as other:
        agent = await AgentStream(other).open("rules-0", TOOL)
        calling = [invoke(bus) for _ in range(3)]
        for _ in calling:
            await agent.next_call()
        await agent.finish() if how == "finish" else agent.cancel()
        for one in calling:
            error = await refusal(one)
            assert isinstance(error, AgentLostError)
            assert not error.retryable
            assert "whether it did the work is unknown" in error.message
            assert error.metadata == {"agent_id": "rules-0"}


async def test_an_agent_can_fail_a_call_in_its_own_words(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL)

    async def failing(item: ItemError) -> BellwireError:
        calling = invoke(bus)
        call = await agent.next_call()
        await agent.send(result=agent_pb2.CallResult(call_id=call.call_id, error=item))
        return await refusal(calling)

    own = await failing(ItemError(code=9, reason="MARKET_CLOSED", message="opens at 8"))
    assert (own.reason, own.code) == ("MARKET_CLOSED", StatusCode.FAILED_PRECONDITION)
    assert (own.message, own.metadata) == ("opens at 8", {"agent_id": "rules-0"})
    bare = await failing(ItemError(message="no idea"))
    assert isinstance(bare, AgentFailedError)
    assert bare.message == "no idea"
    flood = ItemError(
        code=9, reason="R" * 5_000, message="ä" * 50_000, metadata={"k": "v" * 50_000}
    )
    assert (await failing(flood)).message.startswith("ää")


async def test_a_result_larger_than_calls_carry_is_a_failure_of_the_agent(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL)
    for calling in (invoke(bus), call_tool(bus)):
        await agent.answer(await agent.next_call(), bytes((1 << 20) + 1))
        error = await refusal(calling)
        assert isinstance(error, AgentFailedError)
        assert "with 1048577 bytes, limit is 1048576" in error.message
    calling = call_tool(bus)
    await agent.answer(await agent.next_call(), b'"' + b'\\"' * ((1 << 19) - 1) + b'"')
    assert (await within(calling)).content


async def test_a_tool_that_fails_is_an_answer_not_an_error(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL)
    calling = invoke(bus)
    await agent.answer(await agent.next_call(), b'"no signal yet"', is_error=True)
    assert (await within(calling)).is_error


async def test_calls_go_to_the_least_loaded_agent(bus: Stubs):
    busy = await AgentStream(bus).open("busy", TOOL, max_in_flight=8)
    idle = await AgentStream(bus).open("idle", TOOL, max_in_flight=8)
    await busy.send(load_report=agent_pb2.LoadReport(queue_depth=8))
    await eventually(lambda: agents(bus), lambda found: found[0].load.queue_depth)
    calling = [invoke(bus) for _ in range(6)]
    for _ in calling:
        await idle.answer(await idle.next_call())
    assert {(await within(one)).agent_id for one in calling} == {"idle"}


async def test_a_full_agent_is_busy_and_a_drained_one_gets_nothing_new(bus: Stubs):
    agent = await AgentStream(bus).open("one", TOOL, max_in_flight=1)
    calling = invoke(bus)
    call = await agent.next_call()
    error = await refusal(invoke(bus))
    assert isinstance(error, AgentBusyError)
    assert error.retry_delay_seconds
    drained = await within(bus.agents.DrainAgent(agent_pb2.DrainAgentRequest(agent_id="one")))
    assert drained.in_flight == 1
    await agent.answer(call, b'"finished"')
    assert (await within(calling)).result == b'"finished"'
    assert isinstance(await refusal(invoke(bus)), AgentBusyError)


async def test_a_pinned_call_goes_to_the_agent_named_or_to_nobody(bus: Stubs):
    streams = {name: await AgentStream(bus).open(name, TOOL) for name in ("a", "b")}
    routing = invocation_pb2.Routing(policy=invocation_pb2.ROUTING_POLICY_PINNED, agent_id="b")
    calling = invoke(bus, routing=routing)
    await streams["b"].answer(await streams["b"].next_call())
    assert (await within(calling)).agent_id == "b"
    routing.agent_id = "ghost"
    assert isinstance(await refusal(invoke(bus, routing=routing)), NoCapableAgentError)


@pytest.mark.parametrize(
    ("fields", "cls", "words"),
    [
        ({"capability": ""}, CallerError, "call names no capability"),
        ({"arguments": bytes((1 << 20) + 1)}, PayloadTooLargeError, "hold 1048577 bytes, limit is"),
        ({"capability": "x" * 100_000}, NoCapableAgentError, "no live agent has 'xxx"),
        (
            {"routing": {"policy": 9}},
            CallerError,
            "routing policy 9 is not known",
        ),
    ],
    ids=["none", "large", "endless name", "policy"],
)
async def test_a_call_that_cannot_be_is_refused_in_words(bus: Stubs, fields, cls, words):
    await AgentStream(bus).open("rules-0", TOOL)
    error = await refusal(invoke(bus, **fields))
    assert isinstance(error, cls)
    assert words in error.message


async def test_calls_in_flight_are_bounded():
    async with running_coordinator(calls_in_flight_max=1) as server, dial(server.tcp) as bus:
        agent = await AgentStream(bus).open("rules-0", TOOL)
        calling = invoke(bus)
        call = await agent.next_call()
        error = await refusal(invoke(bus))
        assert isinstance(error, CapacityError)
        assert "1 calls are in flight, that is the limit" in error.message
        await agent.answer(call)
        await within(calling)


# ---------------------------------------------------------------- the same as MCP


async def test_tools_are_listed_with_schema_and_number_of_agents(bus: Stubs):
    streams = [await AgentStream(bus).open(name, TOOL, "a_tool") for name in ("a", "b")]
    assert len(streams) == 2
    listed = await within(bus.mcp.ListTools(mcp_pb2.ListToolsRequest()))
    assert [(tool.name, tool.agents) for tool in listed.tools] == [("a_tool", 2), (TOOL, 2)]
    assert json.loads(listed.tools[0].input_schema_json) == {"type": "object"}
    assert listed.ttl_millis


@pytest.mark.parametrize(
    ("result", "text", "structured"),
    [
        (b'{"why": "gap"}', '{"why": "gap"}', b'{"why": "gap"}'),
        (b'"plain words"', "plain words", b""),
        (b"[1, 2]", "[1, 2]", b"[1, 2]"),
        (b"no json", "no json", b""),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}", b""),
        (b"[" * 100_000, "[" * 100_000, b""),
    ],
    ids=["object", "string", "array", "no json", "no text", "deep nonsense"],
)
async def test_a_tool_is_called_and_its_result_is_text_and_structure(
    bus: Stubs, result: bytes, text: str, structured: bytes
):
    agent = await AgentStream(bus).open("rules-0", TOOL)
    calling = call_tool(bus)
    call = await agent.next_call()
    assert call.arguments == b"{}"
    await agent.answer(call, result)
    reply = await within(calling)
    assert json.loads(reply.content[0].content_json) == {"type": "text", "text": text}
    assert reply.structured_content_json == structured
    assert (reply.result_type, reply.agent_id) == (mcp_pb2.RESULT_TYPE_COMPLETE, "rules-0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (b"{", "is no JSON that can be read"),
        (b"\xff", "is no JSON that can be read"),
        (b"[1]", "is a JSON list, an object is expected"),
        (b"[" * 500_000, "is no JSON that can be read"),
    ],
    ids=["cut", "no text", "array", "nested beyond reason"],
)
async def test_arguments_that_are_no_object_are_refused_in_words(bus: Stubs, arguments, words):
    agent = await AgentStream(bus).open("rules-0", TOOL)
    error = await refusal(call_tool(bus, arguments_json=arguments))
    assert type(error) is CallerError
    assert words in error.message
    calling = call_tool(bus)
    await agent.answer(await agent.next_call())
    await within(calling)


async def test_an_unknown_tool_is_refused_with_the_code_of_mcp(bus: Stubs):
    calling = call_tool(bus, "ghost")
    error = await refusal(calling)
    assert isinstance(error, UnknownToolError)
    assert "no live agent has a tool 'ghost'" in error.message
    trailers = dict(await calling.trailing_metadata())
    assert trailers["mcp-error-code"] == "-32602"


async def test_another_mcp_revision_is_refused_with_the_one_spoken(bus: Stubs):
    meta = mcp_pb2.RequestMeta(protocol_version="2024-11-05")
    for calling in (
        bus.mcp.ListTools(mcp_pb2.ListToolsRequest(meta=meta)),
        call_tool(bus, meta=meta),
    ):
        error = await refusal(calling)
        assert error.reason == "UNSUPPORTED_PROTOCOL_VERSION"
        assert error.metadata == {"supported": "2026-07-28"}
        assert dict(await calling.trailing_metadata())["mcp-error-code"] == "-32022"


async def test_a_tool_call_that_succeeds_has_no_error_code(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL)
    calling = call_tool(bus)
    await agent.answer(await agent.next_call())
    await within(calling)
    assert "mcp-error-code" not in dict(await calling.trailing_metadata())
    assert await calling.code() is grpc.StatusCode.OK
