"""Calls to capabilities and tools of agents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from bellwire.agent.v1.invocation_pb2 import (
    ROUTING_POLICY_PINNED,
    ROUTING_POLICY_UNSPECIFIED,
    InvokeRequest,
    Routing,
)
from bellwire.agent.v1.invocation_pb2_grpc import InvocationServiceStub
from bellwire.client._trace import current_context
from bellwire.client._unary import read, request
from bellwire.client.results import CallReply, ToolReply
from bellwire.mcp.v1.mcp_pb2 import CallToolRequest, ListToolsRequest, RequestMeta, Tool
from bellwire.mcp.v1.mcp_pb2_grpc import McpServiceStub
from bellwire.transport.channel import ChannelPool

if TYPE_CHECKING:
    from bellwire.agent.v1.invocation_pb2_grpc import InvocationServiceAsyncStub
    from bellwire.mcp.v1.mcp_pb2_grpc import McpServiceAsyncStub

JSON: Final = "application/json"


def encoded(arguments: Mapping[str, object] | bytes) -> bytes:
    """Return arguments as UTF-8 JSON; bytes are taken as they are."""
    return arguments if isinstance(arguments, bytes) else json.dumps(dict(arguments)).encode()


class Caller:
    """Sends calls."""

    def __init__(self, pool: ChannelPool) -> None:
        self._pool = pool
        self._stubs: tuple[InvocationServiceAsyncStub, McpServiceAsyncStub] | None = None

    async def call(
        self,
        capability: str,
        arguments: Mapping[str, object] | bytes,
        agent_id: str,
        traceparent: str,
        tracestate: str,
        request_id: str,
        seconds: float,
        content_type: str = JSON,
    ) -> CallReply:
        """Call a capability; the deadline travels with the call."""
        if not traceparent:
            traceparent, tracestate = current_context()
        policy = ROUTING_POLICY_PINNED if agent_id else ROUTING_POLICY_UNSPECIFIED
        response = await request(
            self._services()[0].Invoke,
            InvokeRequest(
                capability=capability,
                arguments=encoded(arguments),
                content_type=content_type,
                routing=Routing(policy=policy, agent_id=agent_id),
                request_id=request_id,
                traceparent=traceparent,
                tracestate=tracestate,
            ),
            seconds,
            f"the answer to {capability!r} through {self._pool.address}",
        )
        return CallReply(
            response.result,
            response.content_type,
            response.is_error,
            response.agent_id,
            response.duration_micros,
            response.replayed,
            response.cache_level,
        )

    async def list_tools(self, seconds: float) -> list[Tool]:
        """List the tools of all live agents."""
        tools: list[Tool] = []
        cursor = ""
        while True:
            page = await read(
                self._services()[1].ListTools,
                ListToolsRequest(cursor=cursor),
                seconds,
                f"the tools of {self._pool.address}",
            )
            tools += page.tools
            cursor = page.next_cursor
            if not cursor:
                return tools

    async def call_tool(
        self, name: str, arguments: Mapping[str, object] | bytes, request_id: str, seconds: float
    ) -> ToolReply:
        """Call a tool the way MCP does."""
        traceparent, tracestate = current_context()
        response = await request(
            self._services()[1].CallTool,
            CallToolRequest(
                meta=RequestMeta(traceparent=traceparent, tracestate=tracestate),
                name=name,
                arguments_json=encoded(arguments),
                request_id=request_id,
            ),
            seconds,
            f"the answer of tool {name!r} through {self._pool.address}",
        )
        return ToolReply(response)

    def _services(self) -> tuple[InvocationServiceAsyncStub, McpServiceAsyncStub]:
        """Return the stubs, made once: each costs more than the call it makes."""
        if self._stubs is None:
            channel = self._pool.first()
            self._stubs = (InvocationServiceStub(channel), McpServiceStub(channel))
        return self._stubs
