"""Applies settlements; each fails alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import SettleFailure, Settlement
from bellwire.coordinator.core.member import Member
from bellwire.wire.errors import BellwireError, PayloadTooLargeError, to_item_error

SETTLEMENTS_MAX: Final = 1_000


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
