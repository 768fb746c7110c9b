"""Checks and applies settlements; each fails alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_REJECT,
    DISPOSITION_RELEASE,
    DISPOSITION_RENEW,
    SettleFailure,
    Settlement,
)
from bellwire.coordinator.core.member import Member
from bellwire.wire.errors import BellwireError, CallerError, PayloadTooLargeError, to_item_error

SETTLEMENTS_MAX: Final = 1_000
RELEASE_DELAY_MILLIS_MAX: Final = 600_000  # What is released stays in memory, beyond retention.
REASON_BYTES_MAX: Final = 1_024


def apply_settlements(
    member: Member, settlements: Sequence[Settlement], now: float
) -> list[SettleFailure]:
    """Apply each settlement and return those that were refused, with the reason.

    Raises:
        PayloadTooLargeError: There are too many in one frame.
    """
    if len(settlements) > SETTLEMENTS_MAX:
        raise PayloadTooLargeError(
            f"{len(settlements)} settlements came in one frame, limit is {SETTLEMENTS_MAX}: use ranges",
            metadata={"limit": str(SETTLEMENTS_MAX)},
        )
    failures = []
    for settlement in settlements:
        try:
            member.subscription.settle(member, settlement, now)
        except BellwireError as error:
            failures.append(SettleFailure(settlement=settlement, error=to_item_error(error)))
    return failures


def check_settlement(settlement: Settlement) -> None:
    """Refuse a settlement that means nothing, or is beyond a bound.

    Raises:
        CallerError: No disposition, or a delay that is too long.
        PayloadTooLargeError: The reason is too long.
    """
    disposition = settlement.disposition
    if disposition not in (
        DISPOSITION_ACCEPT,
        DISPOSITION_RELEASE,
        DISPOSITION_REJECT,
        DISPOSITION_RENEW,
    ):
        raise CallerError(
            f"disposition {disposition} cannot settle a delivery: use ACCEPT, RELEASE, REJECT or RENEW",
            metadata={"disposition": str(disposition)},
        )
    if settlement.delay_millis > RELEASE_DELAY_MILLIS_MAX:
        raise CallerError(
            f"delay_millis is {settlement.delay_millis}, limit is {RELEASE_DELAY_MILLIS_MAX}",
            metadata={"limit": str(RELEASE_DELAY_MILLIS_MAX)},
        )
    reason_bytes = len(settlement.reason.encode())
    if reason_bytes > REASON_BYTES_MAX:
        raise PayloadTooLargeError(
            f"reason holds {reason_bytes} bytes, limit is {REASON_BYTES_MAX}",
            metadata={"bytes": str(reason_bytes), "limit": str(REASON_BYTES_MAX)},
        )
