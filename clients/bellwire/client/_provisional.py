"""Dispositions whose refusal somebody must hear of."""

from __future__ import annotations

from typing import Final

from bellwire.bus.v1 import subscriber_pb2
from bellwire.bus.v1.subscriber_pb2 import DISPOSITION_RENEW
from bellwire.client.received import Batch
from bellwire.client.settle_failure import SettleFailure
from bellwire.wire.errors import LeaseExpiredError, UnknownDeliveryTagError, from_item_error

REMEMBERED_MAX: Final = 1_024  # Ranges whose refusal can be traced to a batch; policy DROP_OLDEST.


class Provisional:
    """RELEASE, REJECT and RENEW as they were sent, by their range of tags."""

    def __init__(self) -> None:
        self._ranges: dict[tuple[int, int], tuple[Batch, int, int]] = {}

    def remember(self, first_tag: int, last_tag: int, batch: Batch, first: int, last: int) -> None:
        """Note a disposition of the messages `first`..`last` (indexes, inclusive) of a batch."""
        self._ranges[first_tag, last_tag] = (batch, first, last)
        if len(self._ranges) > REMEMBERED_MAX:
            del self._ranges[next(iter(self._ranges))]

    def refused(self, frame: subscriber_pb2.SettleFailure) -> tuple[SettleFailure, int]:
        """Return what to tell the user, and how many messages are open and in flight again."""
        settlement = frame.settlement
        error = from_item_error(frame.error)
        known = self._ranges.pop((settlement.first_tag, settlement.last_tag), None)
        if known is None:
            return SettleFailure("", -1, -1, -1, settlement.disposition, error), 0
        batch, first, last = known
        failure = SettleFailure(
            batch.topic,
            batch.partition,
            batch.first_offset + first,
            batch.first_offset + last,
            settlement.disposition,
            error,
        )
        gone = isinstance(error, LeaseExpiredError | UnknownDeliveryTagError)
        if gone or settlement.disposition == DISPOSITION_RENEW:
            return failure, 0
        count = last - first + 1
        batch.open |= ((1 << count) - 1) << first
        return failure, count

    def clear(self) -> None:
        """Forget everything: the lease has ended."""
        self._ranges.clear()
