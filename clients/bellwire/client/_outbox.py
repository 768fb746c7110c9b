"""Publishes over one stream: the I/O around the batcher."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.publisher_pb2 import AckLevel
from bellwire.client._line import Line
from bellwire.client._link import Link
from bellwire.client._publish_side import PublishSide
from bellwire.client._segment import ENVELOPE_BYTES, Segment, estimated_bytes
from bellwire.client._ticket import ManyTicket
from bellwire.client._topics import TopicDirectory, TopicRoute
from bellwire.client.errors import BufferFullError, timed_out
from bellwire.client.results import PublishedRange, PublishResult
from bellwire.client.settings import ClientSettings
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import BellwireError, ClosedError

SLICE_MESSAGES: Final = 10_000  # Partitioned at a time, so that the first batch leaves early.


class Outbox:
    """Takes messages, keeps one publish stream alive, and tells each caller what became of its own.

    Overflow policy of the buffer: BLOCK, for at most the caller's timeout.
    """

    def __init__(
        self,
        pool: ChannelPool,
        topics: TopicDirectory,
        settings: ClientSettings,
        *,
        client_id: str,
        ack_level: AckLevel.ValueType,
        control: bool = False,
        producer_name: str = "",
    ) -> None:
        self._address = pool.address
        self._topics = topics
        self._batch_messages = settings.publish.batch_messages_max
        self._side = PublishSide(
            pool, topics, settings, client_id, ack_level, control, producer_name
        )
        self._batcher = self._side.batcher
        self._resolved = self._side.resolved
        owner = f" of producer {producer_name!r}" if producer_name else ""
        self._where = f"{'control ' if control else ''}publish stream{owner} to {pool.address}"
        self.ack_level = ack_level
        self._link = Link(self._side, pool, self._where, settings, settings.heartbeat_seconds)
        self._line = Line()
        self._turns: dict[str, Line] = {}  # Of topics with calls under way.
        self._closed = False

    # ------------------------------------------------------------ for the publisher

    async def ready(self, seconds: float) -> None:
        """Open the stream, which is otherwise done with the first message."""
        self._check_open()
        await self._link.opened(seconds)

    async def enqueue(
        self, topic: str, message: Message, seconds: float, payload_bytes: int | None = None
    ) -> asyncio.Future[PublishResult]:
        """Take one message; wait for room at most `seconds`.

        Args:
            topic: Where to.
            message: Not to be changed any more.
            seconds: Of waiting.
            payload_bytes: Length of its data, where it is known: protobuf tells it by a copy. None = it is not.
        """
        route = self._topics.known(topic)
        if payload_bytes is None:
            payload_bytes = len(message.data)
        size_bytes = payload_bytes + ENVELOPE_BYTES
        if route and topic not in self._turns and self._has_room(1, size_bytes):
            return self._add(route, message, size_bytes)
        async with self._turn(topic, seconds):
            route = self._topics.known(topic) or await self._topics.route(topic, seconds)
            async with self._room(1, size_bytes, seconds):
                return self._add(route, message, size_bytes)

    def _add(
        self, route: TopicRoute, message: Message, size_bytes: int
    ) -> asyncio.Future[PublishResult]:
        self._check_open()
        future: asyncio.Future[PublishResult] = asyncio.get_running_loop().create_future()
        partition = route.partition_of(message)
        self._batcher.add(route.topic, partition, (message,), size_bytes, future)
        self._link.wake()
        return future

    async def publish(
        self, topic: str, message: Message, seconds: float, payload_bytes: int | None = None
    ) -> PublishResult:
        """Take one message and wait until it is acknowledged; see `enqueue`."""
        deadline = asyncio.get_running_loop().time() + seconds
        future = await self.enqueue(topic, message, seconds, payload_bytes)
        try:
            async with asyncio.timeout_at(deadline):
                return await future
        except TimeoutError:
            raise self._late(seconds, 1, topic) from None

    async def publish_many(
        self, topic: str, messages: Sequence[Message], seconds: float
    ) -> list[PublishedRange]:
        """Take many messages and wait until all are acknowledged; `seconds` bounds a standstill."""
        if not messages:
            return []
        ticket = ManyTicket(len(messages))
        try:
            async with self._turn(
                topic, seconds
            ):  # The next call's messages come behind all of these.
                route = self._topics.known(topic) or await self._topics.route(topic, seconds)
                for start in range(0, len(messages), SLICE_MESSAGES):
                    part = messages[start : start + SLICE_MESSAGES]
                    await self._feed(route, part, ticket, seconds)
            return await self._wait_for_all(ticket, topic, len(messages), seconds)
        finally:
            if not ticket.future.cancel() and not ticket.future.cancelled():
                ticket.future.exception()  # Looked at, so that asyncio need not complain.

    async def flush(self, seconds: float) -> None:
        """Wait until everything added before is acknowledged or refused."""
        mark = self._batcher.buffer.mark()
        try:
            async with asyncio.timeout(seconds):
                while not self._batcher.buffer.resolved_through(mark):
                    self._link.check_usable()
                    self._resolved.clear()
                    await self._resolved.wait()
        except TimeoutError:
            waiting = self._batcher.buffer.messages
            raise timed_out(
                seconds, f"flushing {waiting} messages to {self._where}", self._trouble()
            ) from None

    async def close(self, seconds: float) -> None:
        """Flush, end the stream, and fail whatever could not be sent."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._batcher.is_awaited():
                await self.flush(seconds)
        finally:
            await self._link.close()
            self._side.fail_all(
                ClosedError(f"{self._where} was closed before the message was acknowledged")
            )

    # ------------------------------------------------------------ topics that come and go

    async def find(self, topic: str, seconds: float) -> None:
        """Learn how a topic is partitioned; raises what `TopicDirectory.route` does."""
        await self._topics.route(topic, seconds)

    def holds(self, topic: str) -> bool:
        """Tell whether anything of a topic is held, or about to be handed over by a call under way."""
        return topic in self._turns or self._batcher.holds(topic)

    def give_away(self, topic: str) -> list[tuple[int, Segment]]:
        """Return what waits of a topic, by partition and in order, and forget it."""
        given = self._batcher.give_away(topic)
        self._resolved.set()
        return given

    def check_usable(self) -> None:
        """Raise what keeps it from taking anything, if anything does."""
        self._check_open()

    def take_over(self, topic: str, partition: int, segment: Segment) -> None:
        """Take what another outbox gave away; room for it is not asked for."""
        route = self._topics.known(topic)
        self._check_open()
        if route is None or partition < route.partition_count:
            chunks: Iterable[tuple[int, Sequence[Message]]] = ((partition, segment.messages),)
        else:
            chunks = route.spread(segment.messages, self._batch_messages)
        for chosen, messages in chunks:
            self._batcher.add(topic, chosen, messages, estimated_bytes(messages), segment.ticket)
        self._link.wake()

    def refuse(self, topic: str, error: BellwireError) -> None:
        """Tell who waits for messages of a topic that they will not be sent."""
        self._side.refuse(topic, error)

    # ------------------------------------------------------------ waits

    async def _feed(
        self, route: TopicRoute, messages: Sequence[Message], ticket: ManyTicket, seconds: float
    ) -> None:
        for partition, chunk in route.spread(messages, self._batch_messages):
            size_bytes = estimated_bytes(chunk)
            if not self._has_room(len(chunk), size_bytes):
                async with self._room(len(chunk), size_bytes, seconds):
                    if ticket.done():  # A refusal came while we waited; the rest need not be sent.
                        return
            self._check_open()
            self._batcher.add(route.topic, partition, chunk, size_bytes, ticket)
            self._link.wake()

    async def _wait_for_all(
        self, ticket: ManyTicket, topic: str, count: int, seconds: float
    ) -> list[PublishedRange]:
        while True:
            before = ticket.placed_messages
            done, _ = await asyncio.wait([ticket.future], timeout=seconds)
            if done:
                return ticket.future.result()
            if ticket.placed_messages == before:
                raise self._late(seconds, count - before, topic)

    def _has_room(self, messages: int, size_bytes: int) -> bool:
        return self._line.is_free and self._batcher.buffer.fits(messages, size_bytes)

    @contextlib.asynccontextmanager
    async def _room(self, messages: int, size_bytes: int, seconds: float) -> AsyncIterator[None]:
        """Wait until the buffer has room; first come, first served, whatever the topic.

        Raises:
            BufferFullError: There was none in time.
        """
        buffer = self._batcher.buffer
        try:
            async with asyncio.timeout(seconds), self._line:
                while not buffer.fits(messages, size_bytes):
                    self._check_open()
                    self._resolved.clear()
                    await self._resolved.wait()
        except TimeoutError:
            raise self._full(seconds) from None
        yield

    @contextlib.asynccontextmanager
    async def _turn(self, topic: str, seconds: float) -> AsyncIterator[None]:
        """Come behind earlier calls on the same topic, which wait for its route or for room.

        Raises:
            BellwireError: They did not get it in time.
        """
        line = self._turns.setdefault(topic, Line())
        try:
            async with asyncio.timeout(seconds):
                await line.__aenter__()
        except TimeoutError:
            if self._batcher.buffer.messages:
                raise self._full(seconds) from None
            waited_for = f"the turn behind earlier messages on {topic!r}"
            raise timed_out(seconds, waited_for, self._trouble()) from None
        try:
            yield
        finally:
            await line.__aexit__(None, None, None)
            if line.is_free:
                self._turns.pop(topic, None)

    def _full(self, seconds: float) -> BufferFullError:
        buffer = self._batcher.buffer
        return BufferFullError(
            f"publish buffer stayed full for {seconds:g} s: it holds {buffer.messages} messages of "
            f"{buffer.size_bytes} bytes for {self._where}: {self._trouble()}",
            metadata={"messages": str(buffer.messages), "bytes": str(buffer.size_bytes)},
        )

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{self._where} is closed")
        self._link.check_usable()
        self._link.start()

    def _late(self, seconds: float, count: int, topic: str) -> BellwireError:
        noun = "message" if count == 1 else "messages"
        return timed_out(
            seconds,
            f"the acknowledgement of {count} {noun} on {topic!r} by {self._address}",
            self._trouble(),
        )

    def _trouble(self) -> str:
        refusal = self._batcher.last_refusal
        if refusal is not None:
            return refusal.message
        return self._link.trouble() or "the coordinator acknowledges too slowly"
