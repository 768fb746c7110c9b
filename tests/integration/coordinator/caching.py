"""An agent whose tool says how often it was called, for tests of the cache."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import grpc
from tests.integration.coordinator.frames import AgentStream, Stubs, within

from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.mcp.v1 import mcp_pb2

TOOL: Final = "fair_value"
LONG: Final = 60_000
Respond = Callable[["CountingAgent", agent_pb2.Call], Awaitable[None]]


async def say_the_number(agent: CountingAgent, call: agent_pb2.Call) -> None:
    """Answer with the number of the call."""
    await agent.answer(call, json.dumps({"call": len(agent.calls)}).encode())


class CountingAgent(AgentStream):
    """Answers every call by itself.

    Attributes:
        calls: Those it got.
        cancelled: Ids of calls it was told to stop.
    """

    def __init__(self, stubs: Stubs, respond: Respond = say_the_number) -> None:
        super().__init__(stubs)
        self._respond = respond
        self.calls: list[agent_pb2.Call] = []
        self.cancelled: list[str] = []
        self.changed = asyncio.Event()

    async def register(
        self, agent_id: str, ttl_millis: int, outdated_by: tuple[str, ...] = (), **fields: Any
    ) -> None:
        """Register the tool; 0 ms = it is not cacheable."""
        capability = agent_pb2.Capability(name=TOOL, kind=agent_pb2.CAPABILITY_KIND_TOOL)
        if ttl_millis:
            capability.cache.ttl_millis = ttl_millis
            capability.cache.outdated_by.extend(outdated_by)
        fields = {"max_in_flight": 1_000, **fields}
        agent = agent_pb2.Agent(agent_id=agent_id, capabilities=[capability], **fields)
        await self.send(register=agent_pb2.Register(agent=agent))
        self.registered = await self.read_arm("registered")

    async def serve(self) -> None:
        """Answer until the stream ends."""
        with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            while (frame := await self.call.read()) is not grpc.aio.EOF:
                if frame.WhichOneof("frame") == "call":
                    self.calls.append(frame.call)
                    await self._respond(self, frame.call)
                elif frame.WhichOneof("frame") == "cancel":
                    self.cancelled.append(frame.cancel.call_id)
                self.changed.set()

    async def has(self, condition: Callable[[CountingAgent], bool]) -> None:
        """Wait until the agent has seen something."""

        async def seen() -> None:
            while not condition(self):
                self.changed.clear()
                await self.changed.wait()

        await within(seen())


@asynccontextmanager
async def counting_agent(
    stubs: Stubs,
    agent_id: str = "values-0",
    *,
    ttl_millis: int = LONG,
    outdated_by: tuple[str, ...] = (),
    respond: Respond = say_the_number,
    **fields: Any,
) -> AsyncIterator[CountingAgent]:
    """An agent that is registered, and gone at the end."""
    agent = CountingAgent(stubs, respond)
    await agent.register(agent_id, ttl_millis, outdated_by, **fields)
    task = asyncio.create_task(agent.serve())
    try:
        yield agent
    finally:
        agent.cancel()
        await task


async def invoke(
    stubs: Stubs, arguments: str = "{}", seconds: float | None = None, **fields: Any
) -> invocation_pb2.InvokeResponse:
    """Call the tool."""
    request = invocation_pb2.InvokeRequest(capability=TOOL, arguments=arguments.encode(), **fields)
    return await within(stubs.invocation.Invoke(request, timeout=seconds))


async def call_tool(stubs: Stubs, arguments: str = "{}", **fields: Any) -> mcp_pb2.CallToolResponse:
    """Call the tool the way MCP does."""
    request = mcp_pb2.CallToolRequest(name=TOOL, arguments_json=arguments.encode(), **fields)
    return await within(stubs.mcp.CallTool(request))


def number(reply: invocation_pb2.InvokeResponse) -> int:
    """The number of the call that a reply was made for."""
    found: int = json.loads(reply.result)["call"]
    return found
