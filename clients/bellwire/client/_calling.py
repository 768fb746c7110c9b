# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound each method keeps by itself.
"""The part of a client that calls agents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from bellwire.client._caller import Caller
from bellwire.client.results import CallReply, ToolReply
from bellwire.client.settings import ClientSettings
from bellwire.mcp.v1.mcp_pb2 import Tool
from bellwire.transport.channel import ChannelPool

__all__ = ["Calling"]


class Calling(ABC):
    """Calls capabilities and tools over a pool of channels.

    Attributes:
        settings: Of the client.
    """

    def __init__(self, pool: ChannelPool, settings: ClientSettings) -> None:
        self.settings = settings
        self._caller = Caller(pool)

    async def call(
        self,
        capability: str,
        arguments: Mapping[str, object] | bytes = b"{}",
        *,
        content_type: str = "application/json",
        agent_id: str = "",
        traceparent: str = "",
        tracestate: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> CallReply:
        """Call a capability of the least loaded agent that has it, or of one agent.

        Args:
            capability: Name of a tool or an inference endpoint.
            arguments: JSON object; bytes are sent as they are.
            content_type: Media type of the arguments.
            agent_id: That agent or nobody; empty = any.
            traceparent: The caller's context; empty = the current span, where it is sampled.
            tracestate: Goes with the traceparent.
            request_id: The same call again under this id gets the stored answer for a day, marked
                `replayed`; at most 128 bytes. A call that ended in an error may be made again.
            timeout: Seconds until the call is given up; the agent is told.

        Raises:
            NoCapableAgentError: No live agent has the capability.
            AgentFailedError: The agent answered with an error.
            AgentLostError: The agent went away; whether it did the work is unknown.
            DeadlineExceededError: No answer in time.
        """
        self._check_open()
        seconds = self._seconds(timeout)
        return await self._caller.call(
            capability,
            arguments,
            agent_id,
            traceparent,
            tracestate,
            request_id,
            seconds,
            content_type,
        )

    async def list_tools(self, *, timeout: float | None = None) -> list[Tool]:
        """List the tools of all live agents, ordered by name."""
        self._check_open()
        return await self._caller.list_tools(self._seconds(timeout))

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, object] | bytes = b"{}",
        *,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ToolReply:
        """Call a tool the way MCP does: a failure of the tool itself is a reply with `is_error`.

        With a `request_id` the same call again gets the stored answer, as with `call`.

        Raises:
            UnknownToolError: No live agent has a tool of that name.
            DeadlineExceededError: No answer in time.
        """
        self._check_open()
        return await self._caller.call_tool(name, arguments, request_id, self._seconds(timeout))

    @abstractmethod
    def _check_open(self) -> None:
        """Refuse what comes after the end.

        Raises:
            ClosedError: The client is closed.
        """

    def _seconds(self, timeout: float | None) -> float:
        return self.settings.timeout_seconds if timeout is None else timeout
