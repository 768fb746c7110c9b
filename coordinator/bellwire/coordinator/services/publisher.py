"""PublisherService: unary and streaming publish over the same admission."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Final

import grpc

from bellwire.bus.v1 import publisher_pb2 as pb
from bellwire.bus.v1.message_pb2 import Batch, PositionRange
from bellwire.coordinator.core.admission import (
    ack_levels,
    admit_batch,
    admit_messages,
    check_ack_level,
)
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.publish_session import PublishSession
from bellwire.coordinator.core.topic import Topic
from bellwire.coordinator.services.context import local_process
from bellwire.coordinator.services.conversation import Conversation, converse
from bellwire.coordinator.services.duplex import read_first
from bellwire.coordinator.services.once import once
from bellwire.coordinator.state import CoordinatorState
from bellwire.transport.serving.status import ServicerContext, time_left
from bellwire.wire.errors import BellwireError, CallerError, DrainingError, InvalidBatchError
from bellwire.wire.partitioner import partition_for_key

PUBLISH: Final = "bellwire.bus.v1.PublisherService/Publish"


class PublisherService:
    """Brings messages onto the bus."""

    def __init__(self, state: CoordinatorState) -> None:
        self._state = state
        self._keyless = _StickyRandom()

    async def GetTopicMetadata(
        self, request: pb.GetTopicMetadataRequest, context: ServicerContext
    ) -> pb.GetTopicMetadataResponse:
        """Describe a topic, creating it when that is allowed."""
        topic = self._state.bus.topic(request.topic, time.time_ns())
        settings = self._state.settings
        return pb.GetTopicMetadataResponse(
            topic=topic.name,
            partition_count=len(topic.partitions),
            max_message_bytes=settings.message_bytes_max,
            max_batch_messages=settings.batch_messages_max,
            max_batch_bytes=settings.batch_bytes_max,
            ack_levels=ack_levels(topic),
        )

    async def Publish(
        self, request: pb.PublishRequest, context: ServicerContext
    ) -> pb.PublishResponse:
        """Publish one batch or plain messages."""
        if self._state.draining:
            raise DrainingError("coordinator is shutting down: reconnect")
        topic, batches = self._admit(request)
        level = check_ack_level(topic, request.ack_level)
        if request.atomic and len(batches) > 1:
            raise CallerError(
                f"atomic publish fell into {len(batches)} partitions: give all messages one key",
                metadata={"partitions": str(len(batches))},
            )
        if request.validate_only:
            return pb.PublishResponse(ack_level=level)
        limit = self._state.settings.publish_wait_seconds
        timeout = min(limit, time_left(context, limit))

        async def carry_out() -> pb.PublishResponse:
            positions = await self._append_all(topic, batches, timeout)
            return pb.PublishResponse(positions=positions, ack_level=level)

        wait = level >= pb.ACK_LEVEL_PERSISTED
        return await once(self._state, PUBLISH, request, pb.PublishResponse, carry_out, wait=wait)

    async def PublishStream(self, _: object, context: ServicerContext) -> None:
        """Publish batches over one stream."""
        await _PublishStream(self._state, context).run()

    def _admit(self, request: pb.PublishRequest) -> tuple[Topic, list[tuple[Batch, list[str]]]]:
        state, now_ns = self._state, time.time_ns()
        limits = state.settings.limits
        if request.HasField("batch"):
            if request.messages:
                raise InvalidBatchError(
                    "request carries both a batch and plain messages: send one of them"
                )
            topic = state.bus.topic(request.batch.header.topic, now_ns)
            try:
                sampled = admit_batch(request.batch, topic, limits, "", now_ns)
            except BellwireError as error:
                topic.stats.refused[error.reason] += 1
                raise
            return topic, [(request.batch, sampled)]
        topic = state.bus.topic(request.topic, now_ns)
        return topic, admit_messages(
            request.messages, topic, limits, "", now_ns, self._keyless.partition
        )

    async def _append_all(
        self, topic: Topic, batches: list[tuple[Batch, list[str]]], timeout_seconds: float
    ) -> list[PositionRange]:
        """Append all batches, or none: where one finds no room, all wait for it.

        Raises:
            TopicFullError, StoreBusyError: There was no room in time.
        """
        workers = self._state.engine.workers
        deadline = time.monotonic() + timeout_seconds
        placed = [(topic.partition(batch.header.partition), batch, s) for batch, s in batches]
        while True:
            full = next((p for p, *_ in placed if not workers.owner(p).has_room(p)), None)
            if full is None:
                return [_appended(workers.owner(p).append_now(p, b, s)) for p, b, s in placed]
            if len(placed) == 1:
                partition, batch, sampled = placed[0]
                return [await self._wait(partition, batch, sampled, deadline)]
            await self._state.room(full, deadline)

    async def _wait(
        self, partition: Partition, batch: Batch, sampled: list[str], deadline: float
    ) -> PositionRange:
        result: asyncio.Future[PositionRange] = asyncio.get_running_loop().create_future()

        def done(position: PositionRange | None, error: BellwireError | None) -> None:
            if result.done():
                return
            if position is not None:
                result.set_result(position)
            elif error is not None:
                result.set_exception(error)

        worker = self._state.engine.workers.owner(partition)
        waiting = worker.wait(partition, batch, sampled, deadline, done)
        try:
            return await result
        finally:
            waiting.cancel()


def _appended(position: PositionRange | None) -> PositionRange:
    assert position is not None, "there was room a moment ago"
    return position


class _StickyRandom:
    """Kafka's sticky partitioner for messages without a key: one partition, changed now and then."""

    CHANGE_EVERY: Final = 100  # Messages; about one batch.

    def __init__(self) -> None:
        self._left = 0
        self._seed = ""

    def partition(self, count: int) -> int:
        if self._left == 0:
            self._left, self._seed = self.CHANGE_EVERY, secrets.token_hex(4)
        self._left -= 1
        return partition_for_key(self._seed, count)


class _PublishStream(Conversation):
    """A publish session as a conversation."""

    reads = False

    def __init__(self, state: CoordinatorState, context: ServicerContext) -> None:
        super().__init__()
        self._state = state
        self._context = context
        self._session = PublishSession(state.engine, self._on_wake, local_process(context))
        self._heartbeat_seconds = state.settings.heartbeat_seconds
        self._ended = False

    def drain(self, *, at_once: bool) -> None:
        self._session.drain()

    async def run(self) -> None:
        first = await read_first(self._context)
        if first is grpc.aio.EOF:
            return
        session = self._session
        session.on_frame(first, time.monotonic(), time.time_ns())
        self._state.open_stream(self)
        try:
            await converse(self._context, self)
        finally:
            session.close()
            self._state.close_stream(self)

    def _on_wake(self) -> None:
        self.wake()  # Of whoever drives by then.

    @property
    def is_blocked(self) -> bool:
        return self._session.is_blocked

    @property
    def error(self) -> BellwireError | None:
        return self._session.error

    @property
    def is_finished(self) -> bool:
        return self._ended and self._session.is_idle

    def take(self, request: pb.PublishStreamRequest, now: float, now_ns: int) -> None:
        self._session.on_frame(request, now, now_ns)

    def end(self) -> None:
        self._ended = True

    def next_frame(self, now: float, now_ns: int) -> pb.PublishStreamResponse | None:
        frame = self._session.next_frame()
        if frame is None and self.retry_at is not None and now >= self.retry_at:
            self._session.heartbeat(now_ns)
            frame = self._session.next_frame()
        if frame is not None or self.retry_at is None:
            self.retry_at = now + self._heartbeat_seconds
        self.has_more = self._session.has_frames
        return frame
