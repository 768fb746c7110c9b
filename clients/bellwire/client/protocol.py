# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound each method keeps by itself.
"""What agents depend on: satisfied by the real client and by `bellwire.testing.InMemoryBus().client()`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Literal, Protocol, Self

from google.protobuf.message import Message as ProtoMessage

from bellwire.admin.v1.dead_letter_pb2 import (
    DeadLetter,
    DeadLetterFilter,
    PurgeDeadLettersResponse,
    RedriveDeadLettersResponse,
)
from bellwire.admin.v1.server_pb2 import GetServerInfoResponse
from bellwire.admin.v1.topic_pb2 import GetTopicStatsResponse, Topic
from bellwire.agent.v1.agent_pb2 import Agent, AgentStatus, LoadReport
from bellwire.bus.v1.message_pb2 import Message, Position
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_UNSPECIFIED, AckLevel
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_UNSPECIFIED,
    OVERFLOW_POLICY_UNSPECIFIED,
    Ordering,
    OverflowPolicy,
    StartPosition,
)
from bellwire.client.agent_events import AgentEvent
from bellwire.client.received import Batch, ReceivedMessage
from bellwire.client.results import CallReply, PublishedRange, PublishResult, ToolReply
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


class BusPublisher(Protocol):
    """Brings messages onto the bus."""

    async def publish(
        self,
        topic: str,
        payload: bytes | ProtoMessage,
        *,
        key: str = "",
        type: str = "",
        subject: str = "",
        time_unix_nano: int | None = None,
        expire_time_unix_nano: int = 0,
        not_before_time_unix_nano: int = 0,
        correlation_id: str = "",
        causation_id: str = "",
        traceparent: str = "",
        tracestate: str = "",
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> PublishResult:
        """Make one message, publish it and wait until it is acknowledged."""
        ...

    async def publish_message(
        self, topic: str, message: Message, *, timeout: float | None = None
    ) -> PublishResult:
        """Publish a ready message and wait until it is acknowledged."""
        ...

    async def publish_many(
        self, topic: str, messages: Sequence[Message], *, timeout: float | None = None
    ) -> list[PublishedRange]:
        """Publish many messages in order and wait until all are acknowledged."""
        ...

    async def publish_payloads(
        self,
        topic: str,
        payloads: Sequence[bytes],
        *,
        key: str = "",
        type: str = "",
        subject: str = "",
        time_unix_nano: int | None = None,
        expire_time_unix_nano: int = 0,
        not_before_time_unix_nano: int = 0,
        correlation_id: str = "",
        timeout: float | None = None,
    ) -> list[PublishedRange]:
        """Publish many payloads that share everything but their ids."""
        ...

    async def enqueue(
        self, topic: str, message: Message, *, timeout: float | None = None
    ) -> asyncio.Future[PublishResult]:
        """Wait only for room in the buffer; the future tells when the message is acknowledged."""
        ...

    async def publish_once(
        self,
        topic: str,
        messages: Sequence[Message],
        *,
        request_id: str,
        atomic: bool = False,
        timeout: float | None = None,
    ) -> list[PublishedRange]:
        """Publish messages once, however often this is called with the same `request_id`."""
        ...

    async def ready(self, *, timeout: float | None = None) -> None:
        """Open the stream, which is otherwise done with the first message."""
        ...

    async def flush(self, *, timeout: float | None = None) -> None:
        """Wait until everything handed over so far is acknowledged or refused."""
        ...


class BusSubscription(Protocol):
    """Brings messages from the bus; opened by `async with`."""

    @property
    def dropped_messages(self) -> int:
        """Messages dropped because this subscriber fell behind."""
        ...

    @property
    def settle_failures(self) -> Sequence[SettleFailure]:
        """The latest dispositions the coordinator refused, oldest first."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[ReceivedMessage]: ...

    def batches(self) -> AsyncIterator[Batch]:
        """Return the deliveries whole, as they were published where possible."""
        ...

    async def accept(self, delivered: ReceivedMessage | Batch) -> None:
        """End a delivery: it is done."""
        ...

    async def release(
        self, delivered: ReceivedMessage | Batch, *, delay_seconds: float = 0.0
    ) -> None:
        """Have it delivered again, to any member, not before the delay."""
        ...

    async def reject(self, delivered: ReceivedMessage | Batch, *, reason: str = "") -> None:
        """Dead-letter it."""
        ...

    async def renew(self, delivered: ReceivedMessage | Batch) -> None:
        """Begin its lease anew: whoever handles it needs more time."""
        ...

    async def pause(self) -> None:
        """Have nothing more delivered until `resume`; what was received before is handed over."""
        ...

    async def resume(self) -> None:
        """End a pause."""
        ...

    async def close(self) -> None:
        """Send what is settled and end the stream; what is not settled is delivered again."""
        ...


