"""Publish streams to several groups of coordinators, as one: each topic goes to the group that owns it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.publisher_pb2 import AckLevel
from bellwire.client._groups import Groups
from bellwire.client._line import Line
from bellwire.client._outbox import Outbox
from bellwire.client._topic_move import TopicMove
from bellwire.client.errors import timed_out
from bellwire.client.results import PublishedRange, PublishResult
from bellwire.transport.group_pool import GroupPool
from bellwire.wire.errors import BellwireError, NotOwnerError

__all__ = ["GroupOutbox"]

LEFT_SECONDS_MIN: Final = 0.001  # gRPC's least deadline.

T = TypeVar("T")


class GroupOutbox:
    """Has the methods of an `Outbox`, and one of these for each group that was needed.

    Which outbox a topic has is looked up once. When the topic passes to another group, what was not acknowledged
    passes to that group's outbox, in order, and whoever publishes meanwhile waits behind it.

    Args:
        groups: The map, and the channels.
        make: Returns the outbox on the channels to a group; the same one each time.
        ack_level: Of all of them.
        timeout_seconds: How long a wait is said to have taken that was too long.
        everywhere: `ready` opens a stream to every group: a named producer fences its predecessor in each.
    """

    def __init__(
        self,
        groups: Groups,
        make: Callable[[GroupPool], Outbox],
        ack_level: AckLevel.ValueType,
        timeout_seconds: float,
        *,
        everywhere: bool = False,
    ) -> None:
        self._groups = groups
        self._make = make
        self.ack_level = ack_level
        self._timeout_seconds = timeout_seconds
        self._everywhere = everywhere
        self._outboxes: dict[str, Outbox] = {}
        self._by_topic: dict[str, Outbox] = {}
        self._moves: dict[str, TopicMove] = {}
        self._moves_begun = 0
        self._lines: dict[str, Line] = {}  # Of topics whose outbox is being looked for.
        self._closed = False
        groups.listen(self._on_map)

    # ------------------------------------------------------------ for the publisher

    async def ready(self, seconds: float) -> None:
        """Open the stream to the home group, or to every one."""
        names = self._groups.map.names if self._everywhere else (self._groups.home,)
        await asyncio.gather(*(self._ready(name, seconds) for name in names))

    async def _ready(self, group: str, seconds: float) -> None:
        outbox = await self._outbox(group, seconds)
        await outbox.ready(seconds)

    async def enqueue(
        self, topic: str, message: Message, seconds: float
    ) -> asyncio.Future[PublishResult]:
        """Take one message; wait for its group and for room at most `seconds`."""
        outbox = self._known(topic)
        if outbox is not None:
            try:
                return await outbox.enqueue(topic, message, seconds)
            except NotOwnerError as error:
                self._look_again(topic, outbox, error)
        return await self._at_owner(
            topic, seconds, lambda found, left: found.enqueue(topic, message, left)
        )

    async def publish(
        self, topic: str, message: Message, seconds: float, payload_bytes: int | None = None
    ) -> PublishResult:
        """Take one message and wait until it is acknowledged."""
        outbox = self._known(topic)
        if outbox is not None:
            try:
                return await outbox.publish(topic, message, seconds, payload_bytes)
            except NotOwnerError as error:
                self._look_again(topic, outbox, error)
        return await self._at_owner(
            topic,
            seconds,
            lambda found, left: found.publish(topic, message, left, payload_bytes),
        )

    async def publish_many(
        self, topic: str, messages: Sequence[Message], seconds: float
    ) -> list[PublishedRange]:
        """Take many messages and wait until all are acknowledged; `seconds` bounds a standstill."""
        return await self._at_owner(
            topic, seconds, lambda found, _: found.publish_many(topic, messages, seconds)
        )

    async def _at_owner(
        self, topic: str, seconds: float, send: Callable[[Outbox, float], Awaitable[T]]
    ) -> T:
        """Hand over to the outbox of the group that takes the topic; NOT_OWNER means that nothing was handed over."""
        deadline = self._now() + seconds
        while True:
            outbox = self._known(topic) or await self._found(topic, deadline)
            try:
                return await send(outbox, self._left(deadline))
            except NotOwnerError as error:
                if self._now() >= deadline:
                    raise
                self._look_again(topic, outbox, error)

    async def flush(self, seconds: float) -> None:
        """Wait until everything added before is acknowledged or refused, whichever group it is with by then."""
        deadline = self._now() + seconds
        begun = -1
        while begun != self._moves_begun:
            begun = self._moves_begun
            try:
                async with asyncio.timeout_at(deadline):
                    for move in tuple(self._moves.values()):
                        await move.ended()
            except TimeoutError:
                waited_for = f"flushing {', '.join(self._moves)} to the group that owns it now"
                raise timed_out(seconds, waited_for) from None
            left = self._left(deadline)
            await asyncio.gather(*(outbox.flush(left) for outbox in self._outboxes.values()))

    async def close(self, seconds: float) -> None:
        """Give up what cannot move in time; the outboxes are closed by whoever made them."""
        self._closed = True  # Nothing begins to move any more.
        self._groups.ignore(self._on_map)
        moves = tuple(self._moves.values())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for move in moves:
                    await move.ended()
        for move in moves:
            await move.close()

    # ------------------------------------------------------------ which outbox

    def _known(self, topic: str) -> Outbox | None:
        """Return a topic's outbox, unless it is looked for or somebody already waits for it."""
        return None if topic in self._lines else self._by_topic.get(topic)

    async def _found(self, topic: str, deadline: float) -> Outbox:
        """Return the outbox of a topic whose group takes it; first come, first served.

        Whoever gets it hands over before the next one does, for neither waits in between.
        """
        async with self._turn(topic, deadline):
            outbox = self._by_topic.get(topic)
            while outbox is None:
                outbox = await self._routed(topic, deadline)
            return outbox

    async def _routed(self, topic: str, deadline: float) -> Outbox | None:
        """Have the group's coordinator tell of the topic; None = the map has changed meanwhile."""

        async def ask(pool: GroupPool, seconds: float) -> Outbox:
            outbox = self._made(pool)
            await outbox.find(topic, seconds)
            return outbox

        outbox = await self._groups.at_owner(topic, self._left(deadline), ask)
        if outbox is not self._outboxes.get(self._groups.map.group_of(topic) or ""):
            return None
        self._by_topic[topic] = outbox
        return outbox

    @contextlib.asynccontextmanager
    async def _turn(self, topic: str, deadline: float) -> AsyncIterator[None]:
        """Come behind earlier calls on the same topic, and behind what moves.

        Raises:
            DeadlineExceededError: They did not get away in time.
        """
        line = self._lines.setdefault(topic, Line())
        try:
            async with asyncio.timeout_at(deadline):
                await line.__aenter__()
        except TimeoutError:
            raise self._late(topic) from None
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    while (move := self._moves.get(topic)) is not None:
                        await move.ended()
            except TimeoutError:
                raise self._late(topic) from None
            yield
        finally:
            await line.__aexit__(None, None, None)
            if line.is_free:
                self._lines.pop(topic, None)

    def _late(self, topic: str) -> BellwireError:
        entry = self._groups.map.entry(self._groups.map.group_of(topic) or "")
        owner = "nobody is known there" if entry is None or not entry.owner else entry.owner
        waited_for = f"finding the group of coordinators that owns topic {topic!r}"
        return timed_out(self._timeout_seconds, waited_for, f"the latest known owner is {owner}")

    async def _outbox(self, group: str, seconds: float | None) -> Outbox:
        return self._made(await self._groups.pool_of(group, seconds))

    def _made(self, pool: GroupPool) -> Outbox:
        outbox = self._outboxes.get(pool.group)
        if outbox is None:
            outbox = self._outboxes[pool.group] = self._make(pool)
        return outbox

    def _look_again(self, topic: str, outbox: Outbox, error: NotOwnerError) -> None:
        """Have the group of a topic looked for; whoever publishes to it waits meanwhile.

        Raises:
            NotOwnerError: It is not because of the topic.
        """
        if not error.topic or self._closed:
            raise error
        self._groups.reread_soon()
        if self._by_topic.get(topic) is outbox:
            self._move(topic)

    # ------------------------------------------------------------ topics that move

    def _on_map(self) -> None:
        for topic, outbox in tuple(self._by_topic.items()):
            group = self._groups.map.group_of(topic)
            if group is None or self._outboxes.get(group) is outbox:
                continue
            self._move(topic)

    def _move(self, topic: str) -> None:
        source = self._by_topic.pop(topic)
        self._moves_begun += 1
        self._moves[topic] = TopicMove(topic, source, self._groups, self._outbox, self._moved)

    def _moved(self, topic: str, outbox: Outbox | None) -> None:
        del self._moves[topic]
        if outbox is not None:
            self._by_topic[topic] = outbox
        if not self._closed:
            self._on_map()  # It may have passed on meanwhile.

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _left(self, deadline: float) -> float:
        return max(LEFT_SECONDS_MIN, deadline - self._now())
