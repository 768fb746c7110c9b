"""A subscription with parts, on a bus in memory."""

from __future__ import annotations

from typing import Any

from bellwire.client._merged_subscription import MergedSubscription
from bellwire.policy.topic_groups import GroupEntry, TopicGroups
from bellwire.testing import InMemoryBus
from bellwire.transport.channel import ChannelPool


class _OneGroup:
    """A map of one group that never changes."""

    def __init__(self, pool: ChannelPool) -> None:
        self.map = TopicGroups([GroupEntry("a")], "a")
        self._pool = pool

    def pool(self, group: str) -> ChannelPool:
        return self._pool

    def listen(self, listener: object) -> None:
        """It has nothing to tell."""

    ignore = listen


async def test_a_batch_is_held_as_long_as_its_part_holds_it() -> None:
    bus = InMemoryBus()
    async with bus.client() as client:
        groups: Any = _OneGroup(client._pool)
        make: Any = lambda *_: client.subscribe("t", subscription="s", settle="manual")  # noqa: E731
        merged = MergedSubscription(groups, ("t",), "s", make, auto=False, timeout_seconds=5.0)
        async with merged:
            await client.publisher("test").publish_payloads("t", [b"1", b"2"])
            batch = await merged.next_batch()
            assert merged.still_holds(batch, 0)
            bus.disconnect()
            again = await merged.next_batch()
            assert (again.attempt, len(again)) == (1, 2)
            assert merged.still_holds(again, 0)
            assert not merged.still_holds(batch, 0)
