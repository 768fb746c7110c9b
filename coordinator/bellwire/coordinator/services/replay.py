"""Replay: a stretch of the log again, merged over its partitions by message time."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import AsyncIterator

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.coordinator.committer import READ_BYTES
from bellwire.coordinator.core.binding import PATTERNS_MAX
from bellwire.coordinator.core.delivery import accepted_codecs, encode_replayed
from bellwire.coordinator.core.positions import start_offset
from bellwire.coordinator.core.replay import Pace, Piece, Track, pieces
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.services.start_time import resolved
from bellwire.coordinator.state import CoordinatorState
from bellwire.transport.serving.status import ServicerContext
from bellwire.wire.errors import CallerError, OffsetOutOfRangeError, UnknownTopicError
from bellwire.wire.topic import TopicPattern


async def replay(
    state: CoordinatorState, request: pb.ReplayRequest, context: ServicerContext
) -> None:
    """Write the stretch the request names.

    Raises:
        CallerError, OffsetOutOfRangeError, UnknownTopicError, NotOwnerError: The request cannot be served.
        DataCorruptError: What comes next cannot be read.
    """
    pace = Pace(request.speed)
    accepted = accepted_codecs(request.accepted_codecs)
    tracks = await _tracks(state, request)
    until_ns = request.until_time_unix_nano
    async for piece in _merged(state, tracks, until_ns, paced=pace.is_paced):
        due = pace.due_at(piece.time_ns, time.monotonic())
        if pace.is_paced and due > time.monotonic():
            await asyncio.sleep(due - time.monotonic())
        delivery = encode_replayed(piece, accepted)
        await context.write(pb.ReplayResponse(delivery=delivery))


async def _tracks(state: CoordinatorState, request: pb.ReplayRequest) -> list[Track]:
    if not 1 <= len(request.topics) <= PATTERNS_MAX:
        raise CallerError(
            f"replay names {len(request.topics)} topics, 1 to {PATTERNS_MAX} are allowed"
        )
    patterns = [TopicPattern(text) for text in request.topics]
    state.bus.check_all_ours(patterns)
    begin = pb.StartPosition()
    begin.CopyFrom(getattr(request, "from"))
    begin.policy = begin.policy or pb.START_POLICY_EARLIEST
    begin = await resolved(state, begin, request.topics)
    positions = {(p.topic, p.partition): p for p in begin.positions}
    tracks = []
    for name, topic in sorted(state.bus.served.items()):
        if not any(pattern.matches(name) for pattern in patterns):
            continue
        for partition in topic.partitions:
            first = start_offset(
                partition, begin.policy, begin.time_unix_nano, positions, begin.unlisted
            )
            tracks.append(Track(partition, first, partition.log.high_watermark))
    if not tracks:
        raise UnknownTopicError(
            f"no topic matches {', '.join(request.topics)!r}: see `bellwire topics list`"
        )
    return tracks


async def _merged(
    state: CoordinatorState, tracks: list[Track], until_ns: int, *, paced: bool
) -> AsyncIterator[Piece]:
    """Yield the pieces of all tracks in the order of their times, each track in its own order."""
    feeds = [_pieces_of(state, track, until_ns, paced=paced) for track in tracks]
    heads: list[tuple[int, int, Piece]] = []
    for index, feed in enumerate(feeds):
        piece = await anext(feed, None)
        if piece is not None:
            heapq.heappush(heads, (piece.time_ns, index, piece))
    while heads:
        _, index, piece = heapq.heappop(heads)
        yield piece
        following = await anext(feeds[index], None)
        if following is not None:
            heapq.heappush(heads, (following.time_ns, index, following))


async def _pieces_of(
    state: CoordinatorState, track: Track, until_ns: int, *, paced: bool
) -> AsyncIterator[Piece]:
    while track.next_offset < track.end_offset:
        for entry in await _entries(state, track):
            if entry.base_offset >= track.end_offset:
                return
            first = max(0, track.next_offset - entry.base_offset)
            for piece in pieces(track.partition, entry, first, until_ns, paced=paced):
                yield piece
            track.next_offset = entry.next_offset


async def _entries(state: CoordinatorState, track: Track) -> list[Entry]:
    """Return some entries from `next_offset` on; history is read past the cache, which is for the present."""
    log = track.partition.log
    if not log.durable:
        entry = log.read(track.next_offset)
        found = [] if entry is None else [entry]
    else:
        offset = track.next_offset
        found = await state.committer.read(lambda: state.store.read(log.log_id, offset, READ_BYTES))
    if not found:
        raise OffsetOutOfRangeError(
            f"offset {track.next_offset} of partition {track.partition.index} of "
            f"{track.partition.topic.name!r} is no longer kept: retention overtook the replay",
            metadata={"low_offset": str(log.low_offset)},
        )
    return found
