"""How deliveries are handed over and settled, whatever brings them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_REJECT,
    DISPOSITION_RELEASE,
    Disposition,
)
from bellwire.client.received import Batch, ReceivedMessage
from bellwire.wire.errors import UnknownDeliveryTagError

MILLIS: Final = 1_000


class Consumer(ABC):
    """The part of a subscription its users see: iteration and dispositions.

    Attributes:
        first_lease: What is left of a batch with a smaller lease is not handed over any more: its
            stream was lost, and the coordinator delivers it again.
    """

    def __init__(self, *, auto: bool) -> None:
        self._auto = auto
        self.first_lease = 0

    @abstractmethod
    async def next_batch(self) -> Batch:
        """Wait for the next delivery and take it.

        Raises:
            StopAsyncIteration: The subscription was closed.
            BellwireError: It failed for good.
        """

    def holder_of(self, batch: Batch) -> Consumer:
        """Return who brought a batch, and knows whether it is still held."""
        return self

    def still_holds(self, batch: Batch, index: int) -> bool:
        """Tell whether a batch from `index` on is still ours to hand over, and not delivered again."""
        return batch.lease >= self.first_lease

    @abstractmethod
    def accept_soon(self, batch: Batch) -> None:
        """Accept the first `batch.done` messages, whatever that is by then, within a few ms."""

    def __aiter__(self) -> AsyncIterator[ReceivedMessage]:
        return _MessageIterator(self, auto=self._auto)

    def batches(self) -> AsyncIterator[Batch]:
        """Return the deliveries whole, as they were published where possible."""
        return _BatchIterator(self, auto=self._auto)

    async def accept(self, delivered: ReceivedMessage | Batch) -> None:
        """End a delivery: it is done.

        Raises:
            UnknownDeliveryTagError: It is settled already.
        """
        _settle(delivered, DISPOSITION_ACCEPT)

    async def release(
        self, delivered: ReceivedMessage | Batch, *, delay_seconds: float = 0.0
    ) -> None:
        """Have it delivered again, to any member, not before the delay; this counts as an attempt.

        Where partitions keep their order, the partition waits for it.

        Raises:
            UnknownDeliveryTagError: It is settled already.
        """
        _settle(delivered, DISPOSITION_RELEASE, round(delay_seconds * MILLIS))

    async def reject(self, delivered: ReceivedMessage | Batch, *, reason: str = "") -> None:
        """Never have it delivered again: it becomes a dead letter, with the reason, to be redriven or purged.

        A coordinator that cannot keep it says so in `settle_failures`, and it can still be settled.

        Args:
            delivered: A message, or a batch: then one dead letter for each of its open messages.
            reason: Why, at most 1,024 bytes; for whoever looks through the dead letters.

        Raises:
            UnknownDeliveryTagError: It is settled already.
        """
        _settle(delivered, DISPOSITION_REJECT, 0, reason)

    async def renew(self, delivered: ReceivedMessage | Batch) -> None:
        """Begin the lease of its delivery anew: whoever handles it needs more time.

        Without `lease_seconds` there is nothing to renew. One that ended already shows in
        `settle_failures`, and its messages are delivered again.

        Raises:
            UnknownDeliveryTagError: It is settled already.
        """
        if delivered.settled:
            raise _settled_already(delivered)
        if isinstance(delivered, Batch):
            await delivered.renew()
        else:
            index = delivered.index
            delivered.batch.renew_part(index, index)


def _settle(
    delivered: ReceivedMessage | Batch,
    disposition: Disposition.ValueType,
    delay_millis: int = 0,
    reason: str = "",
) -> None:
    if isinstance(delivered, Batch):
        batch, first, last = delivered, 0, len(delivered) - 1
    else:
        batch, first, last = delivered.batch, delivered.index, delivered.index
    if not batch.settle_open(first, last, disposition, delay_millis, reason):
        raise _settled_already(delivered)


def _settled_already(delivered: ReceivedMessage | Batch) -> UnknownDeliveryTagError:
    batch = delivered if isinstance(delivered, Batch) else delivered.batch
    offset = batch.first_offset if isinstance(delivered, Batch) else delivered.offset
    return UnknownDeliveryTagError(
        f"{batch.topic}/{batch.partition} offset {offset} is settled already: "
        "settle each delivery once, and open the subscription with settle='manual' to do so yourself",
        metadata={"topic": batch.topic, "offset": str(offset)},
    )


class _BatchIterator:
    def __init__(self, consumer: Consumer, *, auto: bool) -> None:
        self._consumer = consumer
        self._auto = auto
        self._current: Batch | None = None

    def __aiter__(self) -> _BatchIterator:
        return self

    async def __anext__(self) -> Batch:
        current = self._current
        if current is not None and self._auto and current.open:
            current.settle_open(0, len(current.messages) - 1, DISPOSITION_ACCEPT)
        self._current = None
        batch = self._current = await self._consumer.next_batch()
        return batch


class _MessageIterator:
    """Hands over one message at a time.

    Settling each by itself would cost more than handing it over. So the iterator only counts in
    `batch.done`; the batch is settled at its end, or by `accept_soon` when that takes longer.
    """

    def __init__(self, consumer: Consumer, *, auto: bool) -> None:
        self._consumer = consumer
        self._holder = consumer  # Of the batch: one of several, where a consumer has parts.
        self._auto = auto
        self._batch: Batch | None = None
        self._index = 0

    def __aiter__(self) -> _MessageIterator:
        return self

    async def __anext__(self) -> ReceivedMessage:
        batch = self._batch
        if batch is not None:
            index = self._index + 1
            more = index < len(batch.messages) and self._holder.still_holds(batch, index)
            if self._auto:
                batch.done = index
                if not batch.lingering:
                    batch.lingering = True
                    self._holder.accept_soon(batch)
                if not more:
                    batch.settle_done()
            if more:
                self._index = index
                return ReceivedMessage(batch.messages[index], batch, index)
            self._batch = None
        batch = self._batch = await self._consumer.next_batch()
        self._holder = self._consumer.holder_of(batch)
        self._index = 0
        return ReceivedMessage(batch.messages[0], batch, 0)
