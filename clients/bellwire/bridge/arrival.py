"""Brings records of Kafka onto the bus, once each, and what the bus cannot take into the dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bellwire.bridge.connection import Connection
from bellwire.bridge.dead_letters import DeadLetters
from bellwire.bridge.insistence import insist
from bellwire.bridge.intake import Bad, Item, Place, ReadRecord, request_id, sort
from bellwire.client import (
    BellwireError,
    CallerError,
    CapacityError,
    PayloadTooLargeError,
    PeerError,
    Publisher,
)
from bellwire.wire.batch import BLOCK_BYTES_MAX
from bellwire.wire.errors import InvalidBatchError

__all__ = ["Arrival"]


class Arrival:
    """Publishes into one topic.

    By single requests under request ids, not as a named producer: a producer's sequences fence an older
    instance, but only a request id tells a new one that what it publishes was appended already.
    """

    def __init__(
        self,
        connection: Connection,
        publisher: Publisher,
        letters: DeadLetters,
        topic: str,
        group: str,
        clear: Callable[[], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._publisher = publisher
        self._letters = letters
        self._topic = topic
        self.group = group
        self._clear = clear  # Raises where the topic must not be brought here.

    async def publish(self, place: Place, records: Sequence[ReadRecord]) -> None:
        """Publish records and return when all are on the bus, skipped, or dead letters.

        Raises:
            BellwireError: The bus takes nothing, or has not answered for `outage_seconds_max`.
        """
        items, bad, skipped = sort(records, place, bus=self._settings.bus)
        # What no request can hold is not asked about: gRPC would call it lack of room, and we would try again.
        huge = [item for item in items if item.message.ByteSize() > BLOCK_BYTES_MAX]
        if huge:
            items = [item for item in items if item.message.ByteSize() <= BLOCK_BYTES_MAX]
            bad += [Bad(item.record, _too_large(item)) for item in huge]
        bad += await self._publish(items)
        if bad:
            await self._letters.write(place, bad)
        counters = self._connection.counters
        counters.skipped += skipped
        counters.received += len(records) - skipped - len(bad)

    async def _publish(self, items: list[Item]) -> list[Bad]:
        """Publish messages in order; give those that the bus refuses for what they are."""
        if not items:
            return []
        try:
            await self._insist(items)
        except CallerError as error:
            if not _is_of_a_message(error):
                raise
            if len(items) == 1:
                return [Bad(items[0].record, error.message)]
            half = len(items) // 2
            return await self._publish(items[:half]) + await self._publish(items[half:])
        return []

    async def _insist(self, items: list[Item]) -> None:
        """Publish, again and again while the bus is away or full: the request id makes it one time."""
        messages = [item.message for item in items]
        name = request_id(self.group, items)

        async def publish() -> None:
            await self._clear()
            await self._publisher.publish_once(self._topic, messages, request_id=name)

        await insist(publish, self._settings, (PeerError, CapacityError), told=self._tell)

    def _tell(self, error: BellwireError) -> None:
        self._connection.report("bus_refuses", topic=self._topic, reason=error.message)


def _too_large(item: Item) -> str:
    return f"message holds {item.message.ByteSize()} bytes, no bus takes more than {BLOCK_BYTES_MAX}: send a reference"


def _is_of_a_message(error: CallerError) -> bool:
    """Tell whether the bus refused one of the messages, and not the topic, the level or us."""
    return (
        isinstance(error, (PayloadTooLargeError, InvalidBatchError)) or type(error) is CallerError
    )
