"""SubscriberService: streaming delivery within hard windows, its unary twins, seek and replay."""

from __future__ import annotations

import time
from typing import Final

import grpc

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.coordinator.core.positions import positions_of
from bellwire.coordinator.core.subscribe_session import SubscribeSession
from bellwire.coordinator.services.context import local_process
from bellwire.coordinator.services.conversation import Conversation, converse
from bellwire.coordinator.services.duplex import read_first
from bellwire.coordinator.services.latest import get_latest
from bellwire.coordinator.services.once import once
from bellwire.coordinator.services.pull import PullLeases
from bellwire.coordinator.services.replay import replay
from bellwire.coordinator.services.start_time import resolved, resolved_in
from bellwire.coordinator.state import CoordinatorState
from bellwire.coordinator.tracing import record_routes
from bellwire.transport.serving.status import ServicerContext

SERVICE: Final = "bellwire.bus.v1.SubscriberService"


class SubscriberService:
    """Brings messages to subscribers."""

    def __init__(self, state: CoordinatorState) -> None:
        self._state = state
        self._leases = PullLeases(state)

    async def Subscribe(self, _: object, context: ServicerContext) -> None:
        """Deliver over one stream."""
        await _SubscribeStream(self._state, context).run()

    async def Pull(self, request: pb.PullRequest, context: ServicerContext) -> pb.PullResponse:
        """Deliver under a lease."""
        return await self._leases.pull(request)

    async def Acknowledge(
        self, request: pb.AcknowledgeRequest, context: ServicerContext
    ) -> pb.AcknowledgeResponse:
        """Settle deliveries of a lease."""
        return self._leases.acknowledge(request)

    async def Seek(self, request: pb.SeekRequest, context: ServicerContext) -> pb.SeekResponse:
        """Move a subscription's cursors."""

        async def carry_out() -> pb.SeekResponse:
            bus = self._state.bus
            found = bus.existing_subscription(request.subscription)
            # Of what it reads and nothing else: it may be bound to a topic of another group that has a log here.
            read = [cursor.partition for cursor in found.cursors]
            wanted = [p for p in read if not request.topics or p.topic.name in request.topics]
            position = await resolved_in(self._state, request.position, wanted)
            subscription = bus.seek(request.subscription, position, request.topics)
            return pb.SeekResponse(positions=positions_of(subscription))

        return await once(self._state, f"{SERVICE}/Seek", request, pb.SeekResponse, carry_out)

    async def DeleteSubscription(
        self, request: pb.DeleteSubscriptionRequest, context: ServicerContext
    ) -> pb.DeleteSubscriptionResponse:
        """Delete a subscription without members."""

        async def carry_out() -> pb.DeleteSubscriptionResponse:
            self._state.bus.delete_subscription(request.subscription)
            return pb.DeleteSubscriptionResponse()

        rpc = f"{SERVICE}/DeleteSubscription"
        return await once(self._state, rpc, request, pb.DeleteSubscriptionResponse, carry_out)

    async def GetLatest(
        self, request: pb.GetLatestRequest, context: ServicerContext
    ) -> pb.GetLatestResponse:
        """Give the last messages of some keys."""
        return await get_latest(self._state, request)

    async def Replay(self, request: pb.ReplayRequest, context: ServicerContext) -> None:
        """Send a stretch of the log again."""
        await replay(self._state, request, context)


class _SubscribeStream(Conversation):
    """A subscribe session as a conversation."""

    reads = True

    def __init__(self, state: CoordinatorState, context: ServicerContext) -> None:
        super().__init__()
        self._state = state
        self._context = context
        self._session = SubscribeSession(state.engine, self._on_wake, local_process(context))
        self._ended = False

    def drain(self, *, at_once: bool) -> None:
        self._session.drain(at_once=at_once)

    async def run(self) -> None:
        first = await read_first(self._context)
        if first is grpc.aio.EOF:
            return
        self._state.open_stream(self)
        try:
            if first.HasField("start"):
                first.start.start_position.CopyFrom(
                    await resolved(self._state, first.start.start_position, first.start.topics)
                )
            self._session.on_frame(first, time.monotonic(), time.time_ns())
            await converse(self._context, self)
        finally:
            self._session.close(lost=not self._ended)
            self._state.close_stream(self)

    def _on_wake(self) -> None:
        self.wake()  # Of whoever drives by then.

    @property
    def is_finished(self) -> bool:
        return self._ended

    def take(self, request: pb.SubscribeRequest, now: float, now_ns: int) -> None:
        self._session.on_frame(request, now, now_ns)

    def end(self) -> None:
        self._ended = True

    def next_frame(self, now: float, now_ns: int) -> pb.SubscribeResponse | None:
        self.has_more = True
        if self._ended:  # It wants to know only which of its last settlements failed.
            return self._session.next_failure()
        session = self._session
        frame = session.next_frame(now, now_ns)
        self.retry_at = session.retry_at
        self.has_more = session.has_more
        if frame is None:
            self.written()  # What was only stepped over makes no frame.
        return frame

    def written(self) -> None:
        sampled = self._session.sampled
        while sampled:
            record_routes(sampled.popleft(), time.time_ns())
