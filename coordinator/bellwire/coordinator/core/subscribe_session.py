"""One subscribe stream without I/O: settlements in, deliveries out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.bus.v1.message_pb2 import Window as WindowMessage
from bellwire.coordinator.core.delivery import accepted_codecs, fill_delivery
from bellwire.coordinator.core.direct import PROGRESS_SECONDS, DirectReader
from bellwire.coordinator.core.engine import Engine
from bellwire.coordinator.core.flight import Routed
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.positions import positions_of
from bellwire.coordinator.core.settlement import apply_settlements
from bellwire.coordinator.core.subscription import Subscription
from bellwire.wire.batch import block_bytes
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
LEASE_MILLIS_MIN: Final = 1_000
LEASE_MILLIS_MAX: Final = 600_000
MILLIS: Final = 1_000
OBSTACLES_MAX: Final = 10  # Topics named to a subscriber that cannot be reached directly.


class SubscribeSession:
    """One member of one subscription.

    Args:
        engine: What to read.
        wake: Called when `next_frame` may have something.
        process: The peer's, when it is on this host over the socket lane; None = it is not.

    Attributes:
        retry_at: Once `next_frame` has nothing more: monotonic seconds at which time alone changes that.
        has_more: False when the next `next_frame` would return None.
        sampled: What has sampled messages, for whoever makes spans; emptied by them.
    """

    def __init__(
        self, engine: Engine, wake: Callable[[], None], process: int | None = None
    ) -> None:
        self._engine = engine
        self._process = process
        self._direct: DirectReader | None = None
        self._settings = engine.settings
        self._wake = wake
        self._member: Member | None = None
        self._others: deque[pb.SubscribeResponse] = deque()
        self._failures: deque[pb.SettleFailure] = deque()
        self._accepted: frozenset[int] = frozenset()
        self._messages_max = 0
        self._frame_max = 1
        self._draining = False
        self._last_call = False
        self._told = False
        self._spoke_at = -math.inf
        self.retry_at: float | None = None
        self.has_more = True
        self.sampled: deque[Routed] = deque()

    # ------------------------------------------------------------ for the shell

    @property
    def member(self) -> Member | None:
        """Who takes the deliveries; None before `start`."""
        return self._member

    def drain(self, *, at_once: bool) -> None:
        """Announce that the server goes away: at once, or when what waits for the peer is delivered."""
        self._draining = True
        self._last_call = at_once
        self._wake()

    def close(self, *, lost: bool) -> None:
        """Leave the subscription; what is not settled is delivered again.

        Args:
            lost: The peer vanished, so that what it held counts a failure; False = it ended the stream.
        """
        if self._direct is not None:
            self._direct.close()
        if self._member is not None:
            self._engine.bus.leave(self._member, lost=lost)
            self._member = None

    # ------------------------------------------------------------ frames in

    def on_frame(self, request: pb.SubscribeRequest, now: float, now_ns: int) -> None:
        """Take a frame of the peer.

        Raises:
            BellwireError: The stream must end with this.
        """
        arm = request.WhichOneof("frame")
        member = self._member
        if arm is None:
            raise UnknownFrameError("subscribe frame carries no arm this server knows")
        if arm == "start":
            if member is not None:
                raise CallerError("`start` came twice: it is the first frame, and only the first")
            self._start(request.start, now, now_ns)
        elif member is None:
            raise CallerError(
                f"the first frame of the subscribe stream is `{arm}`: it must be `start`"
            )
        elif arm == "settle":
            self._settle(member, request.settle, now)
        elif arm == "window":
            self._resize(member, request.window)
        elif arm == "pause":
            member.paused = True
        elif arm == "resume":
            member.paused = False
        else:
            self._spoke_at = -math.inf  # Answered at once, unless a delivery says as much.
        self._wake()

    def _start(self, start: pb.SubscribeStart, now: float, now_ns: int) -> None:
        engine, settings = self._engine, self._settings
        if engine.draining:
            raise DrainingError("coordinator is shutting down: reconnect")
        check_window(start.window, settings.limits.message_bytes_max)
        _check_batch_messages(start.max_batch_messages, settings.limits.messages_max)
        lease_seconds = _lease_seconds(start.lease_millis)
        self._accepted = accepted_codecs(start.accepted_codecs)
        if start.subscription:
            subscription = engine.bus.open_named(
                start.subscription,
                start.topics,
                start.start_position,
                start.ordering,
                start.overflow_policy,
                now_ns,
                max_attempts=start.max_attempts,
                elsewhere=start.topics_elsewhere,
            )
        else:
            subscription = engine.bus.open_ephemeral(
                start.topics,
                start.start_position,
                start.overflow_policy,
                now_ns,
                f"ephemeral of {start.client_id or 'unnamed client'}",
            )
        if start.previous_lease_id:
            subscription.take_over(start.previous_lease_id)
        window = Window(start.window.messages, start.window.bytes)
        member = self._member = subscription.join(
            engine.new_id(), window, self._wake, lease_seconds
        )
        self._messages_max = start.max_batch_messages or settings.limits.messages_max
        self._frame_max = min(max(1, start.max_frame_deliveries), FRAME_DELIVERIES_MAX)
        started = pb.SubscribeStarted(
            lease_id=member.lease_id,
            window=start.window,
            positions=positions_of(subscription),
            overflow_policy=subscription.overflow_policy,
        )
        if start.direct:
            started.direct_obstacle = self._take_directly(start, subscription)
        self._others.append(pb.SubscribeResponse(started=started))
        self._spoke_at = now

    def _take_directly(self, start: pb.SubscribeStart, subscription: Subscription) -> str:
        """Let publishers reach the subscription; return what stands in the way."""
        if start.subscription or start.max_batch_messages or start.lease_millis:
            return "the subscription is named, has a lease or bounds its batches"
        if subscription.overflow_policy == pb.OVERFLOW_POLICY_CONFLATE:
            return (
                "policy CONFLATE, of the subscription or its topic, needs all messages in one place"
            )
        if self._process is None:
            return "the subscriber does not use the socket lane"
        self._direct = DirectReader(self._process, self._say, self.sampled.append)
        subscription.take_directly(self._direct)
        topics = {cursor.partition.topic for cursor in subscription.cursors}
        obstacles = sorted(
            f"topic {topic.name!r} {topic.direct_obstacle}"
            for topic in topics
            if topic.direct_obstacle
        )
        more = len(obstacles) - OBSTACLES_MAX
        return "; ".join(obstacles[:OBSTACLES_MAX]) + (f"; {more} more" if more > 0 else "")

    def _say(self, frame: pb.SubscribeResponse) -> None:
        self._others.append(frame)
        self._wake()

    def _settle(self, member: Member, settle: pb.Settle, now: float) -> None:
        self._failures += apply_settlements(member, settle.settlements, now)
        if len(self._failures) > FAILURES_UNSENT_MAX:
            raise CallerError(
                f"{len(self._failures)} settlements failed and were not read: settle each tag once"
            )

    def _resize(self, member: Member, window: WindowMessage) -> None:
        check_window(window, self._settings.limits.message_bytes_max)
        member.window.resize(window.messages, window.bytes)

    # ------------------------------------------------------------ frames out

    def next_frame(self, now: float, now_ns: int) -> pb.SubscribeResponse | None:
        """Return the next frame to send, or None; then see `retry_at`.

        Raises:
            SlowSubscriberError: Policy DISCONNECT has struck.
            DataCorruptError: What comes next cannot be read.
        """
        member = self._member
        self.retry_at = None
        self.has_more = True
        if self._others:
            return self._others.popleft()
        if member is None:
            return None
        failure = self.next_failure()
        if failure is not None:
            return failure
        if self._draining and not self._told and self._may_tell(member):
            self._told = True
            draining = pb.SubscribeDraining(reconnect_after_millis=RECONNECT_AFTER_MILLIS)
            return pb.SubscribeResponse(draining=draining)
        frame = self._deliveries(member, now, now_ns)
        if frame is not None:
            self._spoke_at = now
            self._look_ahead(member, now)
            return frame
        if self._others:  # Stepping over what went directly brought it up.
            self.has_more = True
            return self._others.popleft()
        if member.failed is not None:
            raise member.failed
        if member.overflowed:
            lost = sum(member.subscription.dropped.values())
            raise SlowSubscriberError(
                f"subscriber fell {lost} messages behind what the topic keeps, "
                "and its policy is DISCONNECT: read faster, or choose BLOCK or DROP_OLDEST"
            )
        return self._heartbeat(member, now, now_ns)

    def _look_ahead(self, member: Member, now: float) -> None:
        """After deliveries: where nothing more can follow, spare the driver to ask."""
        if (
            self.has_more
            or member.failed
            or member.overflowed
            or self._draining
            or self._failures
            or self._others
        ):
            self.has_more = True
        else:
            self._rest(member, now + self._settings.heartbeat_seconds)

    def _rest(self, member: Member, beat_at: float) -> None:
        self.retry_at = beat_at if member.retry_at is None else min(beat_at, member.retry_at)

    def next_failure(self) -> pb.SubscribeResponse | None:
        """Return the next settlement that was refused, as a frame, or None."""
        if not self._failures:
            return None
        return pb.SubscribeResponse(settle_failure=self._failures.popleft())

    def _may_tell(self, member: Member) -> bool:
        # Whoever is told leaves once nothing is in flight: so the backlog goes first.
        return self._last_call or not member.subscription.has_work_for(member)

    def _deliveries(self, member: Member, now: float, now_ns: int) -> pb.SubscribeResponse | None:
        """Return what is ready now as one frame: under load a call of gRPC costs more than a batch."""
        subscription = member.subscription
        response = pb.SubscribeResponse()
        count = size = 0
        while self.has_more and count < self._frame_max and size < FRAME_BYTES_SOFT_MAX:
            handout = subscription.next_handout(member, now, self._messages_max, now_ns)
            if handout is None:
                self.has_more = False
                break
            routed = handout.routed
            if routed is not None:
                self.sampled.append(routed)
            self.has_more = subscription.has_ready(member)
            is_only = not count and not self.has_more
            delivery = response.delivery if is_only else response.deliveries.deliveries.add()
            fill_delivery(delivery, handout, self._accepted)
            count += 1
            if self.has_more:
                # `ByteSize` serializes all of it; plain messages are few and small.
                size += block_bytes(delivery.batch) or delivery.ByteSize()
        if count == 1 and not response.HasField("delivery"):  # There seemed to be more.
            only = pb.SubscribeResponse()
            only.delivery.CopyFrom(response.deliveries.deliveries[0])
            return only
        return response if count else None

    def _heartbeat(self, member: Member, now: float, now_ns: int) -> pb.SubscribeResponse | None:
        """Return a heartbeat when one is due.

        A member with a full window is woken by every publisher and still says nothing: its heartbeats
        go by the time since it last spoke, not by the length of one wait.
        """
        direct = self._direct
        has_stepped = direct is not None and direct.has_stepped
        seconds = PROGRESS_SECONDS if has_stepped else self._settings.heartbeat_seconds
        beat_at = self._spoke_at + min(seconds, self._settings.heartbeat_seconds)
        if now < beat_at:
            self._rest(member, beat_at)
            return None
        self._spoke_at = now
        if direct is not None:
            direct.has_stepped = False
        self._look_ahead(member, now)
        beat = pb.SubscribeHeartbeat(
            time_unix_nano=now_ns, positions=positions_of(member.subscription)
        )
        return pb.SubscribeResponse(heartbeat=beat)


def _check_batch_messages(asked: int, limit: int) -> None:
    if asked > limit:
        raise PayloadTooLargeError(
            f"max_batch_messages is {asked}, limit is {limit}",
            metadata={"max_batch_messages": str(asked), "limit": str(limit)},
        )


def _lease_seconds(millis: int) -> float | None:
    if not millis:
        return None
    if not LEASE_MILLIS_MIN <= millis <= LEASE_MILLIS_MAX:
        raise CallerError(
            f"lease_millis is {millis}, {LEASE_MILLIS_MIN} to {LEASE_MILLIS_MAX} are allowed, "
            "0 = as long as the stream lives",
            metadata={"lease_millis": str(millis)},
        )
    return millis / MILLIS
