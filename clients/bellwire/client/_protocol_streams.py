# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound each method keeps by itself.
"""What brings and takes messages, as agents depend on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from google.protobuf.message import Message as ProtoMessage

from bellwire.agent.v1.agent_pb2 import LoadReport
from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.agent_events import AgentEvent
from bellwire.client.received import Batch, ReceivedMessage
from bellwire.client.results import PublishedRange, PublishResult
from bellwire.client.settle_failure import SettleFailure


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
