"""GetLatest: the last message of each key asked for."""

from __future__ import annotations

import time
from typing import Final

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.bus.v1.message_pb2 import Position
from bellwire.coordinator.state import CoordinatorState
from bellwire.wire.errors import CallerError

KEYS_MAX: Final = 1_000
ANSWER_BYTES_MAX: Final = 3 << 20  # Below gRPC's 4 MiB; the largest message fits.


async def get_latest(state: CoordinatorState, request: pb.GetLatestRequest) -> pb.GetLatestResponse:
    """Answer a request.

    Raises:
        CallerError, UnknownTopicError, LatestNotKeptError: It cannot be answered.
        BellwireError: The topic's log cannot be read.
    """
    if not 1 <= len(request.keys) <= KEYS_MAX:
        raise CallerError(f"request names {len(request.keys)} keys, 1 to {KEYS_MAX} are allowed")
    latest = await state.latest.latest(request.topic)
    topic = state.bus.existing_topic(request.topic)
    now_ns = time.time_ns()
    response = pb.GetLatestResponse()
    size = 0
    for key in dict.fromkeys(request.keys):
        found = latest.get(key, now_ns)
        if found is None:
            continue
        size += found.size_bytes
        if size > ANSWER_BYTES_MAX:
            response.left_out_keys.append(key)
            continue
        position = Position(
            topic=topic.name,
            partition=found.partition,
            offset=found.offset,
            log_id=topic.partitions[found.partition].log.log_id,
        )
        response.messages.append(pb.LatestMessage(message=found.message, position=position))
    return response
