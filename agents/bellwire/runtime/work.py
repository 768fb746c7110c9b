"""Handles one message: span, handlers, outputs handed over."""

import time
from collections.abc import Sequence
from typing import Final

from opentelemetry.trace import Span, SpanKind, use_span

from bellwire.client.received import ReceivedMessage
from bellwire.runtime.agent import Agent
from bellwire.runtime.assignment import AssignedPartition, History
from bellwire.runtime.context import MessageContext
from bellwire.runtime.dispatch import Dispatcher
from bellwire.runtime.outbox import Outbox, Sent
from bellwire.runtime.publication import Publication
from bellwire.runtime.shared_looks import SharedLooks
from bellwire.telemetry import end_span, inject, names, process_span, record_span
from bellwire.telemetry.spans import process_attributes

NANOS_PER_SECOND: Final = 1_000_000_000
GAP_OFFSETS_MAX: Final = (
    16  # A transaction of Kafka's takes one; so many are looked through for a message.
)


class MessageWork:
    """What a lane does with each message of one agent."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        outbox: Outbox,
        history: History,
        *,
        consumer_group: str,
        slow_seconds: float,
    ) -> None:
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._history = history
        self._looks = SharedLooks(history)
        self._group = consumer_group
        self._agent_id = dispatcher.agent.agent_id
        self._slow_nanos = round(slow_seconds * NANOS_PER_SECOND)

    async def __call__(self, received: ReceivedMessage) -> Sent:
        """Run the handlers and hand over what they publish.

        Raises:
            Exception: Whatever a handler raised, or why an output cannot be published.
        """
        context = MessageContext(
            received.message,
            topic=received.topic,
            partition=received.partition,
            offset=received.offset,
            attempt=received.attempt,
            replayed=received.replayed,
        )
        span = process_span(
            context.topic,
            context.message,
            partition=context.partition,
            offset=context.offset,
            consumer_group=self._group,
            client_id=self._agent_id,
        )
        rewinds = self._outbox.rewinds
        started = time.time_ns()
        try:
            publications = await self._handle(context, span)
            sent = await self._outbox.send(publications, context, rewinds)
        except BaseException as error:
            if span is None and isinstance(error, Exception):
                self._record(context, started, error)
            end_span(span, error)
            raise
        if span is not None:
            end_span(span)
        elif time.time_ns() - started > self._slow_nanos:
            self._record(context, started, None)
        return sent

    async def assigned(self, received: ReceivedMessage, after: str) -> None:
        """Let the agent take up what is known of the partition; raises what it raises.

        Behind a gap only where messages lie in it: logs of Kafka have offsets without one.
        """
        agent = self._dispatcher.agent
        if type(agent).on_assigned is Agent.on_assigned:
            return  # It takes up nothing.
        topic, partition, offset = received.topic, received.partition, received.offset
        if after:
            newest = await self._history.before(topic, partition, offset, GAP_OFFSETS_MAX)
            if newest and newest[-1].id == after:
                return  # Where nothing is left of the gap, nobody knows what was in it.
            await (
                self._outbox.sent()
            )  # What this process wrote is to be in the log that the agent reads.
        async with self._looks.turn() as history:
            await agent.on_assigned(AssignedPartition(topic, partition, offset, history))

    def rewound(self) -> None:
        """Note that a lane gave messages back."""
        self._outbox.rewound()

    async def _handle(self, context: MessageContext, span: Span | None) -> Sequence[Publication]:
        if span is None:
            return await self._dispatcher.handle(context)
        context.trace_under(*inject(span))
        with use_span(span, record_exception=False, set_status_on_exception=False):
            return await self._dispatcher.handle(context)

    def _record(self, context: MessageContext, started: int, error: Exception | None) -> None:
        """Make the span of a slow or failed message after the fact, sampled or not."""
        message = context.message
        attributes = process_attributes(
            context.topic, message, context.partition, context.offset, self._group, self._agent_id
        )
        if error is not None:
            attributes[names.ERROR_TYPE] = type(error).__qualname__
        record_span(
            "runtime",
            f"{names.PROCESS} {context.topic}",
            message.traceparent,
            started,
            time.time_ns(),
            SpanKind.CONSUMER,
            attributes,
            error=str(error) if error is not None else "",
            force=True,
        )
