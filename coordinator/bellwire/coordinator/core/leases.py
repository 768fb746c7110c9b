"""Pull leases: deliveries that live outside a stream, for a bounded time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import DISPOSITION_RENEW, SettleFailure, Settlement
from bellwire.coordinator.core.bus import Bus
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.settlement import apply_settlements
from bellwire.wire.errors import CapacityError, LeaseExpiredError

LEASES_MAX: Final = 1_000
LEASED_BYTES_MAX: Final = 64 << 20  # Leased batches stay in memory, beyond their topic's retention.


@dataclass(slots=True)
class _Lease:
    member: Member
    seconds: float
    deadline: float


class Leases:
    """Leases by id; when one ends, what was not settled is delivered again."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._leases: dict[str, _Lease] = {}

    def check_room(self) -> None:
        """Refuse one more lease where there are too many.

        Raises:
            CapacityError
        """
        if len(self._leases) >= LEASES_MAX:
            raise CapacityError(f"{len(self._leases)} pull leases are open, limit is {LEASES_MAX}")
        leased = sum(lease.member.window.bytes_in_flight for lease in self._leases.values())
        if leased >= LEASED_BYTES_MAX:
            raise CapacityError(
                f"{leased} bytes are out under pull leases, limit is {LEASED_BYTES_MAX}: acknowledge some"
            )

    def open(self, member: Member, seconds: float, now: float) -> None:
        """Keep what a member holds under a lease; it gets nothing more."""
        member.subscription.retire(member)
        self._leases[member.lease_id] = _Lease(member, seconds, now + seconds)

    def acknowledge(
        self, lease_id: str, settlements: Sequence[Settlement], now: float
    ) -> list[SettleFailure]:
        """Settle deliveries of a lease; it ends with its last delivery, and RENEW begins it anew.

        Raises:
            LeaseExpiredError: The lease is unknown or has ended.
        """
        lease = self._leases.get(lease_id)
        if lease is None or lease.deadline <= now:
            raise LeaseExpiredError(
                f"lease {lease_id!r} is unknown or has ended: its messages are delivered again, "
                "pull them once more",
                metadata={"lease_id": lease_id},
            )
        failures = apply_settlements(lease.member, settlements, now)
        if not lease.member.messages_in_flight:
            del self._leases[lease_id]
            self._bus.leave(lease.member)
        elif _renewed(settlements, failures):
            lease.deadline = now + lease.seconds
        return failures

    def expire(self, now: float) -> None:
        """End the leases whose time has come."""
        late = [lease_id for lease_id, lease in self._leases.items() if lease.deadline <= now]
        for lease_id in late:
            self._bus.leave(self._leases.pop(lease_id).member, lost=True)


def _renewed(settlements: Sequence[Settlement], failures: Sequence[SettleFailure]) -> bool:
    """Tell whether a RENEW was applied; one that was refused prolongs nothing."""
    asked = sum(item.disposition == DISPOSITION_RENEW for item in settlements)
    refused = sum(item.settlement.disposition == DISPOSITION_RENEW for item in failures)
    return asked > refused
