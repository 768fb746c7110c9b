"""A subscription with parts, without any connection."""

from __future__ import annotations

from typing import Any

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client._merged_subscription import MergedSubscription
from bellwire.client.received import Batch
from bellwire.policy.topic_groups import TopicGroups


class _Part:
    def still_holds(self, batch: Batch, index: int) -> bool:
        return False  # Its stream was lost.


async def test_a_batch_is_held_as_long_as_its_part_holds_it() -> None:
    groups: Any = type("Groups", (), {"map": TopicGroups([], "a")})()
    make: Any = None  # It is not opened.
    merged = MergedSubscription(groups, ("t",), "s", make, auto=True, timeout_seconds=1.0)
    settler: Any = object()
    lost: Any = _Part()
    merged._streams[settler] = lost
    assert not merged.still_holds(Batch([Message()], "t", 0, 0, settler, lease=1), 0)
