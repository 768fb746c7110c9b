"""A subscription to topics of several groups of coordinators: one part each, handed over in turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Self

from bellwire.client._ended_streams import FAILURES_MAX, EndedStreams, Figures
from bellwire.client._groups import Groups
from bellwire.client._stream_subscription import StreamSubscription
from bellwire.client._subscription_part import SubscriptionPart
from bellwire.client._whereabouts import Whereabouts
from bellwire.client.errors import UnreachableError
from bellwire.client.received import Batch
from bellwire.client.settle_failure import SettleFailure
from bellwire.client.subscription import Subscription
from bellwire.policy.fair_turns import FairTurns
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import ClosedError

__all__ = ["MakePart", "MergedSubscription"]

WILD: Final = frozenset("*>")

MakePart = Callable[[ChannelPool, tuple[str, ...], int], StreamSubscription]
"""Makes a part from channels, the topics that concern the group, and among how many parts the window is shared."""

_log = logging.getLogger("bellwire.client")


class MergedSubscription(Subscription):
    """Parts of several groups as one subscription.

    Fair: who was taken from stands behind the others. Bounded: the parts share the window. A part whose coordinator
    is away is opened when there is one, and the others go on; a part that is refused, or fails, ends the whole.
    When a topic passes to another group, the parts do so: an unnamed subscription goes on where it was, or from the
    beginning of the topic's new log; a named one has a cursor in each group, and begins in a new one like a new name.

    Args:
        groups: The map, and the channels.
        topics: Topics and patterns.
        name: Of the subscription; empty = unnamed.
        make: Makes a part.
        auto: Whether a delivery is accepted when the next one is asked for.
        timeout_seconds: How long opening may take.
        on_close: Told when it is closed.
    """

    def __init__(
        self,
        groups: Groups,
        topics: tuple[str, ...],
        name: str,
        make: MakePart,
        *,
        auto: bool,
        timeout_seconds: float,
        on_close: Callable[[Subscription], None] | None = None,
    ) -> None:
        super().__init__(auto=auto)
        self._groups = groups
        self._topics = topics
        self._is_named = bool(name)
        self._where = f"subscription {name or ', '.join(topics)!r}"
        self._make = make
        self._timeout_seconds = timeout_seconds
        self._on_close = on_close
        self._parts: dict[str, SubscriptionPart] = {}
        self._turns: FairTurns[SubscriptionPart] = FairTurns()
        self._ended = EndedStreams()
        self._whereabouts = Whereabouts()
        self._last: StreamSubscription | None = None
        self._arrived = asyncio.Event()
        self._is_wide = any(set(topic) & WILD for topic in topics)
        self._following: asyncio.Task[None] | None = None
        self._paused = False
        self._entered = False
        self._closed = False

    # ------------------------------------------------------------ opening and closing

    async def __aenter__(self) -> Self:
        """Open a stream to each group.

        Raises:
            CallerError: A coordinator refused the subscription; its class says why.
            UnreachableError: No coordinator of any group answered in time.
        """
        if self._closed:
            raise ClosedError(f"{self._where} is closed: open a new one")
        self._entered = True
        self._groups.listen(self._on_map)
        if self._is_wide:
            self._groups.watch()
        spread = self._wanted()
        for group, topics in spread.items():
            self._add(group, topics, len(spread))
        try:
            await self._opened()
        except BaseException:
            await self.close()
            raise
        return self

    async def _opened(self) -> None:
        """Wait for all parts; those that are out of reach may come later, if any is there."""
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        met: dict[SubscriptionPart, BaseException | None] = {}
        while True:
            if self._following is not None:
                await asyncio.wait(
                    [self._following]
                )  # The map has changed: there are other parts now.
            waiting = [part for part in self._parts.values() if part not in met]
            if not waiting:
                break
            results = await asyncio.gather(
                *(part.opened(deadline) for part in waiting), return_exceptions=True
            )
            met.update(zip(waiting, results, strict=True))
        errors = [error for part in self._parts.values() if (error := met[part]) is not None]
        away = [error for error in errors if isinstance(error, UnreachableError)]
        for error in errors:
            if error not in away or len(away) == len(self._parts):
                raise error
        for error in away:
            _log.warning("%s goes on without a part, for now: %s", self._where, error)

    async def close(self) -> None:
        """Send what is settled and end the streams; what is not settled is delivered again."""
        if self._closed:
            return
        self._closed = True
        if self._entered:
            self._groups.ignore(self._on_map)
            if self._is_wide:
                self._groups.unwatch()
        tasks = [part.opening for part in self._parts.values() if part.opening is not None]
        if self._following is not None:
            tasks.append(self._following)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(stream.close() for stream in self._streams()))
        self._arrived.set()
        if self._on_close is not None:
            self._on_close(self)

    # ------------------------------------------------------------ parts

    def _streams(self) -> tuple[StreamSubscription, ...]:
        return tuple(part.stream for part in self._parts.values() if part.stream is not None)

    def _add(self, group: str, topics: tuple[str, ...], shares: int) -> None:
        part = self._parts[group] = SubscriptionPart(group, topics)
        self._turns.add(part)
        pool = self._groups.pool(group)
        if pool is not None:
            self._start(part, pool, shares)
        else:
            part.opening = asyncio.create_task(self._start_later(part, shares))

    async def _start_later(self, part: SubscriptionPart, shares: int) -> None:
        self._start(part, await self._groups.pool_of(part.group, None), shares)

    def _start(self, part: SubscriptionPart, pool: ChannelPool, shares: int) -> None:
        running = [(p.group, place) for p in self._parts.values() for place in p.position()]
        origin = self._whereabouts.origin(part.group, running)
        part.stream = self._make(pool, part.topics, shares)
        part.stream.start(
            self._arrived,
            origin,
            lambda topic: self._groups.map.group_of(topic) == part.group,
            paused=self._paused,
        )

    def _on_map(self) -> None:
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow(), name=f"bellwire {self._where}")

    async def _follow(self) -> None:
        """Have the parts that the map asks for."""
        while (wanted := self._wanted()) != self._spread():
            for part in [p for p in self._parts.values() if wanted.get(p.group) != p.topics]:
                await self._end(part)
            for group, topics in wanted.items():
                if group not in self._parts:
                    self._add(group, topics, len(wanted))

    def _wanted(self) -> dict[str, tuple[str, ...]]:
        """Return the groups concerned, and what each is asked for.

        A name is bound to its topics: of a named one, patterns are asked for in every group concerned, whatever others
        own of them, so that they stay the same when a group comes or goes.
        """
        spread = self._groups.map.spread(self._topics)
        if not self._is_named:
            return spread
        asked = dict.fromkeys(self._topics)
        return {
            group: tuple(topic for topic in asked if topic in topics or set(topic) & WILD)
            for group, topics in spread.items()
        }

    def _spread(self) -> dict[str, tuple[str, ...]]:
        return {part.group: part.topics for part in self._parts.values()}

    async def _end(self, part: SubscriptionPart) -> None:
        """End a part; what it has received is handed over still, unless somebody else gets it again."""
        await self._ended.wait_for_room()
        if part.opening is not None:
            part.opening.cancel()
        self._turns.remove(part)
        if part.stream is not None:
            await part.stream.close()
            if not self._is_named:
                part.stream.bring_given_back()
            # What is left comes before what comes next of the same topics.
            self._ended.add(part.stream, hands_over=not self._is_named)
            for place in part.position():
                self._whereabouts.leave(part.group, place)
        del self._parts[part.group]

    # ------------------------------------------------------------ for the user

    async def next_batch(self) -> Batch:
        """Wait for the next delivery of any part and take it."""
        if self._last is not None and self._last.is_crowded:
            await self._last.let_settle()
        while True:
            batch = self.batch_nowait()
            if batch is not None:
                return batch
            if self._closed:
                raise StopAsyncIteration
            if not self._entered:
                raise ClosedError(f"{self._where} is not open: use `async with`")
            self._arrived.clear()
            await self._arrived.wait()

    def batch_nowait(self) -> Batch | None:
        """Take the next delivery of any part if one is here already; None = there is none."""
        ended = self._ended.take()
        if ended is not None:
            self._last, batch = ended
            return batch
        taken = self._turns.take(SubscriptionPart.take)
        if taken is None:
            return None
        self._last, batch = taken
        return batch

    def holder_of(self, batch: Batch) -> Subscription:
        """Return the part that a batch came by."""
        return self._stream_of(batch) or self

    def _stream_of(self, batch: Batch) -> StreamSubscription | None:
        """Return the stream that a batch came by; None = it has ended, and nothing of it is left."""
        last = self._last
        if last is not None and last.settler is batch.settler:
            return last
        streams = (*self._streams(), *self._ended)
        return next((each for each in streams if each.settler is batch.settler), None)

    def still_holds(self, batch: Batch, index: int) -> bool:
        """Tell whether a batch from `index` on is still ours: its part knows."""
        stream = self._stream_of(batch)
        return stream is not None and stream.still_holds(batch, index)

    def accept_soon(self, batch: Batch) -> None:
        """Accept what is done of the batch with the next tick's dispositions of its part."""
        stream = self._stream_of(batch)
        if stream is None:
            batch.settle_done()
        else:
            stream.accept_soon(batch)

    @property
    def paused(self) -> bool:
        """True between `pause` and `resume`."""
        return self._paused

    async def pause(self) -> None:
        """Have nothing more delivered by any part until `resume`."""
        self._paused = True
        for stream in self._streams():
            await stream.pause()

    async def resume(self) -> None:
        """End a pause."""
        self._paused = False
        for stream in self._streams():
            await stream.resume()

    def _figures(self) -> Figures:
        figures = self._ended.figures()
        for stream in self._streams():
            figures.count(stream)
        return figures

    @property
    def dropped_messages(self) -> int:
        """Messages dropped because this subscriber fell behind."""
        return self._figures().dropped_messages

    @property
    def duplicates_skipped(self) -> int:
        """Messages delivered again after a lost connection and not handed over again."""
        return self._figures().duplicates_skipped

    @property
    def expired_messages(self) -> int:
        """Messages not handed over because they waited here longer than `lease_seconds`."""
        return self._figures().expired_messages

    @property
    def settle_failures(self) -> Sequence[SettleFailure]:
        """The latest dispositions that coordinators refused, by part, oldest first; at most 100."""
        found = [*self._ended.settle_failures]
        found += [failure for stream in self._streams() for failure in stream.settle_failures]
        return tuple(found[-FAILURES_MAX:])

    @property
    def lane(self) -> str:
        """What carries the streams: one word where all agree, else all of them with commas between."""
        return ",".join(sorted({stream.lane for stream in self._streams() if stream.lane}))

    @property
    def direct_obstacle(self) -> str:
        """With `direct=True`: why some or all messages come by coordinators; empty = nothing is in the way."""
        return "; ".join(sorted({s.direct_obstacle for s in self._streams() if s.direct_obstacle}))

    @property
    def streams_opened(self) -> int:
        """Streams established so far, of all parts."""
        return self._figures().streams_opened
