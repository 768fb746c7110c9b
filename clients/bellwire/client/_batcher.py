"""Natural batching without I/O: takes messages and answers, returns frames.

There is no linger. While fewer than `frames_in_flight_max` frames are unanswered, whatever has gathered
leaves at once; otherwise messages gather, and the busier the stream the fuller its batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from bellwire.bus.v1.message_pb2 import Batch, Message
from bellwire.bus.v1.publisher_pb2 import (
    AckLevel,
    PublishAck,
    PublishFailure,
    PublishStreamRequest,
)
from bellwire.client._buffer import Buffer
from bellwire.client._frames import FramesInFlight
from bellwire.client._lane import Lane
from bellwire.client._outcomes import Landed, Refused
from bellwire.client._packer import Packer
from bellwire.client._segment import OutBatch, Segment, Ticket
from bellwire.client.settings import PublishSettings
from bellwire.wire.batch import block_bytes
from bellwire.wire.errors import (
    BellwireError,
    NotOwnerError,
    ProducerFencedError,
    SequenceGapError,
    StoreReadOnlyError,
    from_item_error,
)
from bellwire.wire.window import Window

# Uncompressed. With it a frame is full, so that the next one is encoded while the coordinator takes this one
# in: larger ones keep one process waiting for the other, a quarter of it costs more calls of gRPC than it gains.
FRAME_FULL_BYTES: Final = 1 << 20
BATCH_OVERHEAD_BYTES: Final = 512  # A header with the longest topic name, and the field tags.
RETRY_DELAY_SECONDS: Final = 0.1  # Times the tries so far, for a refusal that names no delay.
RETRY_DELAY_MAX_SECONDS: Final = 5.0
# Only a restart ends it, and with that the stream: asking more often helps nobody.
IN_DOUBT_DELAY_SECONDS: Final = 1.0
FOREIGN_DELAY_SECONDS: Final = 0.25  # For another group to be found that takes the topic.
EXPECTED_SEQUENCE_KEY: Final = "expected"  # Of the metadata of OUT_OF_ORDER_SEQUENCE.


class Batcher:
    """The state of one publish stream, across its reconnects.

    Attributes:
        buffer: What callers have handed over.
        outcomes: What became of it; gathers until the caller takes it.
        producer_id: Id the coordinator gave; 0 = none yet.
        producer_lost: True when the coordinator and we disagree on sequences: reconnect.
        last_refusal: Why something is being tried again; None when nothing is.
        fenced: A newer instance of this producer has taken over: nothing more can be appended.
        is_led: Whether somebody takes away what another group of coordinators owns.
        foreign: The latest refusal for that reason; whoever takes note of it clears it.
    """

    def __init__(
        self,
        settings: PublishSettings,
        ack_level: AckLevel.ValueType,
        on_packed: Callable[[Sequence[Batch]], None] | None = None,
    ) -> None:
        """Take `on_packed`: it is shown the batches of each frame in which nothing is sent again."""
        self._settings = settings
        self._on_packed = on_packed
        self._ack_level = ack_level
        self._packer = Packer(settings, self._forget, self._refuse)
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._turns: deque[Lane] = deque()
        self._frames = FramesInFlight(settings.frames_in_flight_max)
        self._window: Window | None = None
        self._draining = False
        self.buffer = Buffer(settings.buffer_messages_max, settings.buffer_bytes_max)
        self.outcomes: list[Landed | Refused] = []
        self.producer_id = 0
        self.producer_epoch = 0
        self.producer_lost = False
        self.last_refusal: BellwireError | None = None
        self.fenced: ProducerFencedError | None = None
        self.is_led = False
        self.foreign: NotOwnerError | None = None

    def add(
        self,
        topic: str,
        partition: int,
        messages: Sequence[Message],
        size_bytes: int,
        ticket: Ticket,
    ) -> None:
        """Take messages of one partition; the caller has asked `buffer.fits`."""
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = Lane(topic, partition)
        segment = Segment(messages, size_bytes, ticket)
        self.buffer.hold(segment)
        lane.pending.append(segment)
        self._queue(lane)

    def is_awaited(self) -> bool:
        """Tell whether anybody still waits for anything held."""
        return any(
            not segment.ticket.done() for lane in self._lanes.values() for segment in lane.held()
        )

    def has_work(self) -> bool:
        """Tell whether anything waits to be sent that no answer has to come before."""
        return bool(self._turns)

    def topics_waiting(self) -> list[str]:
        """Return the topics that have something to send."""
        return sorted({lane.topic for lane in self._lanes.values() if lane.has_work()})

    def give_up(self) -> list[Segment]:
        """Return everything whose fate is unknown, and forget it."""
        self.lost()
        segments = [segment for lane in self._lanes.values() for segment in lane.held()]
        self._lanes.clear()
        self._turns.clear()
        self.buffer.free(segments)
        return segments

    def holds(self, topic: str) -> bool:
        """Tell whether anything of a topic waits or is unanswered."""
        return any(lane.topic == topic and any(lane.held()) for lane in self._lanes.values())

    def give_away(self, topic: str) -> list[tuple[int, Segment]]:
        """Return what waits of a topic, by partition and in order, and forget it; not what may still be answered."""
        given: list[tuple[int, Segment]] = []
        for lane in self._lanes.values():
            if lane.topic == topic and not lane.in_flight:
                segments = lane.give_away()
                self.buffer.free(segments)
                given += [(lane.partition, each) for each in segments if not each.ticket.done()]
        return given

    # ------------------------------------------------------------ to the stream

    def next_frame(self, now: float) -> PublishStreamRequest | None:
        """Return the next frame to send, or None when nothing can be sent now."""
        window = self._window
        if window is None or self._draining or not self._turns or not self._frames.may_send(now):
            return None
        stalled = self._frames.stalled_lanes(now)
        outs: list[OutBatch] = []
        packed: list[Batch] = []
        bytes_left = self._settings.frame_bytes_max
        for _ in range(len(self._turns)):
            lane = self._turns.popleft()
            lane.queued = False
            if lane not in stalled:
                bytes_left = self._fill(outs, packed, lane, window, bytes_left, now)
            if lane.has_work() and not lane.rewinding:
                self._queue(lane)
            if bytes_left <= 0 or len(outs) >= self._settings.frame_batches_max:
                break
        if not outs:
            return None
        if self._on_packed is not None and all(
            out.tries == 1 and not out.direct_routes for out in outs
        ):
            self._on_packed(packed)
        request = (
            PublishStreamRequest()
        )  # Filled in place: a nested constructor copies every block twice.
        frame = request.batches
        frame.frame_sequence = self._frames.send(outs, now)
        frame.ack_level = self._ack_level
        for batch in packed:
            frame.batches.add().CopyFrom(batch)  # `extend` serializes and parses each of them.
        return request

    def wake_at(self, now: float) -> float | None:
        """Return when time alone may let a frame out; None when only an answer or a message can."""
        if not self._turns:
            return None
        times = [lane.hold_until for lane in self._turns if lane.hold_until > now]
        overdue = self._frames.next_overdue(now)
        return min(times if overdue is None else [*times, overdue], default=None)

    def _fill(
        self,
        outs: list[OutBatch],
        packed: list[Batch],
        lane: Lane,
        window: Window,
        bytes_left: int,
        now: float,
    ) -> int:
        """Add a lane's batches to the frame; return the bytes left, 0 to end the frame."""
        if not lane.may_send(now):
            return bytes_left
        frame_batches_max = self._settings.frame_batches_max
        size_bytes = sum([each.size_bytes for each in outs])
        while lane.has_work() and len(outs) < frame_batches_max and not lane.is_full():
            out = self._packer.head(lane, window)
            if out is None or out.batch is None:
                return bytes_left
            size_on_wire = block_bytes(out.batch) + BATCH_OVERHEAD_BYTES
            if not window.fits(out.count, out.size_bytes) or (outs and size_on_wire > bytes_left):
                return 0
            lane.ready.popleft()
            lane.sent(out)
            header = out.batch.header
            header.producer_id = self.producer_id
            header.producer_epoch = self.producer_epoch
            header.base_sequence = out.base_sequence
            window.take(out.count, out.size_bytes)
            bytes_left -= size_on_wire
            outs.append(out)
            packed.append(out.batch)
            size_bytes += out.size_bytes
            if size_bytes >= FRAME_FULL_BYTES:
                return 0
        return bytes_left

    # ------------------------------------------------------------ from the stream

    def started(self, producer_id: int, producer_epoch: int, window: Window) -> None:
        """Begin on a new stream; another producer id means that the coordinator knows no sequences."""
        if (producer_id, producer_epoch) != (self.producer_id, self.producer_epoch):
            for lane in self._lanes.values():
                lane.start_over()
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self._window = window

    def resize_window(self, messages_max: int, bytes_max: int) -> None:
        """Move the limit of what may be unanswered."""
        if self._window is not None:
            self._window.resize(messages_max, bytes_max)

    def drain(self) -> None:
        """Send no new frames on this stream."""
        self._draining = True

    def idle(self) -> bool:
        """Tell whether nothing is unanswered."""
        return len(self._frames) == 0

    def lost(self) -> None:
        """Make everything unanswered ready to be sent again on the next stream."""
        self._frames.clear()
        self._window = None
        self._draining = False
        if self.producer_lost:
            self.producer_id = self.producer_epoch = 0
            self.producer_lost = False
        for lane in self._lanes.values():
            lane.connection_lost()
            if lane.has_work():
                self._queue(lane)

    def on_ack(self, ack: PublishAck) -> None:
        """Take an acknowledgement.

        Raises:
            InternalError: It contradicts what was sent; the stream cannot go on.
        """
        for out, position in self._frames.acknowledge(ack):
            self._answered(out)
            out.lane.landed(out)
            self.last_refusal = None
            self.buffer.free(out.segments)
            self.outcomes.append(Landed(out, position, ack.ack_level))
            self._end_rewind(out.lane)

    def on_failure(self, failure: PublishFailure, now: float) -> None:
        """Take the refusal of one batch.

        Raises:
            InternalError: It contradicts what was sent; the stream cannot go on.
        """
        out = self._frames.refuse(failure)
        self._answered(out)
        lane = out.lane
        error = from_item_error(failure.error)
        may_retry = out.tries < self._settings.tries_max
        if isinstance(error, ProducerFencedError):
            self.fenced = error
        if isinstance(error, StoreReadOnlyError):
            self.last_refusal = error
            lane.doubted(out)
            lane.rewound.append(out)
            lane.hold_until = max(lane.hold_until, now + IN_DOUBT_DELAY_SECONDS)
        elif isinstance(error, SequenceGapError) and lane.rewinding:
            lane.returned(out)
            lane.rewound.append(out)
        elif isinstance(error, NotOwnerError) and error.topic and self.is_led:
            self.last_refusal = self.foreign = error
            out.tries = 0  # It is not the batch that is refused.
            lane.returned(out)
            lane.rewound.append(out)
            lane.hold_until = max(lane.hold_until, now + FOREIGN_DELAY_SECONDS)
        elif isinstance(error, SequenceGapError) and may_retry:
            lane.returned(out, expected_sequence=self._agreed_sequence(out, error))
            lane.rewound.append(out)
        elif error.retryable and may_retry:
            self.last_refusal = error
            delay = error.retry_delay_seconds or RETRY_DELAY_SECONDS * out.tries
            lane.returned(out)
            lane.rewound.append(out)
            lane.hold_until = max(lane.hold_until, now + min(delay, RETRY_DELAY_MAX_SECONDS))
        else:
            lane.returned(out)
            self._refuse_part(out, failure.message_index, error)
        self._end_rewind(lane)

    def _agreed_sequence(self, out: OutBatch, error: SequenceGapError) -> int:
        """Return the sequence to go on with when nothing of ours explains the gap."""
        expected = error.metadata.get(EXPECTED_SEQUENCE_KEY, "")
        if expected.isdigit() and int(expected) <= out.base_sequence:
            return int(expected)  # It has forgotten what it acknowledged.
        self.producer_lost = True  # It cannot say where we stand: begin again as a new producer.
        return out.base_sequence

    def _refuse_part(self, out: OutBatch, message_index: int, error: BellwireError) -> None:
        """Refuse only the caller whose message is bad; the others' messages travel again."""
        if len(out.segments) == 1 or not 0 <= message_index < out.count:
            self._refuse(out.segments, error)
            return
        bad, others = out.without_message(message_index)
        self._refuse([bad], error)
        out.lane.rewound.append(out.cut(others))

    def _end_rewind(self, lane: Lane) -> None:
        for out in lane.end_rewind():
            self.buffer.free(out.segments)
        if not lane.rewinding and lane.has_work():
            self._queue(lane)

    # ------------------------------------------------------------ bookkeeping

    def _answered(self, out: OutBatch) -> None:
        if self._window is not None:
            self._window.give_back(out.count, out.size_bytes)

    def _queue(self, lane: Lane) -> None:
        if not lane.queued:
            lane.queued = True
            self._turns.append(lane)

    def _refuse(self, segments: list[Segment], error: BellwireError) -> None:
        self.buffer.free(segments)
        self.outcomes.append(Refused(segments, error))

    def _forget(self, segments: list[Segment]) -> None:
        self.buffer.free(segments)
