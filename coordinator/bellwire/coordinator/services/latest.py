"""GetLatest: the last message of each key asked for."""

from __future__ import annotations

import time
from typing import Final

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.bus.v1.message_pb2 import Position
from bellwire.coordinator.state import CoordinatorState
from bellwire.wire.errors import CallerError

KEYS_MAX: Final = 1_000
PLACE_BYTES: Final = 1_350  # Of a message's place and its frame, generously.
ANSWER_BYTES_MAX: Final = 3 << 20  # Below gRPC's 4 MiB; the largest message fits.


async def get_latest(state: CoordinatorState, request: pb.GetLatestRequest) -> pb.GetLatestResponse:
    """Answer a request.

    Raises:
        CallerError, UnknownTopicError, LatestNotKeptError: It cannot be answered.
        BellwireError: The topic's log cannot be read.
    """
    if request.recent_keys and request.keys:
        raise CallerError("request names keys and asks for recent ones: one of both is meant")
    count = request.recent_keys or len(request.keys)
    if not 1 <= count <= KEYS_MAX:
        raise CallerError(f"request names {count} keys, 1 to {KEYS_MAX} are allowed")
    now_ns = time.time_ns()
    if request.recent_keys:
        keys = await state.latest.recent_keys(request.topic, request.recent_keys)
    else:
        keys = list(dict.fromkeys(request.keys))
    latest = await state.latest.find(request.topic, keys, now_ns)
    response = pb.GetLatestResponse()
    size = 0
    for key in keys:
        found = latest.get(key)
        if found is None:
            continue
        size += found.message.ByteSize() + PLACE_BYTES
        if size > ANSWER_BYTES_MAX:
            response.left_out_keys.append(key)
            continue
        position = Position(
            topic=request.topic,
            partition=found.partition,
            offset=found.offset,
            log_id=found.log_id,
        )
        response.messages.append(pb.LatestMessage(message=found.message, position=position))
    return response
