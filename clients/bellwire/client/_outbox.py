"""Publishes over one stream: the I/O around the batcher."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final

import grpc

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.publisher_pb2 import (
    AckLevel,
    PublishHeartbeat,
    PublishStart,
    PublishStreamRequest,
    PublishStreamResponse,
)
from bellwire.bus.v1.publisher_pb2_grpc import PublisherServiceAsyncStub, PublisherServiceStub
from bellwire.client._batcher import Batcher, Landed
from bellwire.client._link import Link
from bellwire.client._segment import Ticket, estimated_bytes
from bellwire.client._ticket import ManyTicket
from bellwire.client._topics import TopicDirectory, TopicRoute
from bellwire.client.errors import BufferFullError, timed_out
from bellwire.client.results import PublishedRange, PublishResult
from bellwire.client.settings import ClientSettings
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import BellwireError, CallerError, ClosedError, PeerError
from bellwire.wire.window import Window

SLICE_MESSAGES: Final = 10_000  # Partitioned at a time, so that the first batch leaves early.
MILLIS: Final = 1_000


class Outbox:
    """Takes messages, keeps one publish stream alive, and tells each caller what became of its own.

    Overflow policy of the buffer: BLOCK, for at most the caller's timeout.
    """

    final_errors: tuple[type[BellwireError], ...] = ()
    retried_errors: tuple[type[BellwireError], ...] = ()

    def __init__(
        self,
        pool: ChannelPool,
        topics: TopicDirectory,
        settings: ClientSettings,
        *,
        client_id: str,
        ack_level: AckLevel.ValueType,
        control: bool,
    ) -> None:
        self._pool = pool
        self._topics = topics
        self._settings = settings
        self._client_id = client_id
        self._control = control
        self._channel: grpc.aio.Channel | None = None
        self._batcher = Batcher(settings.publish, ack_level)
        kind = "control publish" if control else "publish"
        self._where = f"{kind} stream to {pool.address}"
        self._link = Link(self, self._where, settings, settings.heartbeat_seconds)
        self._line = asyncio.Lock()
        self._resolved = asyncio.Event()
        self._drain_deadline: float | None = None
        self._reconnect_after = 0.0
        self._closed = False

    # ------------------------------------------------------------ for the publisher

    async def enqueue(
        self, topic: str, message: Message, seconds: float
    ) -> asyncio.Future[PublishResult]:
        """Take one message; wait for room at most `seconds`."""
        route = self._topics.known(topic) or await self._topics.route(topic, seconds)
        size_bytes = estimated_bytes((message,))
        if self._line.locked() or not self._batcher.buffer.fits(1, size_bytes):
            await self._wait_for_room(1, size_bytes, seconds)
        self._check_open()
        future: asyncio.Future[PublishResult] = asyncio.get_running_loop().create_future()
        self._batcher.add(topic, route.partition_of(message), (message,), size_bytes, future)
        self._link.wake()
        return future

    async def publish(self, topic: str, message: Message, seconds: float) -> PublishResult:
        """Take one message and wait until it is acknowledged."""
        future = await self.enqueue(topic, message, seconds)
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            raise self._late(seconds, 1, topic) from None

    async def publish_many(
        self, topic: str, messages: Sequence[Message], seconds: float
    ) -> list[PublishedRange]:
        """Take many messages and wait until all are acknowledged; `seconds` bounds a standstill."""
        if not messages:
            return []
        route = self._topics.known(topic) or await self._topics.route(topic, seconds)
        ticket = ManyTicket(len(messages))
        try:
            for start in range(0, len(messages), SLICE_MESSAGES):
                await self._feed(route, messages[start : start + SLICE_MESSAGES], ticket, seconds)
            return await self._wait_for_all(ticket, topic, len(messages), seconds)
        finally:
            ticket.future.cancel()

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
            if self._batcher.buffer.messages:
                await self.flush(seconds)
        finally:
            await self._link.close()
            self._fail_all(
                ClosedError(f"{self._where} was closed before the message was acknowledged")
            )

    # ------------------------------------------------------------ waits

    async def _feed(
        self, route: TopicRoute, messages: Sequence[Message], ticket: ManyTicket, seconds: float
    ) -> None:
        batch_messages = self._settings.publish.batch_messages_max
        for partition, chunk in route.spread(messages, batch_messages):
            size_bytes = estimated_bytes(chunk)
            if self._line.locked() or not self._batcher.buffer.fits(len(chunk), size_bytes):
                await self._wait_for_room(len(chunk), size_bytes, seconds)
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

    async def _wait_for_room(self, messages: int, size_bytes: int, seconds: float) -> None:
        """Wait until the buffer has room; first come, first served."""
        buffer = self._batcher.buffer
        try:
            async with asyncio.timeout(seconds), self._line:
                while not buffer.fits(messages, size_bytes):
                    self._check_open()
                    self._resolved.clear()
                    await self._resolved.wait()
        except TimeoutError:
            raise BufferFullError(
                f"publish buffer stayed full for {seconds:g} s: it holds {buffer.messages} messages of "
                f"{buffer.size_bytes} bytes for {self._where}: {self._trouble()}",
                metadata={"messages": str(buffer.messages), "bytes": str(buffer.size_bytes)},
            ) from None

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{self._where} is closed")
        self._link.check_usable()
        self._link.start()

    def _late(self, seconds: float, count: int, topic: str) -> BellwireError:
        noun = "message" if count == 1 else "messages"
        return timed_out(
            seconds,
            f"the acknowledgement of {count} {noun} on {topic!r} by {self._pool.address}",
            self._trouble(),
        )

    def _trouble(self) -> str:
        refusal = self._batcher.last_refusal
        if refusal is not None:
            return refusal.message
        return self._link.trouble() or "the coordinator acknowledges too slowly"

    # ------------------------------------------------------------ Side of the link

    async def prepare(self) -> None:
        """After a lost stream ask for the topics again: the coordinator may be another one."""
        if self._link.streams_opened == 0:
            return
        self._topics.forget()
        for topic in self._batcher.topics_waiting():
            with contextlib.suppress(CallerError):  # Its batches will be refused with this.
                await self._topics.route(topic, self._settings.timeout_seconds)

    def open_call(self) -> grpc.aio.StreamStreamCall[PublishStreamRequest, PublishStreamResponse]:
        """Begin the RPC, on the channel kept for it."""
        if self._channel is None:
            self._channel = self._pool.control() if self._control else self._pool.next()
        stub: PublisherServiceAsyncStub = PublisherServiceStub(self._channel)
        return stub.PublishStream()

    def start_frame(self) -> PublishStreamRequest:
        """Return the first frame; it claims the producer id of the stream before."""
        batcher = self._batcher
        return PublishStreamRequest(
            start=PublishStart(
                client_id=self._client_id,
                producer_id=batcher.producer_id,
                producer_epoch=batcher.producer_epoch,
            )
        )

    def heartbeat_frame(self) -> PublishStreamRequest:
        """Return the frame that says "still here"."""
        return PublishStreamRequest(heartbeat=PublishHeartbeat(time_unix_nano=time.time_ns()))

    def next_frame(self, now: float) -> PublishStreamRequest | None:
        """Return the next frame to send, or None."""
        frame = self._batcher.next_frame(now)
        if self._batcher.outcomes:
            self._tell()
        return frame

    def wake_at(self, now: float) -> float | None:
        """Return when to ask `next_frame` again though nothing happened."""
        at = self._batcher.wake_at(now)
        deadline = self._drain_deadline
        return at if deadline is None else min(deadline, at or deadline)

    def on_response(self, response: PublishStreamResponse, now: float) -> None:
        """Take a frame of the coordinator."""
        batcher = self._batcher
        match response.WhichOneof("frame"):
            case "ack":
                batcher.on_ack(response.ack)
            case "failure":
                batcher.on_failure(response.failure, now)
            case "window":
                batcher.resize_window(response.window.messages, response.window.bytes)
            case "started":
                started = response.started
                window = Window(started.window.messages, started.window.bytes)
                batcher.started(started.producer_id, started.producer_epoch, window)
            case "draining":
                batcher.drain()
                self._drain_deadline = now + self._settings.timeout_seconds
                self._reconnect_after = response.draining.reconnect_after_millis / MILLIS
            case _:
                pass  # A heartbeat, or something newer than this client: hearing it is enough.
        if batcher.outcomes:
            self._tell()
        if batcher.producer_lost:
            raise PeerError(f"{self._where}: the coordinator does not know our sequences")

    def is_finished(self) -> bool:
        """Tell whether the coordinator drains and owes no answer, or has taken too long."""
        deadline = self._drain_deadline
        if deadline is None:
            return False
        return self._batcher.idle() or asyncio.get_running_loop().time() >= deadline

    def reconnect_after(self) -> float:
        """Return the seconds the coordinator asked to wait."""
        return self._reconnect_after

    def on_lost(self) -> None:
        """Keep what was not answered for the next stream."""
        self._drain_deadline = None
        self._batcher.lost()

    def on_failed(self, error: BellwireError) -> None:
        """Fail everything that waits."""
        self._fail_all(error)

    # ------------------------------------------------------------ telling callers

    def _tell(self) -> None:
        outcomes, self._batcher.outcomes = self._batcher.outcomes, []
        for outcome in outcomes:
            if isinstance(outcome, Landed):
                _place(outcome)
            else:
                for segment in outcome.segments:
                    _refuse(segment.ticket, outcome.error)
        self._resolved.set()

    def _fail_all(self, error: BellwireError) -> None:
        for segment in self._batcher.give_up():
            _refuse(segment.ticket, error)
        self._resolved.set()


def _place(landed: Landed) -> None:
    position = landed.position
    topic, partition, duplicate = position.topic, position.partition, position.duplicate
    offset = position.first_offset
    for segment in landed.out.segments:
        after = offset + len(segment.messages)
        ticket = segment.ticket
        if isinstance(ticket, ManyTicket):
            ticket.place(PublishedRange(topic, partition, offset, after - 1, duplicate))
        elif isinstance(ticket, asyncio.Future) and not ticket.done():
            ticket.set_result(PublishResult(topic, partition, offset, duplicate))
        offset = after


def _refuse(ticket: Ticket, error: BellwireError) -> None:
    if isinstance(ticket, ManyTicket):
        ticket.refuse(error)
    elif isinstance(ticket, asyncio.Future) and not ticket.done():
        ticket.set_exception(error)
