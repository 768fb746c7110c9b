"""The past as the bus keeps it: bounded stretches of its logs."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from bellwire.admin.v1.topic_pb2 import PartitionStats
from bellwire.bus.v1.message_pb2 import Message, Position
from bellwire.client.protocol import BusClient
from bellwire.client.start import at_positions
from bellwire.runtime.assignment import Tail
from bellwire.wire.errors import UnknownTopicError

AS_FAST_AS_POSSIBLE: Final = 0.0  # a replay's speed


class BusHistory:
    """Reads back by `BusClient.replay`: no cursor moves, and nothing is settled.

    Where a stretch begins follows from the offsets that the coordinator states, so that no more is read
    than asked for, of each partition. Retention may overtake a look; the error says so, and the next
    look succeeds.
    """

    def __init__(self, client: BusClient) -> None:
        """Take a connected client; it stays open."""
        self._client = client

    async def before(
        self, topic: str, partition: int, offset: int, messages_max: int
    ) -> Sequence[Message]:
        """Return what the log still has of the `messages_max` offsets below `offset`.

        Raises:
            OffsetOutOfRangeError: Retention was faster.
            BellwireError: The bus does not answer.
        """
        tail = Tail(messages_max)
        kept = await self._partitions(topic)
        starts = [
            Position(
                topic=topic, partition=partition, offset=max(each.low_offset, offset - messages_max)
            )
            for each in kept
            if each.partition == partition and each.low_offset < min(offset, each.high_watermark)
        ]
        async with aclosing(self._replayed(topic, starts)) as replayed:
            async for found, message in replayed:
                if found >= offset:
                    break
                tail.add(message)
        return tail.messages()

    async def newest(self, topic: str, messages_max: int) -> Sequence[Message]:
        """Return the newest of all partitions; reads up to `messages_max` of each. Raises as `before`."""
        tail = Tail(messages_max)
        starts = [
            Position(
                topic=topic,
                partition=each.partition,
                offset=max(each.low_offset, each.high_watermark - messages_max),
            )
            for each in await self._partitions(topic)
            if each.low_offset < each.high_watermark
        ]
        async with aclosing(self._replayed(topic, starts)) as replayed:
            async for _, message in replayed:
                tail.add(message)
        return tail.messages()

    async def _partitions(self, topic: str) -> Sequence[PartitionStats]:
        try:
            return (await self._client.admin.topic_stats(topic)).partitions
        except UnknownTopicError:
            return ()

    async def _replayed(
        self, topic: str, starts: list[Position]
    ) -> AsyncGenerator[tuple[int, Message], None]:
        """Yield offset and message from these positions on; partitions without one are left out."""
        if not starts:
            return
        start = at_positions(starts)
        async with self._client.replay(topic, start=start, speed=AS_FAST_AS_POSSIBLE) as replay:
            async for batch in replay.batches():
                for received in batch:
                    yield received.offset, received.message
