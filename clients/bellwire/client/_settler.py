"""What is done of the deliveries of a subscription, until the coordinator has been told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from bellwire.bus.v1 import subscriber_pb2
from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_RELEASE,
    DISPOSITION_RENEW,
    Disposition,
    Settle,
)
from bellwire.client._given_back import GivenBack
from bellwire.client._lease import Lease
from bellwire.client._provisional import Provisional
from bellwire.client._resume import Resume
from bellwire.client._settlements import Settlements
from bellwire.client._subscribe_options import SubscribeOptions
from bellwire.client.received import Batch
from bellwire.client.settle_failure import SettleFailure

__all__ = ["Settler"]

URGENT_SHARE: Final = 8  # An eighth of the window settled: the coordinator should hear of it now.
MILLIS: Final = 1_000


class Settler:
    """Gathers dispositions, and brings again here what the coordinator will not deliver any more.

    Args:
        options: Of the subscription.
        linger_seconds: How long dispositions gather.
        resume: Told of what is accepted and released.
        lease: Of the stream.

    Attributes:
        in_flight: Messages received and not settled.
        stale_settlements: Dispositions that came after their stream was lost.
        expired_messages: Messages not handed over because they waited here longer than their lease.
        crowded: Set when so much is settled that the consumer should let the sender run.
        wake: Called when there is something to send.
        put_back: Takes a batch that is to be handed over again.
    """

    def __init__(
        self, options: SubscribeOptions, linger_seconds: float, resume: Resume, lease: Lease
    ) -> None:
        self._has_name = bool(options.subscription)
        self._linger_seconds = linger_seconds
        self._resume = resume
        self._lease = lease
        self._settlements = Settlements(linger_seconds, options.window_messages // URGENT_SHARE)
        self._lingering: list[Batch] = []
        self._linger_until: float | None = None
        self._provisional = Provisional()
        self._given_back = GivenBack(options.window_messages, options.window_bytes)
        self.in_flight = 0
        self.stale_settlements = 0
        self.expired_messages = 0
        self.crowded = False
        self.wake: Callable[[], None] = lambda: None
        self.put_back: Callable[[Batch], None] = lambda batch: None

    @property
    def messages_gathered(self) -> int:
        """Messages whose dispositions are not sent yet."""
        return self._settlements.messages

    # ------------------------------------------------------------ for the subscription

    def settle(
        self,
        batch: Batch,
        first: int,
        last: int,
        disposition: Disposition.ValueType,
        delay_millis: int = 0,
        reason: str = "",
    ) -> None:
        """Gather one disposition; it is sent in the background."""
        if batch.is_direct:
            if disposition == DISPOSITION_RELEASE:
                self._bring_again(batch, first, last, delay_millis)
            return
        key = (batch.topic, batch.partition)
        first_offset, last_offset = batch.first_offset + first, batch.first_offset + last
        if disposition == DISPOSITION_ACCEPT:
            self._resume.on_accepted(key, first_offset, last_offset, batch.log_id)
        if batch.lease != self._lease.number:
            self._settle_stale(batch, first, last, disposition, delay_millis)
            return
        now = asyncio.get_running_loop().time()
        if disposition == DISPOSITION_RELEASE:
            self._resume.on_released(key, first_offset, last_offset)
            if not self._has_name:
                self._given_back.add(batch.part(first, last), now + delay_millis / MILLIS)
        first_tag, last_tag = batch.first_tag + first, batch.first_tag + last
        if disposition != DISPOSITION_ACCEPT:
            self._provisional.remember(first_tag, last_tag, batch, first, last)
        if disposition == DISPOSITION_RENEW:
            batch.void_at = self._lease.void_at()
        if self._settlements.add(first_tag, last_tag, disposition, delay_millis, reason, now):
            self.crowded = self._settlements.urgent
            self.wake()

    def _settle_stale(
        self,
        batch: Batch,
        first: int,
        last: int,
        disposition: Disposition.ValueType,
        delay_millis: int,
    ) -> None:
        """Take a disposition whose stream was lost; it can mean something on this side only.

        The coordinator delivers again what a named subscription held. Of an ephemeral one it knows
        nothing any more, so what its user gives back is brought again from here.
        """
        self.stale_settlements += last - first + 1
        if disposition == DISPOSITION_RELEASE and not self._has_name:
            self._bring_again(batch, first, last, delay_millis)

    def _bring_again(self, batch: Batch, first: int, last: int, delay_millis: int) -> None:
        """Hand over again what the coordinator has nothing more to do with."""
        self._put_back(batch.part(first, last), delay_millis / MILLIS)

    def _put_back(self, again: Batch, delay_seconds: float) -> None:
        again.attempt += 1
        asyncio.get_running_loop().call_later(delay_seconds, self.put_back, again)

    def bring_given_back(self) -> None:
        """Hand over again, when it is due, what was given back and the coordinator will not deliver any more.

        To be called once no further stream follows. Whoever goes on where this ended need not deliver it then.
        """
        now = asyncio.get_running_loop().time()
        for batch, due_at in self._given_back.take_all():
            first, last = batch.first_offset, batch.first_offset + len(batch) - 1
            self._resume.on_brought((batch.topic, batch.partition), first, last)
            self._put_back(batch, max(0.0, due_at - now))

    def holds(self, batch: Batch) -> bool:
        """Tell whether the time of a batch is not up."""
        return not self._lease.is_void(batch.lease, batch.void_at)

    def forget_rest(self, batch: Batch, first: int) -> None:
        """Give up the open messages from `first` on of a batch whose time is up."""
        rest = batch.open >> first << first
        batch.open ^= rest
        self.expired(rest.bit_count())

    def expired(self, count: int) -> None:
        """Count messages that are delivered again, because we held them for too long."""
        self.expired_messages += count
        self.in_flight -= count

    def accept_soon(self, batch: Batch) -> None:
        """Settle what is done of a batch when the linger time has passed."""
        if batch.is_direct:
            batch.settle_done()
            return
        self._lingering.append(batch)
        if self._linger_until is None:
            now = asyncio.get_running_loop().time()
            self._linger_until = now + self._linger_seconds
            self.wake()

    # ------------------------------------------------------------ for the stream

    def due_at(self) -> float | None:
        """Return when `take` has something, loop time; None = nothing waits."""
        times = (self._settlements.due_at(), self._linger_until)
        return min((at for at in times if at is not None), default=None)

    def take(self, now: float, *, closing: bool) -> Settle | None:
        """Return the gathered dispositions once they are due, or at the end; None = not now."""
        if self._linger_until is not None and (now >= self._linger_until or closing):
            self.settle_lingering()
        due_at = self._settlements.due_at()
        if due_at is None or (now < due_at and not closing):
            return None
        settle, count = self._settlements.take()
        self.in_flight -= count
        self.crowded = False
        return settle

    def settle_lingering(self) -> None:
        """Gather now what was to be accepted soon."""
        lingering, self._lingering = self._lingering, []
        self._linger_until = None
        for batch in lingering:
            batch.settle_done()

    def came(self, topic: str, partition: int, first: int, last: int) -> None:
        """Take note of offsets that the coordinator has delivered."""
        self._given_back.forget(topic, partition, first, last)

    def refused(self, frame: subscriber_pb2.SettleFailure) -> SettleFailure:
        """Return what to tell the user of a disposition that was refused; what is open again is in flight."""
        failure, reopened = self._provisional.refused(frame)
        self.in_flight += reopened
        if reopened:
            self._given_back.forget(
                failure.topic, failure.partition, failure.first_offset, failure.last_offset
            )
        return failure

    def lost(self) -> None:
        """Forget the stream: its tags mean nothing any more."""
        self.in_flight = 0
        self._settlements.clear()
        self._provisional.clear()
