"""What travels over a direct route: one packet of the socket is one serialized `Deliveries`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from bellwire.bus.v1.message_pb2 import Batch
from bellwire.bus.v1.subscriber_pb2 import Deliveries, Delivery
from bellwire.wire.batch import DEFAULT_LIMITS

__all__ = ["NO_OFFSET", "PACKET_BYTES_MAX", "encode_packet", "may_be_sent"]

PACKET_BYTES_MAX: Final = (
    128 << 10
)  # Linux lets a socket hold 208 KiB by default, overhead included.
NO_OFFSET: Final = -1  # The coordinator gives offsets, and has not seen the message yet.


def encode_packet(batches: Sequence[Batch]) -> bytes:
    """Return batches as a packet; it may be longer than can be sent."""
    packet = Deliveries()
    now_ns = time.time_ns()
    for batch in batches:
        delivery = packet.deliveries.add()
        delivery.batch.CopyFrom(batch)
        delivery.first_offset = NO_OFFSET
        delivery.admitted_time_unix_nano = now_ns
    return packet.SerializeToString()


def may_be_sent(delivery: Delivery) -> bool:
    """Tell whether a delivery says only what a publisher may say; the coordinator has not looked at it."""
    return (
        delivery.first_offset == NO_OFFSET
        and 1 <= delivery.batch.header.message_count <= DEFAULT_LIMITS.messages_max
        and not delivery.batch.messages
        and not delivery.first_delivery_tag
        and not delivery.attempt
        and not delivery.replayed
        and not delivery.principal
        and not delivery.dropped_messages
        and not delivery.log_id
    )
