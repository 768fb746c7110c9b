"""A publisher and a subscriber that make spans as the agent runtime does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tests.benchmarks.peers.bellwire import SOURCE, BellwirePublisher, settings_at
from tests.benchmarks.roles import PublisherRole, Reply, SubscriberRole
from tests.benchmarks.sink import Sink

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_RECEIVED
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.client import Client, Publisher, Subscription, connect, new_message
from bellwire.telemetry import end_span, inject, process_span, publish_span

TOPIC: Final = "bench.traced"
RELAYED_TOPIC: Final = "bench.relayed"
# What may wait for the slowest: no more than it does within a phase.
RETENTION_MESSAGES: Final = 5_000
TRACES_FOLDER: Final = "traces"
SPAN_MARK: Final = (
    b'"spanId"'  # Once in each span of an OTLP-JSON file; parents are `parentSpanId`.
)


class TracedPublisher(BellwirePublisher):
    """Publishes as the agent runtime does: a `send` span for each message that is sampled."""

    def __init__(self, publisher: Publisher) -> None:
        super().__init__(publisher, TOPIC)

    async def _publish(self, payloads: Sequence[bytes]) -> None:
        spans = []
        messages: list[Message] = []
        for payload in payloads:
            span = publish_span(TOPIC, client_id=SOURCE)
            traceparent = tracestate = ""
            if span is not None:
                traceparent, tracestate = inject(span)
                spans.append(span)
            messages.append(
                new_message(
                    data=payload, source=SOURCE, traceparent=traceparent, tracestate=tracestate
                )
            )
        try:
            await self._publisher.publish_many(TOPIC, messages)
        except Exception as error:  # noqa: BLE001 - flush() raises it
            self._failure = self._failure or error
        finally:
            self._room.release()
            for span in spans:
                end_span(span)


async def _read(subscription: Subscription, sink: Sink) -> None:
    async for batch in subscription.batches():
        spans = [
            span
            for message in batch.messages
            if (span := process_span(batch.topic, message, partition=batch.partition)) is not None
        ]
        sink.take_all([message.data for message in batch.messages])
        for span in spans:
            end_span(span)


@asynccontextmanager
async def open_traced_publisher(*, address: str) -> AsyncIterator[tuple[PublisherRole, Reply]]:
    """Connect a publisher."""
    async with connect(address, settings_at(address)) as client:
        await _create_topics(client)
        publisher = client.publisher(SOURCE, ack_level=ACK_LEVEL_RECEIVED)
        yield PublisherRole(TracedPublisher(publisher)), {}


@asynccontextmanager
async def open_traced_subscriber(
    *, address: str, relayed: bool
) -> AsyncIterator[tuple[SubscriberRole, Reply]]:
    """Subscribe, and make a `process` span for each message that is sampled.

    Args:
        address: Of the coordinator.
        relayed: Whether to what the agent publishes, rather than to what it receives.
    """
    role = SubscriberRole(Sink())
    async with connect(address, settings_at(address)) as client:
        await _create_topics(client)
        topic = RELAYED_TOPIC if relayed else TOPIC
        subscription = client.subscribe(topic, overflow_policy=OVERFLOW_POLICY_BLOCK)
        async with subscription:
            task = asyncio.create_task(_read(subscription, role.sink))
            try:
                yield role, {}
            finally:
                task.cancel()
                await asyncio.wait([task])


async def _create_topics(client: Client) -> None:
    for name in (TOPIC, RELAYED_TOPIC):
        await client.admin.create_topic(Topic(name=name, retention_messages=RETENTION_MESSAGES))
