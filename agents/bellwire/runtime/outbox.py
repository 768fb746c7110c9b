"""Publishes what handlers return, in order, and holds watermarks back until that is safe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TypeAlias

from opentelemetry.trace import Span

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.protocol import BusPublisher
from bellwire.client.results import PublishResult
from bellwire.runtime.context import MessageContext
from bellwire.runtime.counters import RunCounters
from bellwire.runtime.errors import OutputBlockedError, OutputLostError
from bellwire.runtime.output import cause_of, derived_id, to_message
from bellwire.runtime.publication import Cause, Publication
from bellwire.telemetry import end_span, inject, publish_span
from bellwire.trading.v1.market_data_pb2 import Watermark
from bellwire.wire.errors import BellwireError, CallerError, ClosedError

PublishFuture: TypeAlias = asyncio.Future[PublishResult]


class Sent:
    """The outputs of one message on their way to the bus."""

    __slots__ = ("_refused", "futures", "is_resolved")

    def __init__(self, refused: set[Sent]) -> None:
        self.futures: list[PublishFuture] = []
        """Each tells when one output is acknowledged."""
        self.is_resolved = False
        self._refused = refused

    def resolve(self) -> None:
        """Stop holding watermarks back: the message is settled, or on its way back."""
        self.is_resolved = True
        self._refused.discard(self)

    def refuse(self) -> None:
        """Hold watermarks back until somebody has decided about the message."""
        if not self.is_resolved:
            self._refused.add(self)


class Outbox:
    """The way out of one agent: everything goes through one publisher, so order is kept."""

    def __init__(
        self,
        publisher: BusPublisher,
        *,
        name: str,
        agent_id: str,
        timeout_seconds: float,
        counters: RunCounters,
    ) -> None:
        """Take the publisher.

        Args:
            publisher: Keeps the order of what it is given.
            name: Name of the agent; replicas derive the same message ids from the same input.
            agent_id: Identity of this replica.
            timeout_seconds: How long a full buffer or an absent bus is waited for.
            counters: Gets `published`.
        """
        self._publisher = publisher
        self._name = name
        self._agent_id = agent_id
        self._source = f"agents/{agent_id}"
        self._timeout_seconds = timeout_seconds
        self._counters = counters
        self._pending: set[PublishFuture] = set()
        self._refused: set[Sent] = set()
        self.rewinds = 0
        """Times messages were given back after outputs of them, or before them, were sent."""

    async def send(
        self,
        publications: Sequence[Publication],
        context: MessageContext | None,
        rewinds: int | None = None,
    ) -> Sent:
        """Hand publications to the bus in order; the caller resolves what it gets.

        Waits for room in the publisher's buffer, and before a watermark until everything this
        agent sent earlier is acknowledged.

        Args:
            publications: What to send.
            context: The message being handled; None when there is none.
            rewinds: What `rewinds` was when its handling began; a watermark that was made before
                an earlier message was given back is not sent.

        Raises:
            OutputBlockedError: A watermark cannot go because an earlier output was refused.
            OutputLostError: The bus took nothing for too long.
            CallerError: The bus refuses an output for what it is.
        """
        sent = Sent(self._refused)
        try:
            for index, publication in enumerate(publications):
                is_watermark = isinstance(publication.payload, Watermark)
                if is_watermark:
                    await self._barrier(self.rewinds if rewinds is None else rewinds)
                message, span = self._prepare(publication, context, index, traced=not is_watermark)
                future = await self._enqueue(publication.topic, message, span)
                self._track(future, span, sent)
        except BaseException:
            sent.resolve()  # The message fails for this; what was sent of it is sent again.
            raise
        return sent

    def rewound(self) -> None:
        """Note that messages were given back: watermarks made before that must not go."""
        self.rewinds += 1

    async def sent(self) -> None:
        """Wait until what is under way now is acknowledged or refused."""
        if self._pending:
            await asyncio.wait(list(self._pending))

    async def settle(self) -> None:
        """Wait until nothing is under way any more, refused or not."""
        while self._pending:
            await asyncio.wait(self._pending)

    async def _barrier(self, rewinds: int) -> None:
        """Wait for everything sent so far; what was refused waits for its lane to decide."""
        await self.sent()
        if self._refused or rewinds != self.rewinds:
            raise OutputBlockedError

    async def _enqueue(self, topic: str, message: Message, span: Span | None) -> PublishFuture:
        try:
            return await self._publisher.enqueue(topic, message, timeout=self._timeout_seconds)
        except BellwireError as error:
            end_span(span, error)
            raise classified(error) from error

    def _track(self, future: PublishFuture, span: Span | None, sent: Sent) -> None:
        self._pending.add(future)
        sent.futures.append(future)

        def done(ended: PublishFuture) -> None:
            self._pending.discard(ended)
            error = asyncio.CancelledError() if ended.cancelled() else ended.exception()
            if error is None:
                self._counters.published += 1
            else:
                sent.refuse()
            end_span(span, error)

        future.add_done_callback(done)

    def _prepare(
        self,
        publication: Publication,
        context: MessageContext | None,
        index: int,
        *,
        traced: bool,
    ) -> tuple[Message, Span | None]:
        input_id = context.message_id if context else ""
        message_id = derived_id(self._name, input_id, index)
        cause = cause_of(publication, context)
        span = self._span(publication.topic, message_id, cause, context) if traced else None
        traceparent, tracestate = cause.traceparent, cause.tracestate
        if span is not None:
            traceparent, tracestate = inject(span)
        message = to_message(
            publication,
            source=self._source,
            message_id=message_id,
            context=context,
            traceparent=traceparent if traced else "",
            tracestate=tracestate if traced else "",
            now_unix_nano=time.time_ns(),
        )
        return message, span

    def _span(
        self, topic: str, message_id: str, cause: Cause, context: MessageContext | None
    ) -> Span | None:
        caused = bool(cause.message_id or cause.traceparent)
        links = []
        if context is not None and cause.message_id != context.message_id:
            links.append(context.cause.traceparent)
        return publish_span(
            topic,
            parent=cause.traceparent if caused else None,
            tracestate=cause.tracestate,
            message_id=message_id,
            conversation_id=cause.correlation_id or message_id,
            client_id=self._agent_id,
            links=links,
        )


def classified(error: BellwireError) -> BellwireError:
    """Tell an output that is wrong, which fails its input, from a bus that is gone.

    Raises nothing; returns the error itself, or OutputLostError for the runner to end with.
    """
    if isinstance(error, CallerError) and not isinstance(error, ClosedError):
        return error
    return OutputLostError(f"an output could not be published: {error}")
