"""The past as the bus keeps it: bounded stretches of its logs."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from bellwire.admin.v1.topic_pb2 import PartitionStats
from bellwire.bus.v1.message_pb2 import Message, Position
from bellwire.client.protocol import BusClient
from bellwire.client.received import Batch
from bellwire.client.start import at_positions
from bellwire.runtime.look_back import (
    BYTES_MAX,
    LOOKED_AT_MAX,
    LookBack,
    PartitionLook,
    Stretch,
    Tail,
)
from bellwire.runtime.patience import heard
from bellwire.wire.errors import OffsetOutOfRangeError, UnknownTopicError

logger = logging.getLogger(__name__)

AS_FAST_AS_POSSIBLE: Final = 0.0  # a replay's speed
RETENTION_MARGIN_FIRST: Final = 256  # messages above the oldest kept; doubles, so it ends


class BusHistory:
    """Reads back by `BusClient.replay`: no cursor moves, and nothing is settled.

    Where a stretch begins follows from the offsets that the coordinator states, so that little more is
    read than asked for. Where retention overtakes a look, it finds less.
    """

    def __init__(self, client: BusClient, looked_at_max: int = LOOKED_AT_MAX) -> None:
        """Take a connected client, which stays open, and how many messages a look may look through."""
        self._client = client
        self._looked_at_max = looked_at_max
        self._warned: set[tuple[str, str]] = set()

    async def before(
        self, topic: str, partition: int, offset: int, messages_max: int, type_name: str = ""
    ) -> Sequence[Message]:
        """Return the newest `messages_max` of a type below `offset` that the log still has.

        Raises:
            BellwireError: The bus does not answer.
        """
        looks = [
            PartitionLook(partition, each.low_offset, min(offset, each.high_watermark))
            for each in await self._partitions(topic)
            if each.partition == partition
        ]
        return await self._look(topic, looks, messages_max, type_name)

    async def newest(self, topic: str, messages_max: int, type_name: str = "") -> Sequence[Message]:
        """Return the newest of all partitions; raises as `before`."""
        partitions = await self._partitions(topic)
        bytes_max = BYTES_MAX // max(1, len(partitions))
        looks = [
            PartitionLook(each.partition, each.low_offset, each.high_watermark, bytes_max)
            for each in partitions
        ]
        return await self._look(topic, looks, messages_max, type_name)

    async def _look(
        self, topic: str, looks: Sequence[PartitionLook], messages_max: int, type_name: str
    ) -> Sequence[Message]:
        look_back = LookBack(looks, messages_max, self._looked_at_max)
        while stretches := look_back.round():
            for partition, stretch in stretches:
                partition.take(*await self._read(topic, stretch, type_name))
        if look_back.is_cut:
            self._warn(topic, messages_max, type_name, look_back)
        return look_back.messages()

    async def _read(self, topic: str, stretch: Stretch, type_name: str) -> tuple[Tail, int]:
        """Return what a stretch has of a type, and where it begins: later where retention was faster.

        What was read before the loss is dropped: behind a hole it is worth nothing.
        """
        begin, margin = stretch.begin, RETENTION_MARGIN_FIRST
        while begin < stretch.end:
            tail = Tail(stretch.messages_max, stretch.bytes_max)
            try:
                await self._fill(tail, topic, stretch, begin, type_name)
            except OffsetOutOfRangeError:
                begin = await self._low_offset(topic, stretch) + margin
                margin *= 2
            else:
                return tail, begin
        return Tail(0), stretch.end

    async def _fill(
        self, tail: Tail, topic: str, stretch: Stretch, begin: int, type_name: str
    ) -> None:
        start = Position(topic=topic, partition=stretch.partition, offset=begin)
        async with aclosing(self._replayed(start)) as replayed:
            async for batch in replayed:
                for received in batch:
                    if received.offset >= stretch.end:
                        return
                    if type_name in ("", received.message.type):
                        tail.add(received.message)
                if received.offset + 1 >= stretch.end:
                    return

    async def _replayed(self, start: Position) -> AsyncGenerator[Batch, None]:
        """Yield the batches of one partition from a position on; the others begin at their end."""
        async with self._client.replay(
            start.topic, start=at_positions([start]), speed=AS_FAST_AS_POSSIBLE
        ) as replay:
            async for batch in replay.batches():
                heard()
                yield batch

    async def _low_offset(self, topic: str, stretch: Stretch) -> int:
        kept = await self._partitions(topic)
        found = [each.low_offset for each in kept if each.partition == stretch.partition]
        return max([stretch.begin, *found])

    async def _partitions(self, topic: str) -> Sequence[PartitionStats]:
        try:
            found = (await self._client.admin.topic_stats(topic)).partitions
        except UnknownTopicError:
            return ()
        heard()
        return found

    def _warn(self, topic: str, messages_max: int, type_name: str, look_back: LookBack) -> None:
        """Say that there may be more; once for each topic and type."""
        if (topic, type_name) in self._warned:
            return
        self._warned.add((topic, type_name))
        logger.warning(
            "%d of %d messages of type %r were found on %s among the newest %d, the limit of a look; what is"
            " older stays unknown (logged once): raise runtime.look_messages_max, or ask for fewer",
            messages_max - look_back.missing,
            messages_max,
            type_name,
            topic,
            look_back.looked_at,
        )
