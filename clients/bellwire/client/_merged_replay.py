"""A stretch of the logs of several groups of coordinators, merged by message time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from typing import Final

from bellwire.client._groups import Groups
from bellwire.client.received import Batch
from bellwire.client.replay import Replay
from bellwire.policy.backoff import Backoff
from bellwire.transport.channel import ChannelPool
from bellwire.transport.movable import OWNER_PAUSE_SECONDS
from bellwire.wire.errors import ClosedError, NotOwnerError, UnknownTopicError

__all__ = ["MergedReplay", "cut_by_time"]

NANOS: Final = 1_000_000_000
UNPACED: Final = 0.0

_Head = tuple[
    int, int, Batch, AsyncIterator[Batch]
]  # Message time, and a number that decides between equals.


class MergedReplay(Replay):
    """Replays of several groups as one; of one group it is that group's.

    With a pace the groups send as fast as they are read, and the pace is kept here, for all of them together.

    Args:
        groups: The map, and the channels.
        topics: Topics and patterns.
        make: Makes the replay of one group from channels, the topics that concern it, and the speed.
        speed: 1 = the original pace by message time, N = N times faster, 0 = as fast as possible.
        seconds: How long the right coordinator may be looked for.
        on_close: Told when it is closed.
    """

    def __init__(
        self,
        groups: Groups,
        topics: tuple[str, ...],
        make: Callable[[ChannelPool, tuple[str, ...], float], Replay],
        *,
        speed: float,
        seconds: float,
        on_close: Callable[[Replay], None] | None = None,
    ) -> None:
        self._groups = groups
        self._topics = topics
        self._make = make
        self._speed = speed
        self._seconds = seconds
        self._parts: list[Replay] = []
        self._closed = False
        self._on_close = on_close

    async def batches(self) -> AsyncIterator[Batch]:
        """Return the deliveries whole, or with a pace what shares a time; the earliest of any group first.

        Raises:
            UnknownTopicError: No topic matches in any group.
            PeerError: A connection was lost.
        """
        heads = await self._begun_at_owners()
        pace = _Pace(self._speed) if self._speed and len(self._parts) > 1 else None
        while heads:
            time_unix_nano, number, batch, rest = heads[0]
            if pace is not None:
                await pace.reach(time_unix_nano)
            if self._closed:
                return
            yield batch
            following = await anext(rest, None)
            if following is None:
                heapq.heappop(heads)
            else:
                heapq.heapreplace(heads, (_time_of(following), number, following, rest))
        await self.close()

    async def _begun_at_owners(self) -> list[_Head]:
        """Begin; where a coordinator says that a topic is another group's, begin anew by the map of then."""
        pauses = Backoff(*OWNER_PAUSE_SECONDS)
        clock = asyncio.get_running_loop().time
        until = clock() + self._seconds
        while True:
            try:
                return await self._begun()
            except NotOwnerError as error:
                await self._end_parts()
                if not error.topic or clock() >= until:
                    await self.close()
                    raise
                await self._groups.reread()
                await asyncio.sleep(pauses.next_delay())
            except BaseException:
                await self.close()
                raise

    async def _begun(self) -> list[_Head]:
        """Begin at every group; return the first delivery of each that has one."""
        if self._closed:
            raise ClosedError(f"replay of {', '.join(self._topics)!r} is over: open a new one")
        spread = self._groups.map.spread(self._topics)
        alone = len(spread) == 1
        heads: list[_Head] = []
        unknown: list[UnknownTopicError] = []
        for number, (group, topics) in enumerate(spread.items()):
            pool = await self._groups.pool_of(group, self._seconds)
            part = self._make(pool, topics, self._speed if alone else UNPACED)
            self._parts.append(part)
            batches = part.batches() if alone or not self._speed else cut_by_time(part.batches())
            try:
                batch = await anext(batches, None)
            except UnknownTopicError as error:
                unknown.append(error)
                continue
            if batch is not None:
                heads.append((_time_of(batch), number, batch, batches))
        if len(unknown) == len(spread):
            raise unknown[0]
        heapq.heapify(heads)
        return heads

    async def close(self) -> None:
        """End it early; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await self._end_parts()
        if self._on_close is not None:
            self._on_close(self)

    async def _end_parts(self) -> None:
        parts, self._parts = self._parts, []
        for part in parts:
            await part.close()


class _Pace:
    """Waits so that message times pass as fast as they are to."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first: tuple[float, int] | None = None  # Loop time, message time.

    async def reach(self, time_unix_nano: int) -> None:
        """Wait until a message time has come."""
        now = asyncio.get_running_loop().time()
        if self._first is None:
            self._first = (now, time_unix_nano)
        began, first_nanos = self._first
        due_at = began + (time_unix_nano - first_nanos) / NANOS / self._speed
        if due_at > now:
            await asyncio.sleep(due_at - now)


async def cut_by_time(batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
    """Yield batches cut so that the messages of each share a time."""
    async for batch in batches:
        first = 0
        for index in range(1, len(batch) + 1):
            if index < len(batch) and _time(batch, index) == _time(batch, first):
                continue
            if first == 0 and index == len(batch):
                yield batch
            else:
                part = batch.part(first, index - 1)
                part.open = 0  # A replay leaves nothing to settle.
                yield part
            first = index


def _time(batch: Batch, index: int) -> int:
    return batch.messages[index].time_unix_nano


def _time_of(batch: Batch) -> int:
    return _time(batch, 0)
