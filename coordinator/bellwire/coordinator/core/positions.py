"""Where readers of partitions begin, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    START_POLICY_EARLIEST,
    START_POLICY_LATEST,
    START_POLICY_POSITIONS,
    START_POLICY_TIME,
    START_POLICY_UNSPECIFIED,
    StartPosition,
)
from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.subscription import Subscription
from bellwire.wire.errors import CallerError, OffsetOutOfRangeError

__all__ = ["positions_of", "sought", "start_offset"]


def start_offset(
    partition: Partition,
    policy: int,
    time_unix_nano: int,
    positions: dict[tuple[str, int], Position],
    unlisted: int = START_POLICY_UNSPECIFIED,
) -> int:
    """Return the offset at which a reader of a partition begins.

    Args:
        partition: What is read.
        policy: Which rule.
        time_unix_nano: For TIME.
        positions: For POSITIONS.
        unlisted: The rule for a partition that these do not have.

    Raises:
        CallerError: The policy is not known.
    """
    log = partition.log
    if policy == START_POLICY_POSITIONS:
        position = positions.get((partition.topic.name, partition.index))
        if position is not None:
            if position.log_id not in (0, log.log_id):
                return log.low_offset
            return min(max(position.offset, log.low_offset), log.high_watermark)
        policy = unlisted
    if policy == START_POLICY_EARLIEST:
        return log.low_offset
    if policy == START_POLICY_TIME:
        return min(log.find_time(time_unix_nano), log.high_watermark)
    if policy in (START_POLICY_UNSPECIFIED, START_POLICY_LATEST):
        return log.high_watermark
    raise CallerError(
        f"start policy {policy} is not known: use EARLIEST, LATEST, TIME or, not for `unlisted`, POSITIONS",
        metadata={"policy": str(policy)},
    )


def sought(name: str, cursors: Sequence[Cursor], start: StartPosition) -> list[tuple[Cursor, int]]:
    """Return which cursors of a named subscription a seek moves, and to which offsets.

    Raises:
        CallerError: The start names nothing, or a partition that none of the cursors reads.
        OffsetOutOfRangeError: A position is outside its log.
    """
    if start.policy == START_POLICY_UNSPECIFIED:
        raise CallerError("seek names no position: use EARLIEST, LATEST, TIME or POSITIONS")
    positions = {(p.topic, p.partition): p for p in start.positions}
    if start.policy == START_POLICY_POSITIONS:
        cursors = _listed(name, cursors, positions)
    return [
        (c, start_offset(c.partition, start.policy, start.time_unix_nano, positions))
        for c in cursors
    ]


def _listed(
    name: str, cursors: Sequence[Cursor], positions: dict[tuple[str, int], Position]
) -> list[Cursor]:
    """Return the cursors of the partitions that are listed, all of which must be read and in range."""
    if not positions:
        raise CallerError("seek to POSITIONS lists none: give the next offset of each partition")
    listed = [c for c in cursors if _key(c) in positions]
    if len(listed) != len(positions):
        known = {_key(cursor) for cursor in listed}
        topic, partition = sorted(set(positions) - known)[0]
        raise CallerError(
            f"subscription {name!r} does not read partition {partition} of {topic!r}",
            metadata={"topic": topic, "partition": str(partition)},
        )
    for cursor in listed:
        _check_in_range(cursor.partition, positions[_key(cursor)])
    return listed


def _key(cursor: Cursor) -> tuple[str, int]:
    return cursor.partition.topic.name, cursor.partition.index


def _check_in_range(partition: Partition, position: Position) -> None:
    log = partition.log
    if position.log_id not in (0, log.log_id):
        raise OffsetOutOfRangeError(
            f"position names log {position.log_id}, partition {partition.index} of {partition.topic.name!r} "
            f"is now log {log.log_id}: its offsets are others; seek by time",
            metadata={"log_id": str(log.log_id)},
        )
    if not log.low_offset <= position.offset <= log.high_watermark:
        raise OffsetOutOfRangeError(
            f"offset {position.offset} is outside partition {partition.index} of {partition.topic.name!r}: "
            f"a cursor can stand at {log.low_offset} to {log.high_watermark}",
            metadata={"low_offset": str(log.low_offset), "high_watermark": str(log.high_watermark)},
        )


def positions_of(subscription: Subscription) -> list[Position]:
    """Return the next offset to deliver, per partition."""
    return [
        Position(
            topic=c.partition.topic.name,
            partition=c.partition.index,
            offset=c.next_offset,
            log_id=c.partition.log.log_id,
        )
        for c in subscription.cursors
    ]
