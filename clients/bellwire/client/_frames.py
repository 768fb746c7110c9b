"""Frames sent and not answered yet."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from bellwire.bus.v1.message_pb2 import PositionRange
from bellwire.bus.v1.publisher_pb2 import PublishAck, PublishFailure
from bellwire.client._lane import Lane
from bellwire.client._segment import OutBatch
from bellwire.wire.errors import InternalError

STALL_SECONDS: Final = (
    0.25  # Far above a round trip: a frame this old waits for room in a full topic.
)


_NO_LANES: Final[frozenset[Lane]] = frozenset()


class _Frame:
    __slots__ = ("outs", "sent_at")

    def __init__(self, outs: Sequence[OutBatch], sent_at: float) -> None:
        self.outs: list[OutBatch | None] = list(outs)  # None = refused, and so answered.
        self.sent_at = sent_at


class FramesInFlight:
    """Matches answers with what was sent, and tells when more may be sent.

    At most `frames_max` *fresh* frames are in flight. A frame that is overdue waits for room in a full
    topic; it no longer counts, and its lanes are `stalled`: they send nothing and share no frame with
    others, because a frame is acknowledged as a whole and one full topic must not hold up the rest.
    """

    def __init__(self, frames_max: int) -> None:
        self._frames_max = frames_max
        self._frames: dict[int, _Frame] = {}
        self._next_sequence = 1

    def __len__(self) -> int:
        return len(self._frames)

    def may_send(self, now: float) -> bool:
        """Tell whether one more frame may go out."""
        return len(self._frames) < self._frames_max or len(self._fresh(now)) < self._frames_max

    def stalled_lanes(self, now: float) -> AbstractSet[Lane]:
        """Return the lanes with a batch in a frame that is overdue."""
        oldest = next(iter(self._frames.values()), None)
        if oldest is None or oldest.sent_at + STALL_SECONDS > now:
            return _NO_LANES
        return {
            out.lane
            for frame in self._frames.values()
            if frame.sent_at + STALL_SECONDS <= now
            for out in frame.outs
            if out is not None
        }

    def next_overdue(self, now: float) -> float | None:
        """Return when the next frame becomes overdue."""
        fresh = self._fresh(now)
        return fresh[0].sent_at + STALL_SECONDS if fresh else None

    def send(self, outs: Sequence[OutBatch], now: float) -> int:
        """Count a frame as sent; return its sequence."""
        sequence = self._next_sequence
        self._next_sequence += 1
        self._frames[sequence] = _Frame(outs, now)
        return sequence

    def clear(self) -> None:
        """Forget everything: a new stream counts from 1."""
        self._frames.clear()
        self._next_sequence = 1

    def acknowledge(self, ack: PublishAck) -> list[tuple[OutBatch, PositionRange]]:
        """Take out the frames of a range; return where each batch not refused before is now.

        Raises:
            InternalError: It contradicts what was sent.
        """
        first, last = ack.first_frame_sequence, ack.last_frame_sequence
        if first > last or last >= self._next_sequence:
            raise InternalError(f"coordinator acknowledged frames {first}..{last}: not sent")
        covered = [sequence for sequence in self._frames if first <= sequence <= last]
        outs = [out for at in covered for out in self._frames[at].outs if out is not None]
        if len(ack.positions) != len(outs):
            raise InternalError(
                f"coordinator acknowledged {len(ack.positions)} batches of frames {first}..{last}, "
                f"{len(outs)} were unanswered"
            )
        placed = list(zip(outs, ack.positions, strict=True))
        for out, position in placed:
            _check_position(out, position)
        for sequence in covered:
            del self._frames[sequence]
        return placed

    def refuse(self, failure: PublishFailure) -> OutBatch:
        """Take out one batch of a frame and return it.

        Raises:
            InternalError: It contradicts what was sent.
        """
        frame = self._frames.get(failure.frame_sequence)
        index = failure.batch_index
        out = frame.outs[index] if frame is not None and index < len(frame.outs) else None
        if frame is None or out is None:
            raise InternalError(
                f"coordinator refused batch {index} of frame {failure.frame_sequence}: not unanswered"
            )
        frame.outs[index] = None
        if not any(frame.outs):
            del self._frames[failure.frame_sequence]
        return out

    def _fresh(self, now: float) -> list[_Frame]:
        return [f for f in self._frames.values() if f.sent_at + STALL_SECONDS > now]


def _check_position(out: OutBatch, position: PositionRange) -> None:
    count = position.last_offset - position.first_offset + 1
    if count != out.count or position.partition != out.lane.partition:
        raise InternalError(
            f"coordinator placed {count} messages in partition {position.partition}, sent were "
            f"{out.count} for partition {out.lane.partition} of {out.lane.topic!r}"
        )
