"""One route from the bus to Kafka: a delivery is accepted when Kafka has acknowledged its records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bellwire.bridge.connection import Connection
from bellwire.bridge.outgoing import Outgoing, spread
from bellwire.bridge.sender import Sender
from bellwire.bridge.targets import Targets
from bellwire.bus.v1.subscriber_pb2 import ORDERING_PARTITION
from bellwire.client import Batch, Client, ReceivedMessage, Subscription

__all__ = ["MirrorOut"]


class MirrorOut:
    """Takes what a named subscription brings, round by round.

    While a round is under way the subscription's window fills, and the next round takes all that is there:
    batches grow with the load by themselves. Overflow policy: BLOCK; the window bounds what is held here.
    """

    def __init__(
        self, client: Client, connection: Connection, sender: Sender, targets: Targets
    ) -> None:
        self._client = client
        self._connection = connection
        self._settings = connection.settings
        self._sender = sender
        self._targets = targets

    async def run(self, stop: asyncio.Event) -> None:
        """Mirror until told to stop; the round under way is finished.

        Raises:
            BellwireError: What ended it: nothing is lost, a later start goes on from here.
        """
        route = self._targets.route
        name = route.cursor(self._settings.name)
        subscription = self._client.subscribe(
            route.source, subscription=name, settle="manual", ordering=ORDERING_PARTITION
        )
        async with subscription:
            async for batches in rounds(subscription, self._settings.round_messages_max, stop):
                await self._send(subscription, batches)

    async def _send(self, subscription: Subscription, batches: list[Batch]) -> None:
        # After a lost connection the coordinator delivers again what was waiting here.
        held = [batch for batch in batches if subscription.still_holds(batch, 0)]
        by_topic: dict[str, list[Batch]] = {}
        for batch in held:
            by_topic.setdefault(batch.topic, []).append(batch)
        async with asyncio.TaskGroup() as group:
            for topic, some in by_topic.items():
                group.create_task(self._send_topic(subscription, topic, some))

    async def _send_topic(
        self, subscription: Subscription, topic: str, batches: list[Batch]
    ) -> None:
        target, count = await self._targets.of(topic)
        found, skipped = spread(
            batches,
            bus=self._settings.bus,
            cluster=self._connection.cluster,
            partition_count=count,
        )
        async with asyncio.TaskGroup() as group:
            for partition, outgoing in found.items():
                group.create_task(self._send_partition(subscription, target, partition, outgoing))
        self._connection.counters.skipped += skipped
        for batch in batches:
            await batch.accept()

    async def _send_partition(
        self, subscription: Subscription, target: str, partition: int, outgoing: list[Outgoing]
    ) -> None:
        refused = await self._sender.send(target, partition, [one.record for one in outgoing])
        for index, reason in refused:
            one = outgoing[index]
            message = ReceivedMessage(one.batch.messages[one.at], one.batch, one.at)
            await subscription.reject(message, reason=f"bridge to Kafka topic {target}: {reason}")
            self._connection.report(
                "dead_lettered", topic=message.topic, offset=message.offset, reason=reason
            )
        counters = self._connection.counters
        counters.dead_lettered += len(refused)
        counters.sent += len(outgoing) - len(refused)


async def rounds(
    subscription: Subscription, messages_max: int, stop: asyncio.Event
) -> AsyncIterator[list[Batch]]:
    """Yield all deliveries that are there, at least one, until told to stop."""
    stopping = asyncio.create_task(stop.wait())
    upcoming: asyncio.Task[Batch] | None = None
    try:
        while not stop.is_set():
            upcoming = upcoming or asyncio.create_task(subscription.next_batch())
            await asyncio.wait([upcoming, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
                break
            batches, upcoming = [upcoming.result()], None
            messages = len(batches[0])
            # Without a turn of the loop for each: after an outage there are thousands.
            while messages < messages_max and (batch := subscription.batch_nowait()) is not None:
                batches.append(batch)
                messages += len(batch)
            yield batches
    finally:
        for task in filter(None, (stopping, upcoming)):
            task.cancel()
            await asyncio.wait([task])
