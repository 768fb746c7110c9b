"""The shells around sessions: what the gRPC services do, without gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from tests.simulation import events as ev
from tests.simulation.clock import VirtualLoop
from tests.simulation.network import Stream
from tests.simulation.observer import Observer
from tests.simulation.violation import Kind

from bellwire.bus.v1 import publisher_pb2, subscriber_pb2
from bellwire.coordinator.core.engine import Engine
from bellwire.coordinator.core.publish_session import PublishSession
from bellwire.coordinator.core.subscribe_session import SubscribeSession
from bellwire.wire.errors import BellwireError


class Host(Protocol):
    """The coordinator that runs the sessions."""

    def wall_ns(self) -> int:
        """Return its wall clock."""
        ...

    def soon(self, action: Callable[..., None], *args: Any) -> None:
        """Call after this turn of the loop, unless it has died."""

    def later(self, seconds: float, action: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Call after a time, unless it has died."""
        ...

    def gone(self, end: ServerStream) -> None:
        """Forget a stream that has ended."""


class ServerStream:
    """The shell around one session."""

    def __init__(
        self,
        coordinator: Host,
        loop: VirtualLoop,
        observer: Observer,
        engine: Engine,
        stream: Stream,
    ) -> None:
        self._coordinator = coordinator
        self._loop = loop
        self._observer = observer
        self._engine = engine
        self.stream = stream
        self._open = True
        self._half_closed = False
        self._pump_pending = False

    def drain(self) -> None:
        """Announce that the coordinator goes away."""

    def on_data(self, data: bytes) -> None:
        """Take a frame."""
        raise NotImplementedError

    def on_half_close(self) -> None:
        """The peer sends nothing more."""
        self._half_closed = True
        self._wake()

    def on_room(self) -> None:
        """More may be sent."""
        self._wake()

    def on_broken(self) -> None:
        """The connection is gone."""
        self._close()

    def _wake(self) -> None:
        if self._open and not self._pump_pending:
            self._pump_pending = True
            self._coordinator.soon(self._pump_now)

    def _pump_now(self) -> None:
        self._pump_pending = False
        if self._open:
            self._guard(self._pump)

    def _pump(self) -> None:
        """Send what there is to send."""

    def _guard(self, action: Callable[[], None]) -> None:
        """End the stream with what the session raises."""
        try:
            action()
        except BellwireError as error:
            self._finish(error)

    def _finish(self, error: BellwireError | None) -> None:
        if error is not None:
            self._observer.note(f"stream of {self.stream.client} ended: {error.reason}")
        self._close()
        self.stream.finish(error)

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._coordinator.gone(self)
            self._close_session()

    def _close_session(self) -> None:
        """Leave the core."""


class PublishEnd(ServerStream):
    """A publish stream."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.session = PublishSession(self._engine, self._wake)
        self._unread: list[bytes] = []
        self._unanswered: dict[int, dict[int, int]] = {}  # Messages by frame and batch.

    def drain(self) -> None:
        """Announce that the coordinator goes away."""
        self.session.drain()

    def on_data(self, data: bytes) -> None:
        """Take a frame."""
        self._unread.append(data)
        self._guard(self._read)

    def _read(self) -> None:
        session = self.session
        while self._unread and not session.is_blocked and self._open:
            request = publisher_pb2.PublishStreamRequest.FromString(self._unread.pop(0))
            session.on_frame(request, self._loop.time(), self._coordinator.wall_ns())
            if request.HasField("start"):
                self._observer.note(f"publish stream of {self.stream.client}")
            elif request.HasField("batches"):
                self._count(request.batches)

    def _pump(self) -> None:
        session = self.session
        if session.error is not None:
            raise session.error
        self._read()
        while self.stream.has_room and (frame := session.next_frame()) is not None:
            self._note(frame)
            self.stream.send(frame)
        if self._half_closed and session.is_idle and self.stream.has_room:
            self._finish(None)

    def _close_session(self) -> None:
        self.session.close()

    def _count(self, frame: publisher_pb2.PublishBatches) -> None:
        """Check the publisher's window: what it has sent and nobody has answered."""
        counts = [batch.header.message_count for batch in frame.batches]
        self._unanswered[frame.frame_sequence] = dict(enumerate(counts))
        total = sum(sum(batches.values()) for batches in self._unanswered.values())
        limit = self._engine.settings.publish_window_messages
        if total > limit:
            text = f"{self.stream.client} has {total} messages unanswered, limit is {limit}"
            self._observer.report(Kind.WINDOW, text)

    def _note(self, frame: publisher_pb2.PublishStreamResponse) -> None:
        client = self.stream.client
        if frame.HasField("ack"):
            first, last = frame.ack.first_frame_sequence, frame.ack.last_frame_sequence
            self._observer.note(f"ack {client} {first}..{last}")
            for sequence in range(first, last + 1):
                self._unanswered.pop(sequence, None)
        elif frame.HasField("failure"):
            failure = frame.failure
            self._observer.note(f"failure {client} {failure.error.reason}")
            self._unanswered.get(failure.frame_sequence, {}).pop(failure.batch_index, None)


