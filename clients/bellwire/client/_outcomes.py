"""What became of messages that were handed over."""

from __future__ import annotations

from dataclasses import dataclass

from bellwire.bus.v1.message_pb2 import PositionRange
from bellwire.bus.v1.publisher_pb2 import AckLevel
from bellwire.client._segment import OutBatch, Segment
from bellwire.wire.errors import BellwireError


@dataclass(frozen=True, slots=True)
class Landed:
    """A batch was appended, and is as safe as the level says."""

    out: OutBatch
    position: PositionRange
    ack_level: AckLevel.ValueType


@dataclass(frozen=True, slots=True)
class Refused:
    """Segments were refused for good."""

    segments: list[Segment]
    error: BellwireError
