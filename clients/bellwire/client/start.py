"""Where a new cursor begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    START_POLICY_EARLIEST,
    START_POLICY_LATEST,
    START_POLICY_POSITIONS,
    START_POLICY_TIME,
    StartPosition,
)

__all__ = ["EARLIEST", "LATEST", "at_positions", "at_time"]

EARLIEST: Final = StartPosition(policy=START_POLICY_EARLIEST)
"""The oldest message still kept."""

LATEST: Final = StartPosition(policy=START_POLICY_LATEST)
"""Only messages appended from now on."""


def at_time(time_unix_nano: int) -> StartPosition:
    """Begin at the batch with the first message whose time is not before this one.

    Args:
        time_unix_nano: Nanoseconds since the Unix epoch. Earlier messages of the same batch come as well.
    """
    return StartPosition(policy=START_POLICY_TIME, time_unix_nano=time_unix_nano)


def at_positions(positions: Iterable[Position]) -> StartPosition:
    """Begin at these offsets; partitions not listed begin at LATEST."""
    return StartPosition(policy=START_POLICY_POSITIONS, positions=positions)