class BusReplay(Protocol):
    """A stretch of the log again, every batch marked `replayed`; there is nothing to settle."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[ReceivedMessage]: ...

    def batches(self) -> AsyncIterator[Batch]:
        """Return the deliveries whole."""
        ...

    async def close(self) -> None:
        """End it early."""
        ...


class BusAgentStream(Protocol):
    """Registers an agent and brings its calls; opened by `async with`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[AgentEvent]: ...

    async def send_load(self, report: LoadReport) -> None:
        """Tell how busy the agent is; only the latest report not sent yet is kept."""
        ...

    async def close(self) -> None:
        """Send the results that wait and end the lease."""
        ...


class BusAdmin(Protocol):
    """Looks after topics, subscriptions and dead letters, and tells what runs."""

    async def create_topic(
        self, topic: Topic, *, request_id: str = "", timeout: float | None = None
    ) -> Topic:
        """Create a topic; the same settings again are no error."""
        ...

    async def update_topic(
        self, topic: Topic, *, request_id: str = "", timeout: float | None = None
    ) -> Topic:
        """Change the settings of a topic."""
        ...

    async def get_topic(self, name: str, *, timeout: float | None = None) -> Topic:
        """Look one topic up."""
        ...

    async def delete_topic(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> None:
        """Delete a topic with its messages."""
        ...

    async def list_topics(self, pattern: str = "", *, timeout: float | None = None) -> list[Topic]:
        """List topics that match, ordered by name."""
        ...

    async def topic_stats(
        self, name: str, *, timeout: float | None = None
    ) -> GetTopicStatsResponse:
        """Count what happened in a topic since the coordinator started."""
        ...

    async def seek(
        self,
        subscription: str,
        position: StartPosition,
        *,
        topics: Sequence[str] = (),
        request_id: str = "",
        timeout: float | None = None,
    ) -> list[Position]:
        """Move a subscription; return the next offset to deliver, per partition."""
        ...

    async def delete_subscription(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> None:
        """Delete a named subscription with its cursors."""
        ...

    def dead_letters(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        page_size: int = 100,
        timeout: float | None = None,
    ) -> AsyncIterator[DeadLetter]:
        """Return the dead letters of a topic, oldest first, page by page as they are asked for."""
        ...

    async def redrive(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        dry_run: bool = False,
        max_messages: int = 0,
        up_to_id: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> RedriveDeadLettersResponse:
        """Redrive one page of dead letters."""
        ...

    async def redrive_all(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        limit: int | None = None,
        on_progress: Callable[[RedriveDeadLettersResponse], None] | None = None,
        timeout: float | None = None,
    ) -> RedriveDeadLettersResponse:
        """Redrive page after page until nothing that was there at the beginning remains."""
        ...

    async def purge(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        dry_run: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> PurgeDeadLettersResponse:
        """Delete dead letters."""
        ...

    async def list_agents(
        self, capability: str = "", *, timeout: float | None = None
    ) -> list[AgentStatus]:
        """List live agents, ordered by id."""
        ...

    async def server_info(self, *, timeout: float | None = None) -> GetServerInfoResponse:
        """Tell what runs at the other end, and how its store does."""
        ...


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

    async def call(
        self,
        capability: str,
        arguments: Mapping[str, object] | bytes = b"{}",
        *,
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
