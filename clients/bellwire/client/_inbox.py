"""Deliveries received and not handed over yet."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import DISPOSITION_ACCEPT, Delivery
from bellwire.client._lease import Lease
from bellwire.client._resume import Resume
from bellwire.client.received import Batch, Settler, runs
from bellwire.wire.batch import BatchLimits, open_batch
from bellwire.wire.errors import BellwireError

_log = logging.getLogger("bellwire.client")

DIRECT_LEASE: Final = 0  # Of no stream: streams count from 1.
# The largest block the wire layer opens at all: what a coordinator admitted must not be refused here.
DELIVERY_LIMITS: Final = BatchLimits(bytes_max=4 << 20, message_bytes_max=4 << 20)


class Inbox:
    """Opens deliveries as late as possible and leaves out what was handed over before.

    It is bounded by the window: the coordinator sends no more. Around a lost stream it may hold what
    is left of one window beside the next one; `wait_for_room` keeps it from being more.

    Attributes:
        arrived: Set when there is something to take, or will never be.
        duplicates_skipped: Messages delivered again and not handed over again.
        on_room: Called when half a window has become free; None = nobody asks.
        on_put_back: Called when a batch is to be handed over again; None = nobody asks.
    """

    def __init__(
        self,
        settler: Settler,
        resume: Resume,
        window_messages: int,
        window_bytes: int,
        lease: Lease,
        on_expired: Callable[[int], None],
    ) -> None:
        self._settler = settler
        self._resume = resume
        self._window_messages = window_messages
        self._window_bytes = window_bytes
        self._lease = lease
        self._on_expired = on_expired
        # Delivery, lease, bits to skip, and when its tags become void.
        self._queue: deque[tuple[Delivery, int, int, float]] = deque()
        self._opened: deque[Batch] = deque()
        self._messages = 0
        self._bytes = 0
        self.on_room: Callable[[], None] | None = None
        self.on_put_back: Callable[[], None] | None = None
        self._room = asyncio.Event()
        self.arrived = asyncio.Event()
        self.duplicates_skipped = 0

    @property
    def is_empty(self) -> bool:
        """True while there is nothing to take."""
        return not (self._queue or self._opened)

    def put(self, delivery: Delivery, skipped: int) -> None:
        """Add a delivery; `skipped` has a bit for each message that was received before."""
        while self._queue and self._lease.is_void(self._queue[0][1], self._queue[0][3]):
            self._drop_expired()  # Or a consumer that takes nothing would gather each new try of it.
        self._queue.append((delivery, self._lease.number, skipped, self._lease.void_at()))
        self._count(delivery, 1)
        self.arrived.set()

    def put_direct(self, delivery: Delivery, skipped: int) -> None:
        """Add what came past the coordinator, or behind that: it has no lease where it has no offset."""
        if delivery.first_offset >= 0:
            self.put(delivery, skipped)
            return
        self._queue.append((delivery, DIRECT_LEASE, 0, inf))
        self._count(delivery, 1)
        self.arrived.set()

    def has_room(self, messages_elsewhere: int) -> bool:
        """Tell whether less than a window is held, here and elsewhere."""
        return (
            self._messages + messages_elsewhere < self._window_messages
            and self._bytes < self._window_bytes
        )

    def _count(self, delivery: Delivery, sign: int) -> None:
        header = delivery.batch.header
        self._messages += sign * header.message_count
        self._bytes += sign * header.uncompressed_bytes

    def put_back(self, batch: Batch) -> None:
        """Hand a batch over again, before everything else."""
        self._opened.appendleft(batch)
        if self.on_put_back is not None:
            self.on_put_back()
        self.arrived.set()

    def take(self) -> Batch | None:
        """Return the next batch, opened and without repeats; None when there is none now.

        Raises:
            InvalidBatchError: The coordinator sent a batch that does not open; it is stepped over.
        """
        while True:
            while self._opened:
                batch = self._opened.popleft()
                if not self._lease.is_void(batch.lease, batch.void_at):
                    return batch
                self._on_expired(batch.open.bit_count())
            if not self._queue:
                return None
            if self._lease.is_void(self._queue[0][1], self._queue[0][3]):
                self._drop_expired()
            else:
                self._open(*self._pop())

    def _pop(self) -> tuple[Delivery, int, int, float]:
        item = self._queue.popleft()
        self._count(item[0], -1)
        if self._messages <= self._window_messages:
            self._room.set()
        if (
            self.on_room is not None
            and self._messages <= self._window_messages // 2
            and self._bytes <= self._window_bytes // 2
        ):
            self.on_room()
        return item

    def _drop_expired(self) -> None:
        self._on_expired(self._pop()[0].batch.header.message_count)

    def drop(self) -> None:
        """Forget everything: it will be delivered again."""
        self._queue.clear()
        self._opened.clear()
        self._messages = self._bytes = 0
        self._room.set()

    async def wait_for_room(self) -> None:
        """Wait until no more than a window is held."""
        while self._messages > self._window_messages:
            self._room.clear()
            await self._room.wait()

    def _open(self, delivery: Delivery, lease: int, skipped: int, void_at: float) -> None:
        header = delivery.batch.header
        try:
            messages = open_batch(delivery.batch, DELIVERY_LIMITS)
        except BellwireError:
            if lease != DIRECT_LEASE:
                raise
            # Nobody has looked at it yet: the coordinator refuses it, too, and its publisher hears why.
            _log.warning(
                "what came directly on %r does not open, and is stepped over", header.topic
            )
            return
        batch = Batch(
            messages,
            header.topic,
            header.partition,
            delivery.first_offset,
            self._settler,
            attempt=delivery.attempt,
            replayed=delivery.replayed,
            principal=delivery.principal,
            dropped_messages=delivery.dropped_messages,
            admitted_time_unix_nano=delivery.admitted_time_unix_nano,
            lease=lease,
            first_tag=delivery.first_delivery_tag,
            void_at=void_at,
            log_id=delivery.log_id,
        )
        if lease > 1:
            key = (batch.topic, batch.partition)
            skipped |= self._resume.skipped_now(key, batch.first_offset, len(batch), batch.attempt)
        if not skipped:
            self._opened.append(batch)
            return
        wanted = batch.open & ~skipped
        for first, last in runs(batch.open & skipped):
            self.duplicates_skipped += last - first + 1
            batch.settle_open(first, last, DISPOSITION_ACCEPT)
        self._opened.extend(batch.part(first, last) for first, last in runs(wanted))
