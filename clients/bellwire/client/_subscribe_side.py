"""What one subscribe stream carries: deliveries in, dispositions out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import grpc

from bellwire.bus.v1 import subscriber_pb2
from bellwire.bus.v1.subscriber_pb2 import (
    OVERFLOW_POLICY_DISCONNECT,
    Delivery,
    Pause,
    SubscribeHeartbeat,
    SubscribeRequest,
    SubscribeResponse,
)
from bellwire.bus.v1.subscriber_pb2 import (
    Resume as ResumeFrame,
)
from bellwire.bus.v1.subscriber_pb2_grpc import SubscriberServiceStub
from bellwire.client._direct_reader import DirectReader
from bellwire.client._inbox import Inbox
from bellwire.client._lease import Lease
from bellwire.client._resume import EphemeralResume, NamedResume, Resume
from bellwire.client._settler import Settler
from bellwire.client._subscribe_options import SubscribeOptions
from bellwire.client._whereabouts import Origin
from bellwire.client.settings import ClientSettings
from bellwire.client.settle_failure import SettleFailure
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import (
    BellwireError,
    DataCorruptError,
    InternalError,
    SlowSubscriberError,
)

if TYPE_CHECKING:
    from bellwire.bus.v1.subscriber_pb2_grpc import SubscriberServiceAsyncStub

__all__ = ["SubscribeOptions", "SubscribeSide"]

_log = logging.getLogger("bellwire.client")

NO_DIRECT_LANE: Final = "this client has no direct lane: it is off, or the coordinator elsewhere"
FAILURES_MAX: Final = 100  # Latest refusals kept for the user; policy DROP_OLDEST.
MILLIS: Final = 1_000


class SubscribeSide:
    """The `Side` of a subscribe stream.

    The local queue is bounded by the window: the coordinator sends no more, and is cut off if it does.
    After a lost stream a named subscription drops what it had not handed over, because it will be
    delivered again; an ephemeral one keeps it and opens no next stream before it is down to a window.

    Attributes:
        inbox: What was received and not handed over yet.
        settler: What is done of it, until the coordinator has been told.
        failed: Why the subscription ended, if it did.
        direct_obstacle: Why messages come by the coordinator though they were asked for directly.
        dropped_messages: Messages the coordinator dropped because we fell behind.
        paused: Nothing more is wanted; the coordinator is told, on each new stream again.
    """

    final_errors: tuple[type[BellwireError], ...] = (SlowSubscriberError, DataCorruptError)
    retried_errors: tuple[type[BellwireError], ...] = ()

    def __init__(
        self,
        pool: ChannelPool,
        settings: ClientSettings,
        options: SubscribeOptions,
        on_settle_failure: Callable[[SettleFailure], None] | None,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._options = options
        self._on_settle_failure = on_settle_failure
        self._channel: grpc.aio.Channel | None = None
        self._resume: Resume = (
            NamedResume(options.window_messages) if options.subscription else EphemeralResume()
        )
        self._drain_deadline: float | None = None
        self._reconnect_after = 0.0
        self._lease_id = ""
        self._lease = Lease(options.lease_millis / MILLIS if options.lease_millis else None)
        linger_seconds = settings.subscribe.settle_linger_seconds
        self.settler = Settler(options, linger_seconds, self._resume, self._lease)
        self.inbox = Inbox(
            self.settler,
            self._resume,
            options.window_messages,
            options.window_bytes,
            self._lease,
            self.settler.expired,
        )
        self.settler.put_back = self.inbox.put_back
        path = pool.direct_path if options.direct else None
        self.direct_obstacle = ""
        if options.direct and path is None:
            self.direct_obstacle = NO_DIRECT_LANE
            self._options = options = replace(options, direct=False)
        self._direct = DirectReader(
            path, settings.timeout_seconds, self.inbox.put_direct, self._has_room, self._is_full
        )
        if options.direct:
            self.inbox.on_room = self._direct.on_room
        self.paused = False
        self._told_paused = False
        self.closing = False
        self.revoke: Callable[[int], None] = lambda first_lease: None
        self.failed: BellwireError | None = None
        self.settle_failures: deque[SettleFailure] = deque(maxlen=FAILURES_MAX)
        self.dropped_messages = 0

    @property
    def lease(self) -> int:
        """Counts the streams; tags are scoped to one."""
        return self._lease.number

    @property
    def is_direct(self) -> bool:
        """Whether anything may come directly."""
        return self._direct.is_active

    def _has_room(self, messages_held: int) -> bool:
        """Tell whether more should be read of what comes directly."""
        return not self.paused and self.inbox.has_room(messages_held)

    def _is_full(self) -> bool:
        return not self.inbox.has_room(0)

    def resume_direct(self) -> None:
        """Read on after a pause."""
        self._direct.on_room()

    def position(self) -> list[EphemeralResume]:
        """Return where an unnamed subscription is; of a named one the coordinator knows."""
        return [self._resume] if isinstance(self._resume, EphemeralResume) else []

    def go_on_after(self, origin: Origin, belongs: Callable[[str], bool]) -> None:
        """Begin where others are, with those of their topics that belong here and are asked for.

        What was read in another group begins anew in this one: in the log that it has here, from its beginning. Where
        the user asked for the beginning that is so already, and a coordinator too old to know of a rule for what a
        list lacks would begin that at its end.
        """
        resume, options = self._resume, self._options
        if not isinstance(resume, EphemeralResume):
            return
        here = () if origin.here is None else (origin.here,)
        if not here and options.begins_at_beginning:
            return
        for other in (*origin.elsewhere, *here):
            resume.go_on_after(other, lambda topic: belongs(topic) and options.concerns(topic))

    # ------------------------------------------------------------ Side of the link

    async def prepare(self) -> None:
        """Wait until what is left of earlier streams fits one window."""
        await self.inbox.wait_for_room()

    def open_call(self) -> grpc.aio.StreamStreamCall[SubscribeRequest, SubscribeResponse]:
        """Begin the RPC, on the channel kept for it."""
        if self._channel is None:
            self._channel = self._pool.control() if self._options.control else self._pool.next()
        self._direct.lead(self._pool.direct_path if self._options.direct else None)
        stub: SubscriberServiceAsyncStub = SubscriberServiceStub(self._channel)
        return stub.Subscribe()

    def start_frame(self) -> SubscribeRequest:
        """Return the first frame."""
        return self._options.start_frame(self._resume.start_position(), self._lease_id)

    def heartbeat_frame(self) -> SubscribeRequest:
        """Return the frame that says "still here"."""
        return SubscribeRequest(heartbeat=SubscribeHeartbeat(time_unix_nano=time.time_ns()))

    def next_frame(self, now: float) -> SubscribeRequest | None:
        """Return a pause or its end, or gathered dispositions once they are due, or None."""
        if self.paused != self._told_paused:
            self._told_paused = self.paused
            if self.paused:
                return SubscribeRequest(pause=Pause())
            return SubscribeRequest(resume=ResumeFrame())
        settle = self.settler.take(now, closing=self.closing)
        return None if settle is None else SubscribeRequest(settle=settle)

    def has_more(self) -> bool:
        """Tell that there is a next time to settle; frames of this side are few."""
        return True

    def wake_at(self, now: float) -> float | None:
        """Return when the gathered dispositions are due, or draining has taken long enough."""
        times = (self.settler.due_at(), self._drain_deadline)
        return min((at for at in times if at is not None), default=None)

    def on_response(self, response: SubscribeResponse, now: float) -> bool:
        """Take a frame of the coordinator; True when the sender should look again."""
        match response.WhichOneof("frame"):
            case "delivery":
                self._on_delivery(response.delivery)
            case "deliveries":
                for delivery in response.deliveries.deliveries:
                    self._on_delivery(delivery)
            case "started":
                self._reconnect_after = 0.0
                self._lease_id = response.started.lease_id
                if self._options.direct:
                    self._note_obstacle(response.started.direct_obstacle)
                self._missed(self._resume.started(response.started.positions))
            case "settle_failure":
                self._on_settle_failure_frame(response.settle_failure)
            case "direct_route":
                self._direct.offered(response.direct_route)
            case "direct_skip":
                self._direct.skip(response.direct_skip)
            case "direct_refused":
                self._direct.refused(response.direct_refused)
            case "heartbeat" if self._options.direct:
                self._resume.advance(response.heartbeat.positions)
            case "draining":
                self._drain_deadline = now + self._settings.timeout_seconds
                self._reconnect_after = response.draining.reconnect_after_millis / MILLIS
                return True
            case _:
                pass  # A heartbeat, or something newer than this client: hearing it is enough.
        return False

    def _note_obstacle(self, obstacle: str) -> None:
        if obstacle and obstacle != self.direct_obstacle:
            _log.info("%s: not directly: %s", ", ".join(self._options.topics), obstacle)
        self.direct_obstacle = obstacle

    def _missed(self, count: int) -> None:
        """Count what the log dropped between two streams.

        gRPC may lose the status with which a stream ended, when it was being written to; that we were
        too slow is then learned here.
        """
        self.dropped_messages += count
        if count and self._options.overflow_policy == OVERFLOW_POLICY_DISCONNECT:
            raise SlowSubscriberError(
                f"subscriber missed {count} messages that the topic no longer keeps, "
                "and its policy is DISCONNECT: read faster, or choose BLOCK or DROP_OLDEST"
            )

    def _on_delivery(self, delivery: Delivery) -> None:
        header = delivery.batch.header
        count = header.message_count
        self.settler.in_flight += count
        # Under a lease that ended here later than there, more may be on its way than we count as free.
        in_flight = self.settler.in_flight
        if in_flight > self._options.window_messages and not self._lease.is_timed:
            raise InternalError(
                f"coordinator sent {in_flight} messages into a window of "
                f"{self._options.window_messages}"
            )
        self.dropped_messages += delivery.dropped_messages
        key = (header.topic, header.partition)
        skipped = self._resume.on_received(
            key, delivery.first_offset, count, delivery.attempt, delivery.log_id
        )
        self.settler.came(*key, delivery.first_offset, delivery.first_offset + count - 1)
        if self._options.direct:
            self._direct.relayed(delivery, skipped)
        else:
            self.inbox.put(delivery, skipped)

    def _on_settle_failure_frame(self, frame: subscriber_pb2.SettleFailure) -> None:
        failure = self.settler.refused(frame)
        self.settle_failures.append(failure)
        if self._on_settle_failure is None:
            return
        try:
            self._on_settle_failure(failure)
        except Exception:  # noqa: BLE001 - the user wrote it
            _log.exception("on_settle_failure raised")  # It must not cost the stream.

    def is_finished(self) -> bool:
        """Tell whether everything in hand is settled, or draining has taken long enough."""
        deadline = self._drain_deadline
        if deadline is None:
            return False
        return self.settler.in_flight == 0 or asyncio.get_running_loop().time() >= deadline

    def reconnect_after(self) -> float:
        """Return the seconds the coordinator asked to wait."""
        return self._reconnect_after

    def on_lost(self) -> None:
        """Forget the lease: its tags mean nothing any more."""
        self.settler.settle_lingering()  # Not to be sent, but to be recognised when delivered again.
        self._drain_deadline = None
        self._direct.end_all()
        self._told_paused = False
        self.settler.lost()
        if self._options.subscription:
            self.inbox.drop()
        self._lease.number += 1
        if self._options.subscription:
            self.revoke(self.lease)

    def on_failed(self, error: BellwireError) -> None:
        """Wake whoever waits for a delivery."""
        self.failed = error
        self.inbox.arrived.set()
