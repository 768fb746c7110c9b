"""PublisherService: unary and streaming publish over the same admission."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Final, TypeAlias

import grpc

from bellwire.bus.v1 import publisher_pb2 as pb
from bellwire.bus.v1.message_pb2 import Batch, PositionRange, Window
from bellwire.coordinator.core.admission import (
    MEMORY_ACK_LEVELS,
    admit_batch,
    admit_messages,
    check_ack_level,
)
from bellwire.coordinator.core.topic import Topic
from bellwire.coordinator.services.duplex import Outbox, check_first_arm, read_first, run_both
from bellwire.coordinator.services.status import ServicerContext, time_left
from bellwire.coordinator.state import CoordinatorState
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    DrainingError,
    InvalidBatchError,
    NotImplementedYetError,
    UnknownFrameError,
    to_item_error,
)
from bellwire.wire.partitioner import partition_for_key

BATCHES_PER_FRAME_MAX: Final = 64
OUTBOX_FRAMES_MAX: Final = 4_096  # Acks merge; a peer this far behind does not read.
POSITIONS_PER_ACK_MAX: Final = 256
RECONNECT_AFTER_MILLIS: Final = 100  # A restart takes longer; the client's backoff does the rest.
_Result: TypeAlias = PositionRange | asyncio.Future[PositionRange] | None  # None = refused.


def refuse_request_id(request_id: str) -> None:
    """Refuse idempotency keys until there are stored results to replay.

    Raises:
        NotImplementedYetError: One was given.
    """
    if request_id:
        raise NotImplementedYetError(
            "request_id is not served yet: results are not stored; leave it empty",
            metadata={"field": "request_id"},
        )


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
            ack_levels=MEMORY_ACK_LEVELS,
        )

    async def Publish(
        self, request: pb.PublishRequest, context: ServicerContext
    ) -> pb.PublishResponse:
        """Publish one batch or plain messages."""
        refuse_request_id(request.request_id)
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
        wait = self._state.settings.publish_wait_seconds
        timeout = min(wait, time_left(context, wait))
        positions = [
            await self._append(topic, batch, sampled, timeout) for batch, sampled in batches
        ]
        return pb.PublishResponse(positions=positions, ack_level=level)

    async def PublishStream(self, _: object, context: ServicerContext) -> None:
        """Publish batches over one stream."""
        await _PublishSession(self._state, context).run()

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
                return topic, [(request.batch, admit_batch(request.batch, topic, limits, ""))]
            except BellwireError as error:
                topic.stats.refused[error.reason] += 1
                raise
        topic = state.bus.topic(request.topic, now_ns)
        return topic, admit_messages(
            request.messages, topic, limits, "", now_ns, self._keyless.partition
        )

    async def _append(
        self, topic: Topic, batch: Batch, sampled: list[str], timeout_seconds: float
    ) -> PositionRange:
        partition = topic.partition(batch.header.partition)
        worker = self._state.workers.owner(partition)
        return await worker.append(partition, batch, sampled, timeout_seconds)


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


class _PublishSession:
    """One publish stream: reads frames, appends, and acknowledges in ranges."""

    def __init__(self, state: CoordinatorState, context: ServicerContext) -> None:
        self._state = state
        self._context = context
        self._settings = state.settings
        self._limits = state.settings.limits
        self._outbox: Outbox[pb.PublishStreamResponse] = Outbox(OUTBOX_FRAMES_MAX)
        self._waiting: dict[asyncio.Task[None], list[asyncio.Future[PositionRange]]] = {}
        self._messages_waiting = 0
        self._bytes_waiting = 0
        self._last_frame = 0

    reads = False

    def drain(self, *, at_once: bool) -> None:
        draining = pb.PublishDraining(reconnect_after_millis=RECONNECT_AFTER_MILLIS)
        self._outbox.put(pb.PublishStreamResponse(draining=draining))

    async def run(self) -> None:
        first = await read_first(self._context)
        if first is grpc.aio.EOF:
            return
        check_first_arm(first.WhichOneof("frame"), "start", "publish")
        if self._state.draining:
            raise DrainingError("coordinator is shutting down: reconnect")
        self._outbox.put(pb.PublishStreamResponse(started=self._started(first.start)))
        self._state.open_stream(self)
        try:
            await run_both(self._read(), self._write(), self._outbox.broken)
        finally:
            self._state.close_stream(self)
            await self._give_up_waiting()

    def _started(self, start: pb.PublishStart) -> pb.PublishStarted:
        settings = self._settings
        return pb.PublishStarted(
            producer_id=start.producer_id or self._state.bus.producer_ids.issue(),
            producer_epoch=start.producer_epoch,
            window=Window(
                messages=settings.publish_window_messages, bytes=settings.publish_window_bytes
            ),
        )

    async def _read(self) -> None:
        read = self._context.read
        while (request := await read()) is not grpc.aio.EOF:
            match request.WhichOneof("frame"):
                case "batches":
                    self._on_batches(request.batches)
                    while self._window_is_full():
                        # The hard end of the window: nothing more is read until something is appended.
                        await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
                case "heartbeat":
                    self._heartbeat()
                case "start":
                    raise CallerError(
                        "`start` came twice: it is the first frame, and only the first"
                    )
                case _:
                    raise UnknownFrameError("publish frame carries no arm this server knows")
        if self._waiting:
            await asyncio.wait(self._waiting)
        self._outbox.close()

    def _window_is_full(self) -> bool:
        settings = self._settings
        return (
            self._messages_waiting >= settings.publish_window_messages
            or self._bytes_waiting >= settings.publish_window_bytes
        )

    async def _write(self) -> None:
        write, take = self._context.write, self._outbox.take
        while True:
            try:
                frame = await take(self._settings.heartbeat_seconds)
            except TimeoutError:
                self._heartbeat()
                continue
            if frame is None:
                return
            await write(frame)

    def _heartbeat(self) -> None:
        beat = pb.PublishHeartbeat(time_unix_nano=time.time_ns())
        self._outbox.put(pb.PublishStreamResponse(heartbeat=beat))

    def _on_batches(self, frame: pb.PublishBatches) -> None:
        if frame.frame_sequence != self._last_frame + 1:
            raise CallerError(
                f"frame {frame.frame_sequence} does not follow frame {self._last_frame}: count by one",
                metadata={
                    "found": str(frame.frame_sequence),
                    "expected": str(self._last_frame + 1),
                },
            )
        self._last_frame = frame.frame_sequence
        if not 1 <= len(frame.batches) <= BATCHES_PER_FRAME_MAX:
            raise CallerError(
                f"frame holds {len(frame.batches)} batches, 1 to {BATCHES_PER_FRAME_MAX} are allowed"
            )
        results: list[_Result] = []
        waits = False
        for index, batch in enumerate(frame.batches):
            try:
                result = self._append(batch, frame.ack_level)
            except BellwireError as error:
                self._fail(frame.frame_sequence, index, batch, error)
                results.append(None)
            else:
                waits = waits or isinstance(result, asyncio.Future)
                results.append(result)
        level = frame.ack_level or pb.ACK_LEVEL_RECEIVED
        if not waits:
            self._acknowledge(frame.frame_sequence, level, [r for r in results if r is not None])  # type: ignore[misc]
            return
        self._wait(frame, level, results)

    def _append(
        self, batch: Batch, level: pb.AckLevel.ValueType
    ) -> PositionRange | asyncio.Future[PositionRange]:
        topic = self._state.bus.topic(batch.header.topic, time.time_ns())
        check_ack_level(topic, level)
        sampled = admit_batch(batch, topic, self._limits, "")
        partition = topic.partitions[batch.header.partition]
        worker = self._state.workers.owner(partition)
        done = worker.append_now(partition, batch, sampled)
        return done or worker.wait(partition, batch, sampled, self._settings.publish_wait_seconds)

    def _wait(
        self, frame: pb.PublishBatches, level: pb.AckLevel.ValueType, results: list[_Result]
    ) -> None:
        """Answer a frame once its batches have found room; until then it fills the window."""
        messages = sum(batch.header.message_count for batch in frame.batches)
        size_bytes = frame.ByteSize()
        self._messages_waiting += messages
        self._bytes_waiting += size_bytes
        task = asyncio.create_task(self._await_room(frame, level, results))
        self._waiting[task] = [item for item in results if isinstance(item, asyncio.Future)]

        def answered(task: asyncio.Task[None]) -> None:
            del self._waiting[task]
            self._messages_waiting -= messages
            self._bytes_waiting -= size_bytes

        task.add_done_callback(answered)

    async def _give_up_waiting(self) -> None:
        """Append nothing more for a lost stream.

        Its peer sends all of it again, in order; a batch that was appended meanwhile without those
        before it would put them out of order for good. So all are cancelled before anything runs.
        """
        tasks = tuple(self._waiting)
        for future in [future for futures in self._waiting.values() for future in futures]:
            if not future.cancel() and not future.cancelled():
                future.exception()  # Nobody else will look at it.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _await_room(
        self, frame: pb.PublishBatches, level: pb.AckLevel.ValueType, results: list[_Result]
    ) -> None:
        positions: list[PositionRange] = []
        for index, result in enumerate(results):
            if isinstance(result, PositionRange):
                positions.append(result)
            elif result is not None:
                try:
                    positions.append(await result)
                except BellwireError as error:
                    self._fail(frame.frame_sequence, index, frame.batches[index], error)
        self._acknowledge(frame.frame_sequence, level, positions)

    def _acknowledge(
        self, frame: int, level: pb.AckLevel.ValueType, positions: list[PositionRange]
    ) -> None:
        last = self._outbox.last
        if last is not None and last.HasField("ack"):
            ack = last.ack
            if (
                ack.last_frame_sequence + 1 == frame
                and ack.ack_level == level
                and len(ack.positions) < POSITIONS_PER_ACK_MAX
            ):
                ack.last_frame_sequence = frame
                ack.positions.extend(positions)
                return
        ack = pb.PublishAck(
            first_frame_sequence=frame,
            last_frame_sequence=frame,
            ack_level=level,
            positions=positions,
        )
        self._outbox.put(pb.PublishStreamResponse(ack=ack))

    def _fail(self, frame: int, index: int, batch: Batch, error: BellwireError) -> None:
        topic = self._state.bus.topics.get(batch.header.topic)
        if topic is not None:
            topic.stats.refused[error.reason] += 1
        failure = pb.PublishFailure(
            frame_sequence=frame,
            batch_index=index,
            message_index=int(error.metadata.get("message_index", "-1")),
            error=to_item_error(error),
        )
        self._outbox.put(pb.PublishStreamResponse(failure=failure))
