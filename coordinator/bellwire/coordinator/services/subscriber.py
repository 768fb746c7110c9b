"""SubscriberService: streaming delivery within hard windows, its unary twins, seek and replay."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

import grpc

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.coordinator.core.bus import positions_of
from bellwire.coordinator.core.subscribe_session import SubscribeSession
from bellwire.coordinator.services.duplex import read_first, run_both
from bellwire.coordinator.services.once import once
from bellwire.coordinator.services.pull import PullLeases
from bellwire.coordinator.services.replay import replay
from bellwire.coordinator.services.start_time import resolved
from bellwire.coordinator.services.status import ServicerContext
from bellwire.coordinator.state import CoordinatorState
from bellwire.coordinator.tracing import record_routes

SERVICE: Final = "bellwire.bus.v1.SubscriberService"
# gRPC ends the reading side of a peer that died as if it had closed, and cancels us right after: 0.15 ms, measured.
RESET_SECONDS: Final = 0.01


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
            topics = list(request.topics) or [pattern.text for pattern in found.patterns]
            position = await resolved(self._state, request.position, topics)
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

    async def Replay(self, request: pb.ReplayRequest, context: ServicerContext) -> None:
        """Send a stretch of the log again."""
        await replay(self._state, request, context)


class _SubscribeStream:
    """The I/O around a subscribe session."""

    reads = True

    def __init__(self, state: CoordinatorState, context: ServicerContext) -> None:
        self._state = state
        self._context = context
        self._wake = asyncio.Event()
        self._session = SubscribeSession(state.engine, self._wake.set)
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
            await run_both(self._read(), self._write())
        finally:
            self._session.close(lost=not self._ended)
            self._state.close_stream(self)

    async def _read(self) -> None:
        read, session = self._context.read, self._session
        while (request := await read()) is not grpc.aio.EOF:
            session.on_frame(request, time.monotonic(), time.time_ns())
        await asyncio.sleep(RESET_SECONDS)
        self._ended = True
        self._wake.set()

    async def _write(self) -> None:
        write, session = self._context.write, self._session
        while not self._ended:
            self._wake.clear()
            frame = session.next_frame(time.monotonic(), time.time_ns())
            if frame is None:
                await self._idle()
                continue
            await write(frame)
            while session.sampled:
                record_routes(session.sampled.popleft(), time.time_ns())
        await self._write_failures()

    async def _write_failures(self) -> None:
        """Tell a peer that has ended its stream which of its last settlements failed."""
        while (frame := self._session.next_failure()) is not None:
            await self._context.write(frame)

    async def _idle(self) -> None:
        """Wait for a wake-up, or for the time something is due."""
        retry_at = self._session.retry_at
        if retry_at is None:
            await self._wake.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, retry_at - time.monotonic())):
                await self._wake.wait()
