"""SubscriberService: streaming delivery within hard windows, and its unary twins."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from typing import Final
from uuid import uuid4

import grpc

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.bus.v1.message_pb2 import Window as WindowMessage
from bellwire.coordinator.core.bus import positions_of
from bellwire.coordinator.core.member import Handout, Member
from bellwire.coordinator.services.delivery import accepted_codecs, encode_delivery
from bellwire.coordinator.services.duplex import check_first_arm, read_first, run_both
from bellwire.coordinator.services.pull import PullLeases
from bellwire.coordinator.services.settlement import apply_settlements
from bellwire.coordinator.services.status import ServicerContext
from bellwire.coordinator.state import CoordinatorState
from bellwire.coordinator.tracing import record_routes
from bellwire.wire.errors import (
    CallerError,
    DrainingError,
    PayloadTooLargeError,
    SlowSubscriberError,
    UnknownFrameError,
)
from bellwire.wire.window import Window, check_window

RECONNECT_AFTER_MILLIS: Final = 100
FRAME_DELIVERIES_MAX: Final = 64
FRAME_BYTES_SOFT_MAX: Final = 1 << 20  # With one more batch of 1 MiB it stays below gRPC's 4 MiB.
FAILURES_UNSENT_MAX: Final = 1_000  # Settle failures a peer may leave unread; then its stream ends.


class SubscriberService:
    """Brings messages to subscribers."""

    def __init__(self, state: CoordinatorState) -> None:
        self._state = state
        self._leases = PullLeases(state)

    async def Subscribe(self, _: object, context: ServicerContext) -> None:
        """Deliver over one stream."""
        await _SubscribeSession(self._state, context).run()

    async def Pull(self, request: pb.PullRequest, context: ServicerContext) -> pb.PullResponse:
        """Deliver under a lease."""
        return await self._leases.pull(request)

    async def Acknowledge(
        self, request: pb.AcknowledgeRequest, context: ServicerContext
    ) -> pb.AcknowledgeResponse:
        """Settle deliveries of a lease."""
        return self._leases.acknowledge(request)


class _SubscribeSession:
    """One subscribe stream: one member of one subscription."""

    def __init__(self, state: CoordinatorState, context: ServicerContext) -> None:
        self._state = state
        self._context = context
        self._wake = asyncio.Event()
        self._failures: list[pb.SettleFailure] = []
        self._sampled: deque[Handout] = deque()
        self._draining = False
        self._last_call = False
        self._told = False
        self._ended = False
        self._spoke_at = time.monotonic()

    reads = True

    def drain(self, *, at_once: bool) -> None:
        self._draining = True
        self._last_call = at_once
        self._wake.set()

    async def run(self) -> None:
        first = await read_first(self._context)
        if first is grpc.aio.EOF:
            return
        check_first_arm(first.WhichOneof("frame"), "start", "subscribe")
        if self._state.draining:
            raise DrainingError("coordinator is shutting down: reconnect")
        start = first.start
        self._state.open_stream(self)
        try:
            await self._serve(self._join(start), start)
        finally:
            self._state.close_stream(self)

    async def _serve(self, member: Member, start: pb.SubscribeStart) -> None:
        try:
            await self._context.write(pb.SubscribeResponse(started=self._started(member, start)))
            await run_both(self._read(member), self._write(member, start))
        finally:
            self._state.bus.leave(member)

    def _join(self, start: pb.SubscribeStart) -> Member:
        state = self._state
        check_window(start.window, state.settings.message_bytes_max)
        _check_batch_messages(start.max_batch_messages, state.settings.batch_messages_max)
        accepted_codecs(start.accepted_codecs)
        now_ns = time.time_ns()
        if start.subscription:
            subscription = state.bus.open_named(
                start.subscription,
                start.topics,
                start.start_position,
                start.ordering,
                start.overflow_policy,
                now_ns,
            )
        else:
            subscription = state.bus.open_ephemeral(
                start.topics,
                start.start_position,
                start.overflow_policy,
                now_ns,
                f"ephemeral of {start.client_id or 'unnamed client'}",
            )
        window = Window(start.window.messages, start.window.bytes)
        return subscription.join(str(uuid4()), window, self._wake.set)

    def _started(self, member: Member, start: pb.SubscribeStart) -> pb.SubscribeStarted:
        return pb.SubscribeStarted(
            lease_id=member.lease_id,
            window=start.window,
            positions=positions_of(member.subscription),
            overflow_policy=member.subscription.overflow_policy,
        )

    async def _read(self, member: Member) -> None:
        read = self._context.read
        while (request := await read()) is not grpc.aio.EOF:
            match request.WhichOneof("frame"):
                case "settle":
                    self._settle(member, request.settle)
                case "window":
                    self._resize(member, request.window)
                case "pause":
                    member.paused = True
                case "resume":
                    member.paused = False
                    self._wake.set()
                case "heartbeat":
                    self._spoke_at = -math.inf  # Answered at once, unless a delivery says as much.
                    self._wake.set()
                case "start":
                    raise CallerError(
                        "`start` came twice: it is the first frame, and only the first"
                    )
                case _:
                    raise UnknownFrameError("subscribe frame carries no arm this server knows")
        self._ended = True
        self._wake.set()

    def _settle(self, member: Member, settle: pb.Settle) -> None:
        self._failures += apply_settlements(member, settle.settlements)
        if len(self._failures) > FAILURES_UNSENT_MAX:
            raise CallerError(
                f"{len(self._failures)} settlements failed and were not read: settle each tag once"
            )
        self._wake.set()

    def _resize(self, member: Member, window: WindowMessage) -> None:
        check_window(window, self._state.settings.message_bytes_max)
        member.window.resize(window.messages, window.bytes)
        self._wake.set()

    async def _write(self, member: Member, start: pb.SubscribeStart) -> None:
        accepted = accepted_codecs(start.accepted_codecs)
        messages_max = start.max_batch_messages or self._state.settings.batch_messages_max
        frame_max = min(max(1, start.max_frame_deliveries), FRAME_DELIVERIES_MAX)
        subscription, write = member.subscription, self._context.write
        while not self._ended:
            self._wake.clear()
            if self._failures or self._draining:
                await self._write_others(member)
            frame = self._next_frame(member, messages_max, frame_max, accepted)
            if frame is None:
                if member.overflowed:
                    raise SlowSubscriberError(
                        f"subscriber fell {subscription.dropped} messages behind what the topic keeps, "
                        "and its policy is DISCONNECT: read faster, or choose BLOCK or DROP_OLDEST"
                    )
                await self._idle(member)
                continue
            await write(frame)
            while self._sampled:
                record_routes(self._sampled.popleft(), time.time_ns())
        await self._write_others(member)

    def _next_frame(
        self, member: Member, messages_max: int, frame_max: int, accepted: frozenset[int]
    ) -> pb.SubscribeResponse | None:
        """Return what is ready now as one frame: under load a call of gRPC costs more than a batch."""
        next_handout = member.subscription.next_handout
        now, now_ns = time.monotonic(), time.time_ns()
        deliveries: list[pb.Delivery] = []
        size = 0
        while len(deliveries) < frame_max and size < FRAME_BYTES_SOFT_MAX:
            handout = next_handout(member, now, messages_max, now_ns)
            if handout is None:
                break
            if handout.entry.sampled:
                self._sampled.append(handout)
            delivery = encode_delivery(handout, accepted)
            deliveries.append(delivery)
            size += delivery.ByteSize()
        if not deliveries:
            return None
        self._spoke_at = now
        if len(deliveries) == 1:
            return pb.SubscribeResponse(delivery=deliveries[0])
        return pb.SubscribeResponse(deliveries=pb.Deliveries(deliveries=deliveries))

    async def _write_others(self, member: Member) -> None:
        while self._failures:
            failure = self._failures.pop(0)
            await self._context.write(pb.SubscribeResponse(settle_failure=failure))
        # Whoever is told leaves once nothing is in flight: so the backlog goes first.
        leave = self._last_call or not member.subscription.has_work_for(member)
        if self._draining and leave and not self._told:
            self._told = True
            draining = pb.SubscribeDraining(reconnect_after_millis=RECONNECT_AFTER_MILLIS)
            await self._context.write(pb.SubscribeResponse(draining=draining))

    async def _idle(self, member: Member) -> None:
        """Wait for a wake-up, or for the time a delivery is due; send a heartbeat when one is due.

        A member with a full window is woken by every publisher and still says nothing: its heartbeats
        go by the time since it last spoke, not by the length of one wait.
        """
        now = time.monotonic()
        beat_at = self._spoke_at + self._state.settings.heartbeat_seconds
        if now >= beat_at:
            self._spoke_at = now
            beat = pb.SubscribeHeartbeat(
                time_unix_nano=time.time_ns(), positions=positions_of(member.subscription)
            )
            await self._context.write(pb.SubscribeResponse(heartbeat=beat))
            return
        wake_at = beat_at if member.retry_at is None else min(beat_at, member.retry_at)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wake_at - now):
                await self._wake.wait()


def _check_batch_messages(asked: int, limit: int) -> None:
    if asked > limit:
        raise PayloadTooLargeError(
            f"max_batch_messages is {asked}, limit is {limit}",
            metadata={"max_batch_messages": str(asked), "limit": str(limit)},
        )
