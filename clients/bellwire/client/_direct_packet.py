"""What travels over a direct route: one packet of the socket is one serialized `Deliveries`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from bellwire.bus.v1.message_pb2 import Batch
from bellwire.bus.v1.subscriber_pb2 import Deliveries

__all__ = ["NO_OFFSET", "PACKET_BYTES_MAX", "encode_packet"]

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
