# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound each method keeps by itself.
"""The publisher: makes messages and hands them to the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.message import Message as ProtoMessage

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client._group_outbox import GroupOutbox
from bellwire.client._outbox import Outbox
from bellwire.client._trace import current_context, traced
from bellwire.client._unary_publisher import UnaryPublisher
from bellwire.client.results import PublishedRange, PublishResult
from bellwire.wire.message import new_message
from bellwire.wire.payload_run import PayloadRun

__all__ = ["Publisher"]

CONTROL_PREFIX: Final = "control."


class Publisher:
    """Brings messages of one source onto the bus; made by `Client.publisher`.

    Messages of one key keep their order, also through refusals and lost connections. Control topics
    (`control.…`) travel on a connection of their own and wait behind nothing else.
    """

    def __init__(
        self,
        source: str,
        data: Outbox | GroupOutbox,
        control: Outbox | GroupOutbox,
        unary: UnaryPublisher,
        timeout_seconds: float,
    ) -> None:
        self.source = source
        self._data = data
        self._control = control
        self._unary = unary
        self._timeout_seconds = timeout_seconds

    async def ready(self, *, timeout: float | None = None) -> None:
        """Open the stream, which is otherwise done with the first message.

        A named producer fences its predecessor with this, before it has anything to say.

        Raises:
            UnreachableError: The stream was not established in time.
            ProducerFencedError: A newer instance of this producer has taken over.
        """
        await self._data.ready(self._seconds(timeout))

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
        """Make one message, publish it and wait until it is acknowledged.

        Args:
            topic: Where to.
            payload: Bytes, or a protobuf message whose full name becomes the type.
            key: Messages of one key keep their order; empty = no order asked.
            type: Type of the payload, where its own name does not serve.
            subject: Instrument or entity.
            time_unix_nano: Event time; None = now.
            expire_time_unix_nano: Wall-clock time after which it is dropped; 0 = never.
            not_before_time_unix_nano: Wall-clock time before which it is not delivered, at most 7 days
                ahead; 0 = at once. Where partitions keep their order, what stands behind it waits too.
            correlation_id: Business transaction.
            causation_id: Id of the message that caused this one.
            traceparent: Creation context; empty = that of the current span, where it is sampled.
            tracestate: Goes with the traceparent.
            attributes: Small filterable properties, at most 64.
            timeout: Seconds; None = `ClientSettings.timeout_seconds`.

        Raises:
            CallerError: The coordinator refused the message; its class says why.
            StoreFullError: The topic is durable and its disk is full; nothing was appended.
            BufferFullError: The buffer had no room in time.
            DeadlineExceededError: No acknowledgement in time; whether it was appended is unknown.
        """
        if isinstance(payload, ProtoMessage):
            type = type or payload.DESCRIPTOR.full_name
            payload = payload.SerializeToString()
        if not traceparent:
            traceparent, tracestate = current_context()
        message = new_message(
            data=payload,
            type=type,
            subject=subject,
            key=key,
            source=self.source,
            time_unix_nano=time_unix_nano,
            expire_time_unix_nano=expire_time_unix_nano,
            not_before_time_unix_nano=not_before_time_unix_nano,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=traceparent,
            tracestate=tracestate,
            attributes=attributes,
        )
        return await self._outbox(topic).publish(
            topic, message, self._seconds(timeout), len(payload)
        )

    async def publish_message(
        self, topic: str, message: Message, *, timeout: float | None = None
    ) -> PublishResult:
        """Publish a ready message and wait until it is acknowledged; raises what `publish` does."""
        (message,) = traced((message,))
        return await self._outbox(topic).publish(topic, message, self._seconds(timeout))

    async def publish_many(
        self, topic: str, messages: Sequence[Message], *, timeout: float | None = None
    ) -> list[PublishedRange]:
        """Publish many messages in order and wait until all are acknowledged.

        Args:
            topic: Where to.
            messages: Ready messages; not to be changed any more.
            timeout: Seconds without any progress; None = `ClientSettings.timeout_seconds`.

        Returns:
            Where they are, in the order they were acknowledged.

        Raises:
            CallerError: The first refusal; messages not sent by then never will be, messages sent
                may have been appended.
            BufferFullError: The buffer had no room in time.
            DeadlineExceededError: No acknowledgement in time.
        """
        return await self._outbox(topic).publish_many(
            topic, traced(messages), self._seconds(timeout)
        )

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
        """Publish many payloads that share everything but their ids; the quickest way onto the bus.

        Args:
            topic: Where to.
            payloads: One per message; not to be changed any more.
            key: Of all; they keep their order.
            type: Type of all payloads.
            subject: Of all.
            time_unix_nano: Event time of all; None = now.
            expire_time_unix_nano: Of all; 0 = never.
            not_before_time_unix_nano: Of all; 0 = at once.
            correlation_id: Of all.
            timeout: Seconds without any progress; None = `ClientSettings.timeout_seconds`.

        Returns and raises what `publish_many` does.
        """
        traceparent, tracestate = current_context()
        envelope = Message(
            source=self.source,
            type=type,
            subject=subject,
            key=key,
            time_unix_nano=time_unix_nano or 0,
            expire_time_unix_nano=expire_time_unix_nano,
            not_before_time_unix_nano=not_before_time_unix_nano,
            correlation_id=correlation_id,
            traceparent=traceparent,
            tracestate=tracestate,
        )
        return await self._outbox(topic).publish_many(
            topic, PayloadRun(payloads, envelope), self._seconds(timeout)
        )

    async def enqueue(
        self, topic: str, message: Message, *, timeout: float | None = None
    ) -> asyncio.Future[PublishResult]:
        """Wait only for room in the buffer; the future tells when the message is acknowledged.

        The future outlives lost connections; it fails when the coordinator refuses the message or the
        client is closed. Cancelling it takes the message back unless it was sent already.

        Raises:
            BufferFullError: The buffer had no room in time.
            UnknownTopicError: The topic does not exist, and auto-create is off.
        """
        (message,) = traced((message,))
        return await self._outbox(topic).enqueue(topic, message, self._seconds(timeout))

    async def publish_once(
        self,
        topic: str,
        messages: Sequence[Message],
        *,
        request_id: str,
        atomic: bool = False,
        timeout: float | None = None,
    ) -> list[PublishedRange]:
        """Publish up to 1,000 messages, once however often this is called with the same `request_id`.

        It survives what a stream's sequences do not: a caller that died and starts again. The coordinator
        chooses the partitions and keeps the answer for a day. Messages of one call are appended together
        or not at all; their order to what `publish` sends at the same time is open.

        Args:
            topic: Where to.
            messages: The same ones each time: id, time and payload.
            request_id: Names the request, at most 128 bytes.
            atomic: Refuse them unless they fall into one partition and form one batch.
            timeout: Seconds; None = `ClientSettings.timeout_seconds`.

        Returns:
            One range per partition touched; `duplicate` where a stored answer was replayed.

        Raises:
            IdempotencyKeyReusedError: The `request_id` was used for another request.
            CallerError: The coordinator refused the messages; its class says why.
            PeerError: No answer; the same call again tells what became of it.
        """
        return await self._unary.publish(
            topic, traced(messages), request_id, self._seconds(timeout), atomic=atomic
        )

    async def flush(self, *, timeout: float | None = None) -> None:
        """Wait until everything handed over so far, by any publisher, is acknowledged or refused.

        Raises:
            DeadlineExceededError: Something is still unacknowledged.
        """
        seconds = self._seconds(timeout)
        outboxes = {self._data, self._control}  # A named producer has one for both.
        await asyncio.gather(*(outbox.flush(seconds) for outbox in outboxes))

    def _outbox(self, topic: str) -> Outbox | GroupOutbox:
        return self._control if topic.startswith(CONTROL_PREFIX) else self._data

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout_seconds if timeout is None else timeout
