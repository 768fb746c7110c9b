"""A disposition the coordinator refused."""

from __future__ import annotations

from dataclasses import dataclass

from bellwire.bus.v1.subscriber_pb2 import Disposition
from bellwire.wire.errors import BellwireError

__all__ = ["SettleFailure"]


@dataclass(frozen=True, slots=True)
class SettleFailure:
    """Nothing changed for these messages: they are still in flight and may be settled again."""

    topic: str
    """Topic; empty when the delivery is no longer remembered."""
    partition: int
    first_offset: int
    last_offset: int
    """Inclusive."""
    disposition: Disposition.ValueType
    error: BellwireError
