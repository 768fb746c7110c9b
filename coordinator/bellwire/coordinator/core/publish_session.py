"""One publish stream without I/O: frames in, acknowledgements out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from bellwire.bus.v1 import publisher_pb2 as pb
from bellwire.bus.v1.direct_pb2 import DirectRoute
from bellwire.bus.v1.message_pb2 import Batch, PositionRange, Window
from bellwire.coordinator.core.admission import admit_batch, check_ack_level
from bellwire.coordinator.core.direct import DirectWriter
from bellwire.coordinator.core.engine import Engine
from bellwire.coordinator.core.outbox import FrameQueue
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.producer_names import NAME_BYTES_MAX
from bellwire.coordinator.core.worker import Waiting
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    DrainingError,
    NotOwnerError,
    UnknownFrameError,
    to_item_error,
)

BATCHES_PER_FRAME_MAX: Final = 64
OUTBOX_FRAMES_MAX: Final = 4_096  # Acks merge; a peer this far behind does not read.
POSITIONS_PER_ACK_MAX: Final = 256
RECONNECT_AFTER_MILLIS: Final = 100  # A restart takes longer; the client's backoff does the rest.


class _Frame:
    """A frame whose batches are not all answered."""

    __slots__ = (
        "batches",
        "level",
        "messages",
        "open_count",
        "positions",
        "sequence",
        "size_bytes",
    )

    def __init__(self, frame: pb.PublishBatches) -> None:
        self.sequence = frame.frame_sequence
        self.batches = frame.batches
        self.level: pb.AckLevel.ValueType = pb.ACK_LEVEL_UNSPECIFIED
        self.open_count = len(frame.batches)
        self.positions: list[PositionRange | None] = [None] * len(frame.batches)
        self.messages = 0
        self.size_bytes = 0

    def reach(self, level: pb.AckLevel.ValueType) -> None:
        """Note the level one of its batches reaches; the lowest counts."""
        self.level = min(self.level, level) if self.level else level


class PublishSession:
    """Reads frames, appends, and acknowledges in ranges.

    Args:
        engine: Where to append.
        wake: Called when `next_frame` has something, or `is_blocked` or `error` may have changed.
        process: The peer's, when it is on this host over the socket lane; None = it is not.
    """

    def __init__(
        self, engine: Engine, wake: Callable[[], None], process: int | None = None
    ) -> None:
        self._engine = engine
        self._settings = engine.settings
        self._outbox: FrameQueue[pb.PublishStreamResponse] = FrameQueue(OUTBOX_FRAMES_MAX, wake)
        self._wake = wake
        self._process = process
        self._direct: DirectWriter | None = None
        self._started = False
        self._closed = False
        self._last_frame = 0
        self._open: dict[_Frame, None] = {}
        self._waiting: dict[Waiting, None] = {}
        self._messages_waiting = 0
        self._bytes_waiting = 0

    # ------------------------------------------------------------ for the shell

    @property
    def is_blocked(self) -> bool:
        """Whether the window is used up: nothing more may be read until something is answered."""
        return (
            self._messages_waiting >= self._settings.publish_window_messages
            or self._bytes_waiting >= self._settings.publish_window_bytes
        )

    @property
    def is_idle(self) -> bool:
        """Whether every frame is answered."""
        return not self._open

    @property
    def error(self) -> BellwireError | None:
        """Why the stream must end; None = it need not."""
        return self._outbox.error

    def next_frame(self) -> pb.PublishStreamResponse | None:
        """Return the next frame to send, or None."""
        return self._outbox.take()

    @property
    def has_frames(self) -> bool:
        """Whether `next_frame` has something."""
        return bool(self._outbox)

    def heartbeat(self, now_ns: int) -> None:
        """Say that there is nothing to say."""
        beat = pb.PublishHeartbeat(time_unix_nano=now_ns)
        self._outbox.put(pb.PublishStreamResponse(heartbeat=beat))

    def drain(self) -> None:
        """Announce that the server is about to go away."""
        draining = pb.PublishDraining(reconnect_after_millis=RECONNECT_AFTER_MILLIS)
        self._outbox.put(pb.PublishStreamResponse(draining=draining))

    def close(self) -> None:
        """Append nothing more for a lost stream.

        Its peer sends all of it again, in order; a batch that was appended meanwhile without those
        before it would put them out of order for good.
        """
        self._closed = True
        if self._direct is not None:
            self._direct.close()
        for waiting in self._waiting:
            waiting.cancel()
        self._waiting.clear()
        self._open.clear()

    def on_frame(self, request: pb.PublishStreamRequest, now: float, now_ns: int) -> None:
        """Take a frame of the peer.

        Raises:
            BellwireError: The stream must end with this.
        """
        if now >= self._engine.serve_until:
            raise NotOwnerError(
                "this coordinator may not serve now: its lease was not renewed in time"
            )
        arm = request.WhichOneof("frame")
        if arm == "batches" and self._started:
            self._on_batches(request.batches, now, now_ns)
        elif arm == "start":
            self._start(request.start)
        elif arm is None:
            raise UnknownFrameError("publish frame carries no arm this server knows")
        elif not self._started:
            raise CallerError(
                f"the first frame of the publish stream is `{arm}`: it must be `start`"
            )
        else:
            self.heartbeat(now_ns)

    # ------------------------------------------------------------ start

    def _start(self, start: pb.PublishStart) -> None:
        if self._started:
            raise CallerError("`start` came twice: it is the first frame, and only the first")
        if self._engine.draining:
            raise DrainingError("coordinator is shutting down: reconnect")
        if len(start.client_id.encode()) > NAME_BYTES_MAX:
            raise CallerError(f"client_id holds more than {NAME_BYTES_MAX} bytes")
        self._started = True
        if start.direct and self._process is not None:
            self._direct = DirectWriter(self._engine.direct, self._process, self._say_route)
        names = self._engine.producer_names
        if start.producer_id:
            ids = self._engine.bus.producer_ids
            ids.check_epoch(start.producer_id, start.producer_epoch)
            self._say_started(start.producer_id, start.producer_epoch)
        elif start.producer_name:
            record = names.open(start.producer_name)
            ticket = self._engine.journal.barrier()
            if ticket is None:
                self._say_started(record.producer_id, record.epoch)
            else:
                ticket.then(partial(self._named, record.producer_id, record.epoch))
        else:
            self._say_started(self._engine.bus.producer_ids.issue(), 0)

    def _named(self, producer_id: int, epoch: int, error: BellwireError | None) -> None:
        if self._closed:
            return
        if error is not None:
            self._outbox.error = error
            self._wake()
            return
        self._say_started(producer_id, epoch)

    def _say_started(self, producer_id: int, epoch: int) -> None:
        settings = self._settings
        window = Window(
            messages=settings.publish_window_messages, bytes=settings.publish_window_bytes
        )
        started = pb.PublishStarted(producer_id=producer_id, producer_epoch=epoch, window=window)
        self._outbox.put(pb.PublishStreamResponse(started=started))

    def _say_route(self, route: DirectRoute) -> None:
        self._outbox.put(pb.PublishStreamResponse(direct_route=route))

    # ------------------------------------------------------------ batches

    def _on_batches(self, request: pb.PublishBatches, now: float, now_ns: int) -> None:
        if request.frame_sequence != self._last_frame + 1:
            raise CallerError(
                f"frame {request.frame_sequence} does not follow frame {self._last_frame}: count by one",
                metadata={
                    "found": str(request.frame_sequence),
                    "expected": str(self._last_frame + 1),
                },
            )
        self._last_frame = request.frame_sequence
        if not 1 <= len(request.batches) <= BATCHES_PER_FRAME_MAX:
            raise CallerError(
                f"frame holds {len(request.batches)} batches, 1 to {BATCHES_PER_FRAME_MAX} are allowed"
            )
        frame = _Frame(request)
        for index, batch in enumerate(request.batches):
            try:
                self._append(frame, index, batch, request.ack_level, now, now_ns)
            except BellwireError as error:
                self._fail(frame, index, error)
        if not frame.open_count:
            self._acknowledge(frame)
            return
        frame.messages = sum(batch.header.message_count for batch in request.batches)
        frame.size_bytes = request.ByteSize()
        self._messages_waiting += frame.messages
        self._bytes_waiting += frame.size_bytes
        self._open[frame] = None

    def _append(
        self,
        frame: _Frame,
        index: int,
        batch: Batch,
        asked: pb.AckLevel.ValueType,
        now: float,
        now_ns: int,
    ) -> None:
        engine = self._engine
        header = batch.header
        topic = engine.bus.topic(header.topic, now_ns)
        level = check_ack_level(topic, asked)
        sampled = admit_batch(batch, topic, self._settings.limits, "", now_ns)
        partition = topic.partitions[header.partition]
        if self._direct is not None:
            self._direct.look_at(partition, header)
        worker = engine.workers.owner(partition)
        position = worker.append_now(partition, batch, sampled)
        if position is not None:
            self._placed(frame, index, partition, level, position)
        else:
            self._wait(frame, index, batch, partition, level, sampled, now)

    def _wait(
        self,
        frame: _Frame,
        index: int,
        batch: Batch,
        partition: Partition,
        level: pb.AckLevel.ValueType,
        sampled: list[str],
        now: float,
    ) -> None:
        """Have a batch appended when there is room for it."""

        def done(position: PositionRange | None, error: BellwireError | None) -> None:
            self._waiting.pop(waiting, None)
            if position is not None:
                self._placed(frame, index, partition, level, position)
            elif error is not None:
                self._fail(frame, index, error)
            self._answer(frame)

        worker = self._engine.workers.owner(partition)
        deadline = now + self._settings.publish_wait_seconds
        waiting = worker.wait(partition, batch, sampled, deadline, done)
        self._waiting[waiting] = None

    def _placed(
        self,
        frame: _Frame,
        index: int,
        partition: Partition,
        level: pb.AckLevel.ValueType,
        position: PositionRange,
    ) -> None:
        """Count a batch as answered, at once or when it is as durable as was asked."""
        frame.reach(level)
        frame.positions[index] = position
        if level >= pb.ACK_LEVEL_PERSISTED:
            ticket = partition.not_durable_yet(position.last_offset)
            if ticket is not None:
                ticket.then(partial(self._committed, frame, index, partition))
                return
        frame.open_count -= 1

    def _committed(
        self, frame: _Frame, index: int, partition: Partition, error: BellwireError | None
    ) -> None:
        position = frame.positions[index]
        landed = position is not None and position.last_offset < partition.log.high_watermark
        # A repeated batch may have been durable one group earlier than the one it waited for.
        if error is None or landed:
            frame.open_count -= 1
        else:
            frame.positions[index] = None
            self._fail(frame, index, error)
        self._answer(frame)

    def _answer(self, frame: _Frame) -> None:
        """Acknowledge a frame once all of it is answered."""
        if frame.open_count or frame not in self._open:
            return
        del self._open[frame]
        self._messages_waiting -= frame.messages
        self._bytes_waiting -= frame.size_bytes
        self._acknowledge(frame)

    def _acknowledge(self, frame: _Frame) -> None:
        positions = [position for position in frame.positions if position is not None]
        level = frame.level or pb.ACK_LEVEL_RECEIVED
        last = self._outbox.last
        if last is not None and last.HasField("ack"):
            ack = last.ack
            if (
                ack.last_frame_sequence + 1 == frame.sequence
                and ack.ack_level == level
                and len(ack.positions) < POSITIONS_PER_ACK_MAX
            ):
                ack.last_frame_sequence = frame.sequence
                ack.positions.extend(positions)
                return
        ack = pb.PublishAck(
            first_frame_sequence=frame.sequence,
            last_frame_sequence=frame.sequence,
            ack_level=level,
            positions=positions,
        )
        self._outbox.put(pb.PublishStreamResponse(ack=ack))

    def _fail(self, frame: _Frame, index: int, error: BellwireError) -> None:
        frame.open_count -= 1
        batch = frame.batches[index]
        topic = self._engine.bus.topics.get(batch.header.topic)
        if topic is not None:
            topic.stats.refused[error.reason] += 1
        failure = pb.PublishFailure(
            frame_sequence=frame.sequence,
            batch_index=index,
            message_index=int(error.metadata.get("message_index", "-1")),
            error=to_item_error(error),
        )
        if self._direct is not None:
            self._direct.refused()
        if not self._closed:
            self._outbox.put(pb.PublishStreamResponse(failure=failure))
