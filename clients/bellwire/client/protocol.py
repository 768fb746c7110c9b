# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound each method keeps by itself.
"""What agents depend on: satisfied by the real client and by `bellwire.testing.InMemoryBus().client()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Literal, Protocol, Self

from bellwire.agent.v1.agent_pb2 import Agent
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_UNSPECIFIED, AckLevel
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_UNSPECIFIED,
    OVERFLOW_POLICY_UNSPECIFIED,
    Ordering,
    OverflowPolicy,
    StartPosition,
)
from bellwire.client._protocol_admin import BusAdmin
from bellwire.client._protocol_streams import (
    BusAgentStream,
    BusPublisher,
    BusReplay,
    BusSubscription,
)
from bellwire.client.results import CallReply, LatestMessage, ToolReply
from bellwire.client.settle_failure import SettleFailure
from bellwire.mcp.v1.mcp_pb2 import Tool

__all__ = [
    "BusAdmin",
    "BusAgentStream",
    "BusClient",
    "BusPublisher",
    "BusReplay",
    "BusSubscription",
    "SettleMode",
]

SettleMode = Literal["auto", "manual"]
"""auto: a delivery is accepted when the next one is asked for; manual: the caller settles each."""


class BusClient(Protocol):
    """One connection to the bus; opened by `async with`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @property
    def admin(self) -> BusAdmin:
        """Topics, subscriptions, dead letters, agents and the server itself."""
        ...

    def publisher(
        self,
        source: str = "",
        *,
        ack_level: AckLevel.ValueType = ACK_LEVEL_UNSPECIFIED,
        producer_name: str = "",
    ) -> BusPublisher:
        """Return the publisher for a source; the same one each time."""
        ...

    def subscribe(
        self,
        *topics: str,
        subscription: str = "",
        settle: SettleMode = "auto",
        start: StartPosition | None = None,
        window_messages: int | None = None,
        window_bytes: int | None = None,
        max_batch_messages: int = 0,
        ordering: Ordering.ValueType = ORDERING_UNSPECIFIED,
        overflow_policy: OverflowPolicy.ValueType = OVERFLOW_POLICY_UNSPECIFIED,
        max_attempts: int = 0,
        lease_seconds: float | None = None,
        direct: bool = False,
        on_settle_failure: Callable[[SettleFailure], None] | None = None,
    ) -> BusSubscription:
        """Return a subscription to topics or patterns; nothing is sent before `async with`."""
        ...

    def replay(
        self,
        *topics: str,
        start: StartPosition | None = None,
        until_time_unix_nano: int = 0,
        speed: float = 1.0,
    ) -> BusReplay:
        """Return a stretch of the log again, at its own pace or faster."""
        ...

    async def latest(
        self, topic: str, *keys: str, timeout: float | None = None
    ) -> dict[str, LatestMessage]:
        """Return the last message of each key, of a topic whose last messages are kept."""
        ...

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
        """Call a capability of one agent and wait for its answer."""
        ...

    async def list_tools(self, *, timeout: float | None = None) -> list[Tool]:
        """List the tools of all live agents, ordered by name."""
        ...

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, object] | bytes = b"{}",
        *,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ToolReply:
        """Call a tool the way MCP does."""
        ...

    def agent_stream(self, agent: Agent, *, lease_seconds: float = 10.0) -> BusAgentStream:
        """Return the stream that registers an agent; nothing is sent before `async with`."""
        ...

    async def close(self) -> None:
        """Flush, end every stream and close every channel."""
        ...
