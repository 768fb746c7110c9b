"""Pull leases: deliveries that live outside a stream, for a bounded time."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.coordinator.core.delivery import accepted_codecs, encode_delivery
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.subscription import Subscription
from bellwire.coordinator.services.start_time import resolved
from bellwire.coordinator.state import CoordinatorState
from bellwire.coordinator.tracing import record_routes
from bellwire.wire.errors import CallerError
from bellwire.wire.window import Window

MESSAGES_DEFAULT: Final = 100
WAIT_MILLIS_MAX: Final = 60_000
LEASE_MILLIS_DEFAULT: Final = 30_000
LEASE_MILLIS_MIN: Final = 1_000
LEASE_MILLIS_MAX: Final = 600_000
RESPONSE_BYTES_MAX: Final = 3 << 20  # Stays below gRPC's default receive limit of 4 MiB.


class PullLeases:
    """Takes deliveries under leases; `core.leases` keeps them."""

    def __init__(self, state: CoordinatorState) -> None:
        self._state = state
        self._leases = state.engine.leases

    async def pull(self, request: pb.PullRequest) -> pb.PullResponse:
        """Take up to `max_messages` under a new lease.

        Raises:
            CallerError: A number is outside its bounds, or the subscription cannot be opened.
            CapacityError: There are too many leases.
        """
        messages_max, lease_seconds = self._checked(request)
        accepted = accepted_codecs(request.accepted_codecs)
        start = await resolved(self._state, request.start_position, request.topics)
        subscription = self._state.bus.open_named(
            request.subscription,
            request.topics,
            start,
            pb.ORDERING_UNSPECIFIED,
            pb.OVERFLOW_POLICY_UNSPECIFIED,
            time.time_ns(),
            default_ordering=pb.ORDERING_NONE,
            max_attempts=request.max_attempts,
        )
        woken = asyncio.Event()
        window = Window(messages_max, RESPONSE_BYTES_MAX)
        member = subscription.join(self._state.engine.new_id(), window, woken.set)
        try:
            deliveries = await self._gather(
                subscription, member, woken, messages_max, request.wait_millis / 1000, accepted
            )
        except BaseException:
            subscription.leave(member)
            raise
        if not deliveries:
            subscription.leave(member)
            return pb.PullResponse()
        self._leases.open(member, lease_seconds, time.monotonic())
        return pb.PullResponse(
            lease_id=member.lease_id,
            deliveries=deliveries,
            lease_expire_time_unix_nano=time.time_ns() + int(lease_seconds * 1e9),
        )

    def acknowledge(self, request: pb.AcknowledgeRequest) -> pb.AcknowledgeResponse:
        """Settle deliveries of a lease; it ends with its last delivery, and RENEW begins it anew.

        Raises:
            LeaseExpiredError: The lease is unknown or has ended.
        """
        failures = self._leases.acknowledge(request.lease_id, request.settlements, time.monotonic())
        return pb.AcknowledgeResponse(failures=failures)

    async def _gather(
        self,
        subscription: Subscription,
        member: Member,
        woken: asyncio.Event,
        messages_max: int,
        wait_seconds: float,
        accepted: frozenset[int],
    ) -> list[pb.Delivery]:
        give_up_at = time.monotonic() + wait_seconds
        while True:
            woken.clear()
            deliveries = []
            now, now_ns = time.monotonic(), time.time_ns()
            while handout := subscription.next_handout(member, now, messages_max, now_ns):
                deliveries.append(encode_delivery(handout, accepted))
                if handout.routed is not None:
                    record_routes(handout.routed, time.time_ns())
            if member.failed is not None and not deliveries:
                raise member.failed
            now = time.monotonic()
            if deliveries or now >= give_up_at:
                return deliveries
            retry_at = give_up_at if member.retry_at is None else member.retry_at
            try:
                async with asyncio.timeout(min(give_up_at, max(retry_at, now)) - now):
                    await woken.wait()
            except TimeoutError:
                continue

    def _checked(self, request: pb.PullRequest) -> tuple[int, float]:
        limit = self._state.settings.batch_messages_max
        messages_max = request.max_messages or min(MESSAGES_DEFAULT, limit)
        lease_millis = request.lease_millis or LEASE_MILLIS_DEFAULT
        if not request.subscription:
            raise CallerError("pull names no subscription: give it a name, for example 'inspect'")
        if messages_max > limit:
            raise CallerError(f"max_messages is {messages_max}, limit is {limit}")
        if request.wait_millis > WAIT_MILLIS_MAX:
            raise CallerError(f"wait_millis is {request.wait_millis}, limit is {WAIT_MILLIS_MAX}")
        if not LEASE_MILLIS_MIN <= lease_millis <= LEASE_MILLIS_MAX:
            raise CallerError(
                f"lease_millis is {lease_millis}, {LEASE_MILLIS_MIN} to {LEASE_MILLIS_MAX} are allowed"
            )
        self._leases.check_room()
        return messages_max, lease_millis / 1000
