"""A coordinator killed, or hung, while others have passed calls on to it: each call ends, and in time."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from tests.integration.cluster.processes import Served, ServedGroup
from tests.integration.coordinator.frames import (
    AgentStream,
    Stubs,
    dial,
    eventually,
    refusal,
    within,
)
from tests.integration.federation.conftest import TOOL

from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.mcp.v1 import mcp_pb2
from bellwire.testing.redis import RunningRedis
from bellwire.transport.status import error_from_rpc
from bellwire.wire.errors import (
    AgentLostError,
    DeadlineExceededError,
    NoCapableAgentError,
    UnknownToolError,
)

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(120)]

CALLS = 50
CALLERS = 8


def own_topics() -> tuple[str, ...]:
    """Arguments of a group that shares a Redis with others: of those without topics there may be one."""
    return ("--topics", f"t-{uuid4().hex}.>")


@pytest.fixture
async def groups(
    kafka: str, redis_noeviction: RunningRedis, tmp_path: Path
) -> AsyncIterator[list[ServedGroup]]:
    """Two groups of one coordinator each, as processes, with one directory."""
    directory = ("--set", f"coordinator.agent_directory=d-{uuid4().hex}")
    made = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        made.append(ServedGroup(folder, kafka, redis_noeviction.url, 1, *own_topics(), *directory))
    try:
        yield made
    finally:
        for group in made:
            await group.stop()


async def started(groups: list[ServedGroup]) -> tuple[Served, Served]:
    here, there = await asyncio.gather(*(group.start() for group in groups))
    return here, there


def invoke(bus: Stubs, timeout: float = 10.0) -> Any:
    return bus.invocation.Invoke(invocation_pb2.InvokeRequest(capability=TOOL), timeout=timeout)


def call_tool(bus: Stubs) -> Any:
    return bus.mcp.CallTool(mcp_pb2.CallToolRequest(name=TOOL), timeout=10)


async def known(bus: Stubs, count: int) -> None:
    async def agents() -> int:
        return len((await within(bus.agents.ListAgents(agent_pb2.ListAgentsRequest()))).agents)

    await eventually(agents, lambda found: found == count)


async def test_killed_under_calls_each_is_lost_at_once_and_no_other_is_sent(
    groups: list[ServedGroup], capsys: pytest.CaptureFixture[str]
):
    here, there = await started(groups)
    async with dial(here.address) as bus, dial(there.address) as other:
        agent = await AgentStream(other).open("rules-0", TOOL, max_in_flight=CALLS)
        await known(bus, 1)
        calls = [asyncio.ensure_future(refusal(invoke(bus))) for _ in range(CALLS)]
        for _ in range(CALLS):
            await agent.next_call()
        began = time.monotonic()
        await there.kill()
        errors = await asyncio.gather(*calls)
        took = time.monotonic() - began
        assert Counter(type(error) for error in errors) == {AgentLostError: CALLS}
        assert all("unknown" in error.message for error in errors)
        assert {error.metadata["coordinator"] for error in errors} == {there.address}
        later = await refusal(invoke(bus))
        assert isinstance(later, NoCapableAgentError)
        await known(bus, 0)
        # As MCP has it: the tool is unknown only when no agent has it any more.
        assert isinstance(await refusal(call_tool(bus)), UnknownToolError)
    with capsys.disabled():
        print(f"\nkilled under {CALLS} calls: all lost within {took:.2f} s")


async def test_killed_under_load_every_call_ends_in_an_answer_or_a_clear_error(
    groups: list[ServedGroup], capsys: pytest.CaptureFixture[str]
):
    here, there = await started(groups)
    ends: Counter[str] = Counter()
    slowest = 0.0
    stop = asyncio.Event()
    async with dial(here.address) as bus, dial(there.address) as other:
        mine = await AgentStream(bus).open("mine", TOOL, max_in_flight=2)
        theirs = await AgentStream(other).open("theirs", TOOL, max_in_flight=CALLERS)
        await known(bus, 2)

        async def serve(agent: AgentStream) -> None:
            with suppress(AssertionError, grpc.aio.AioRpcError, asyncio.CancelledError):
                while True:
                    await agent.answer(await agent.next_call())

        async def load() -> None:
            nonlocal slowest
            while not stop.is_set():
                began = time.monotonic()
                try:
                    ends[(await invoke(bus)).agent_id] += 1
                except grpc.aio.AioRpcError as error:
                    ends[error_from_rpc(error).reason] += 1
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0)

        async def answered() -> int:
            await asyncio.sleep(0.01)
            return ends["theirs"]

        async def answered_here() -> int:
            await asyncio.sleep(0.01)
            return ends["mine"]

        serving = [asyncio.create_task(serve(agent)) for agent in (mine, theirs)]
        callers = [asyncio.create_task(load()) for _ in range(CALLERS)]
        await eventually(answered, lambda count: count > 200, 30)
        await there.kill()
        before = ends["mine"]
        await eventually(answered_here, lambda count: count > before + 200, 30)
        stop.set()
        await within(asyncio.gather(*callers), 15)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)
    with capsys.disabled():
        print(f"\nkilled under load: {dict(ends)}, slowest call {slowest:.2f} s")
    assert set(ends) <= {"mine", "theirs", "AGENT_LOST", "AGENT_BUSY", "NO_CAPABLE_AGENT"}
    assert ends["AGENT_LOST"] <= CALLERS
    assert slowest < 5


async def test_hung_a_call_ends_with_its_deadline(groups: list[ServedGroup]):
    here, there = await started(groups)
    async with dial(here.address) as bus, dial(there.address) as other:
        agent = await AgentStream(other).open("rules-0", TOOL)
        await known(bus, 1)
        calling = invoke(bus)
        await agent.answer(await agent.next_call())
        await within(calling)
        there.send(signal.SIGSTOP)
        try:
            error = await refusal(invoke(bus, timeout=0.5))
            assert isinstance(error, DeadlineExceededError)
            # Its record ends: then nobody waits for it.
            await known(bus, 0)
            assert isinstance(await refusal(invoke(bus)), NoCapableAgentError)
        finally:
            there.send(signal.SIGCONT)
        await known(bus, 1)


async def test_agents_of_a_killed_coordinator_register_with_the_next_one_at_once(
    kafka: str, redis_noeviction: RunningRedis, tmp_path: Path
):
    directory = ("--set", f"coordinator.agent_directory=d-{uuid4().hex}")
    group = ServedGroup(tmp_path, kafka, redis_noeviction.url, 2, *own_topics(), *directory)
    try:
        active = await group.start()
        async with dial(active.address) as bus:
            await AgentStream(bus).open("rules-0", TOOL)
            await active.kill()
        following = await group.active(but=active)
        async with dial(following.address) as bus:
            agent = await AgentStream(bus).open("rules-0", TOOL)
            calling = invoke(bus)
            await agent.answer(await agent.next_call())
            assert (await within(calling)).agent_id == "rules-0"
    finally:
        await group.stop()
