"""Turns a start by time into offsets: the core knows segments, the store knows every batch."""

from __future__ import annotations

from collections.abc import Sequence

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    START_POLICY_POSITIONS,
    START_POLICY_TIME,
    StartPosition,
)
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.log.durable import DurableLog
from bellwire.coordinator.state import CoordinatorState
from bellwire.wire.topic import TopicPattern


async def resolved(
    state: CoordinatorState, start: StartPosition, topics: Sequence[str]
) -> StartPosition:
    """Return a start in some topics with what `resolved_in` finds; those of other groups are none to begin in."""
    if not _names_time(start):  # Before every topic is looked at: most starts do not.
        return start
    patterns = [TopicPattern(text) for text in topics]
    partitions = [
        partition
        for name, topic in state.bus.served.items()
        if any(pattern.matches(name) for pattern in patterns)
        for partition in topic.partitions
    ]
    return await resolved_in(state, start, partitions)


async def resolved_in(
    state: CoordinatorState, start: StartPosition, partitions: Sequence[Partition]
) -> StartPosition:
    """Return the start as it is, or as positions where it names a time and a durable partition is concerned."""
    if not _names_time(start):
        return start
    is_listed = start.policy == START_POLICY_POSITIONS
    listed = {(p.topic, p.partition): p for p in start.positions if is_listed}
    partitions = [p for p in partitions if (p.topic.name, p.index) not in listed]
    if not any(partition.log.durable for partition in partitions):
        return start
    return StartPosition(
        policy=START_POLICY_POSITIONS,
        positions=[
            *listed.values(),
            *[
                Position(
                    topic=partition.topic.name,
                    partition=partition.index,
                    offset=await _offset_at(state, partition, start.time_unix_nano),
                    log_id=partition.log.log_id,
                )
                for partition in partitions
            ],
        ],
        time_unix_nano=start.time_unix_nano,
        unlisted=START_POLICY_TIME,  # Of a topic that was made while the store was asked.
    )


def _names_time(start: StartPosition) -> bool:
    is_listed = start.policy == START_POLICY_POSITIONS
    return (start.unlisted if is_listed else start.policy) == START_POLICY_TIME


async def _offset_at(state: CoordinatorState, partition: Partition, time_ns: int) -> int:
    log = partition.log
    if not isinstance(log, DurableLog):
        return log.find_time(time_ns)
    segment = log.segment_at(time_ns)
    if segment is None:
        return log.high_watermark
    first, last = segment.base_offset, min(segment.next_offset, log.high_watermark)
    found = await state.committer.read(
        lambda: state.store.find_time(log.log_id, first, last, time_ns)
    )
    return max(found, log.low_offset)