class SubscribeEnd(ServerStream):
    """A subscribe stream."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.session = SubscribeSession(self._engine, self._wake)
        self._timer: asyncio.TimerHandle | None = None
        self._name = ""
        self._member = ""

    def drain(self) -> None:
        """Announce that the coordinator goes away."""
        self.session.drain(at_once=True)

    def on_data(self, data: bytes) -> None:
        """Take a frame."""
        self._guard(lambda: self._take(subscriber_pb2.SubscribeRequest.FromString(data)))

    def _take(self, request: subscriber_pb2.SubscribeRequest) -> None:
        is_new = request.start.subscription not in self._engine.bus.named
        self.session.on_frame(request, self._loop.time(), self._coordinator.wall_ns())
        if request.HasField("start"):
            self._started(request.start, is_new=is_new)
        elif request.HasField("window"):
            window = request.window
            self._observer.wire.add(ev.Granted(self._member, window.messages, window.bytes))

    def _started(self, start: subscriber_pb2.SubscribeStart, *, is_new: bool) -> None:
        member = self.session.member
        assert member is not None
        observer, subscription = self._observer, member.subscription
        self._member = member.lease_id
        client = start.client_id
        self._name = observer.label(subscription, f"{client}~{member.lease_id[:8]}")
        observer.note(f"{client} joins {self._name} as {member.lease_id[:8]}")
        topics = tuple(start.topics) if start.subscription else ()
        ordered = subscription.ordering == subscriber_pb2.ORDERING_PARTITION
        observer.wire.add(ev.Subscribed(self._name, topics, ordered))
        observer.wire.add(ev.Granted(self._member, start.window.messages, start.window.bytes))
        if not start.subscription:
            self._note_start(start, client)
        elif is_new:  # What retention took before is not owed.
            for cursor in subscription.cursors:
                log = observer.log(cursor.partition.log.log_id)
                observer.both(ev.Started(self._name, log, cursor.next_offset))

    def _note_start(self, start: subscriber_pb2.SubscribeStart, client: str) -> None:
        """An ephemeral subscription begins somewhere, or goes on behind what retention has taken."""
        member = self.session.member
        assert member is not None
        asked = {(p.topic, p.partition): p for p in start.start_position.positions}
        for cursor in member.subscription.cursors:
            partition = cursor.partition
            log = self._observer.log(partition.log.log_id)
            wanted = asked.get((partition.topic.name, partition.index))
            if wanted is None:
                self._observer.users.add(ev.Started(client, log, cursor.next_offset))
            elif wanted.log_id == partition.log.log_id:
                for offset in range(wanted.offset, cursor.next_offset):
                    self._observer.users.add(ev.Dropped(client, log, offset, "retention"))
            else:
                self._observer.users.add(ev.Started(client, log, cursor.next_offset))

    def _pump(self) -> None:
        session = self.session
        while self.stream.has_room and not self._half_closed:
            frame = session.next_frame(self._loop.time(), self._coordinator.wall_ns())
            if frame is None:
                if session.retry_at is not None:
                    self._wake_at(session.retry_at)
                return
            self._note(frame)
            self.stream.send(frame)
            if not session.has_more:
                self._check_silence()
        if self._half_closed:
            while (frame := session.next_failure()) is not None:
                self.stream.send(frame)
            self._finish(None)

    def _check_silence(self) -> None:
        """Ask a session again that says it has nothing more: drivers rely on it."""
        now, retry_at = self._loop.time(), self.session.retry_at
        if retry_at is not None and retry_at <= now:
            return  # It asked for another turn itself.
        frame = self.session.next_frame(now, self._coordinator.wall_ns())
        assert frame is None, f"a session that had nothing more said {frame}"
        again_at = self.session.retry_at
        in_time = again_at is None or (retry_at is not None and retry_at <= again_at)
        assert in_time, f"a session would ask at {retry_at}, and asked then would at {again_at}"

    def _wake_at(self, at: float) -> None:
        """Pump again by then; a timer that fires sooner serves as well."""
        timer, now = self._timer, self._loop.time()
        if timer is not None and now < timer.when() <= at:
            return
        if timer is not None:
            timer.cancel()
        self._timer = self._coordinator.later(max(0.0, at - now), self._wake)

    def _note(self, frame: subscriber_pb2.SubscribeResponse) -> None:
        arm = frame.WhichOneof("frame")
        if arm == "delivery":
            self._observer.sent(self._name, self._member, frame.delivery)
        elif arm == "deliveries":
            for delivery in frame.deliveries.deliveries:
                self._observer.sent(self._name, self._member, delivery)
        elif arm == "settle_failure":
            item = frame.settle_failure
            self._observer.note(f"settle failure {self._name}: {item.error.reason}")

    def _close_session(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.session.close(lost=not self._half_closed)
