"""What one publish stream carries: the batcher's frames out, the coordinator's answers in."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import grpc

from bellwire.bus.v1.publisher_pb2 import (
    AckLevel,
    PublishHeartbeat,
    PublishStart,
    PublishStreamRequest,
    PublishStreamResponse,
)
from bellwire.bus.v1.publisher_pb2_grpc import PublisherServiceStub
from bellwire.client._batcher import Batcher
from bellwire.client._direct_writer import DirectWriter
from bellwire.client._outcomes import Landed
from bellwire.client._segment import Ticket
from bellwire.client._ticket import ManyTicket
from bellwire.client._topics import TopicDirectory
from bellwire.client.results import PublishedRange, PublishResult
from bellwire.client.settings import ClientSettings
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import BellwireError, CallerError, NotOwnerError, PeerError
from bellwire.wire.window import Window

if TYPE_CHECKING:
    from bellwire.bus.v1.publisher_pb2_grpc import PublisherServiceAsyncStub

MILLIS: Final = 1_000


class PublishSide:
    """The `Side` of a publish stream; tells each caller what became of its messages.

    Attributes:
        batcher: What waits and what is unanswered.
        resolved: Set whenever the fate of something is known.
    """

    final_errors: tuple[type[BellwireError], ...] = ()
    retried_errors: tuple[type[BellwireError], ...] = ()

    def __init__(
        self,
        pool: ChannelPool,
        topics: TopicDirectory,
        settings: ClientSettings,
        client_id: str,
        ack_level: AckLevel.ValueType,
        control: bool,
        producer_name: str = "",
    ) -> None:
        self._pool = pool
        self._topics = topics
        self._settings = settings
        self._client_id = client_id
        self._control = control
        self._producer_name = producer_name
        self._channel: grpc.aio.Channel | None = None
        self._opened_before = False
        self._renewed: set[str] = set()
        self._drain_deadline: float | None = None
        self._reconnect_after = 0.0
        self._direct = DirectWriter(pool.direct_path, settings.timeout_seconds)
        self.batcher = Batcher(settings.publish, ack_level, self._direct.write)
        self.batcher.is_led = pool.is_led
        self.resolved = asyncio.Event()

    async def prepare(self) -> None:
        """After a lost stream ask for the topics again: the coordinator may be another one."""
        self._renewed.clear()
        if not self._opened_before:
            return
        for topic in self.batcher.topics_waiting():
            try:
                await self._topics.renew(topic, self._settings.timeout_seconds, patient=False)
                self._renewed.add(topic)
            except CallerError:
                pass  # Its batches will be refused with this.
            except NotOwnerError as error:
                if not self._pool.is_foreign(error):
                    raise
                # So will they be with this, and taken to the group that owns it.

    def open_call(self) -> grpc.aio.StreamStreamCall[PublishStreamRequest, PublishStreamResponse]:
        """Begin the RPC, on the channel kept for it."""
        if self._channel is None:
            self._channel = self._pool.control() if self._control else self._pool.next()
        self._direct.lead(self._pool.direct_path)
        stub: PublisherServiceAsyncStub = PublisherServiceStub(self._channel)
        return stub.PublishStream()

    def start_frame(self) -> PublishStreamRequest:
        """Return the first frame; it claims the producer id of the stream before."""
        batcher = self.batcher
        return PublishStreamRequest(
            start=PublishStart(
                client_id=self._client_id,
                producer_id=batcher.producer_id,
                producer_epoch=batcher.producer_epoch,
                producer_name=self._producer_name,
                direct=self._pool.direct_path is not None,
            )
        )

    def heartbeat_frame(self) -> PublishStreamRequest:
        """Return the frame that says "still here"."""
        return PublishStreamRequest(heartbeat=PublishHeartbeat(time_unix_nano=time.time_ns()))

    def next_frame(self, now: float) -> PublishStreamRequest | None:
        """Return the next frame to send, or None."""
        frame = self.batcher.next_frame(now)
        if self.batcher.buffer.freed:
            self._tell()
        return frame

    def has_more(self) -> bool:
        """Tell whether something waits, or the stream is about to end."""
        return self.batcher.has_work() or self._drain_deadline is not None

    def wake_at(self, now: float) -> float | None:
        """Return when to ask `next_frame` again though nothing happened."""
        at = self.batcher.wake_at(now)
        deadline = self._drain_deadline
        return at if deadline is None else min(deadline, at or deadline)

    def on_response(self, response: PublishStreamResponse, now: float) -> bool:
        """Take a frame of the coordinator; True when something waits to be sent."""
        batcher = self.batcher
        match response.WhichOneof("frame"):
            case "ack":
                batcher.on_ack(response.ack)
            case "failure":
                self._direct.end_all()  # Sequences that were handed over will be used anew.
                batcher.on_failure(response.failure, now)
                if batcher.foreign is not None:
                    error, batcher.foreign = batcher.foreign, None
                    self._pool.refused(self._pool.address, error)
            case "direct_route":
                self._direct.offered(response.direct_route)
            case "window":
                batcher.resize_window(response.window.messages, response.window.bytes)
            case "started":
                started = response.started
                window = Window(started.window.messages, started.window.bytes)
                batcher.started(started.producer_id, started.producer_epoch, window)
                if self._opened_before:
                    self._topics.forget_others(self._renewed)
                self._opened_before = True
                self._reconnect_after = 0.0
            case "draining":
                batcher.drain()
                self._drain_deadline = now + self._settings.timeout_seconds
                self._reconnect_after = response.draining.reconnect_after_millis / MILLIS
            case _:
                pass  # A heartbeat, or something newer than this client: hearing it is enough.
        if batcher.buffer.freed:
            self._tell()
        if batcher.fenced is not None:
            raise batcher.fenced
        if batcher.producer_lost:
            raise PeerError("publish stream: the coordinator does not know our sequences")
        return batcher.has_work() or self._drain_deadline is not None

    def is_finished(self) -> bool:
        """Tell whether the coordinator drains and owes no answer, or has taken too long."""
        deadline = self._drain_deadline
        if deadline is None:
            return False
        return self.batcher.idle() or asyncio.get_running_loop().time() >= deadline

    def reconnect_after(self) -> float:
        """Return the seconds the coordinator asked to wait."""
        return self._reconnect_after

    def on_lost(self) -> None:
        """Keep what was not answered for the next stream."""
        self._drain_deadline = None
        self._direct.end_all()
        self.batcher.lost()

    def on_failed(self, error: BellwireError) -> None:
        """Fail everything that waits."""
        self.fail_all(error)

    def _tell(self) -> None:
        outcomes, self.batcher.outcomes = self.batcher.outcomes, []
        for outcome in outcomes:
            if isinstance(outcome, Landed):
                _place(outcome)
            else:
                for segment in outcome.segments:
                    _refuse(segment.ticket, outcome.error)
        self.batcher.buffer.freed = False
        self.resolved.set()

    def refuse(self, topic: str, error: BellwireError) -> None:
        """Tell who waits for messages of a topic that they will not be sent."""
        for _, segment in self.batcher.give_away(topic):
            _refuse(segment.ticket, error)
        self.resolved.set()

    def fail_all(self, error: BellwireError) -> None:
        """Tell everyone that their messages will not be sent."""
        self._direct.end_all()
        for segment in self.batcher.give_up():
            _refuse(segment.ticket, error)
        self.resolved.set()


def _place(landed: Landed) -> None:
    position, level = landed.position, landed.ack_level
    topic, partition, duplicate = position.topic, position.partition, position.duplicate
    offset = position.first_offset
    for segment in landed.out.segments:
        after = offset + len(segment.messages)
        ticket = segment.ticket
        if isinstance(ticket, ManyTicket):
            ticket.place(PublishedRange(topic, partition, offset, after - 1, duplicate, level))
        elif isinstance(ticket, asyncio.Future) and not ticket.done():
            ticket.set_result(PublishResult(topic, partition, offset, duplicate, level))
        offset = after


def _refuse(ticket: Ticket, error: BellwireError) -> None:
    if isinstance(ticket, ManyTicket):
        ticket.refuse(error)
    elif isinstance(ticket, asyncio.Future) and not ticket.done():
        ticket.set_exception(error)
