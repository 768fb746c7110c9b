"""The publish streams of a client of several groups."""

from __future__ import annotations

import asyncio

from bellwire.bus.v1.publisher_pb2 import AckLevel
from bellwire.client._group_outbox import GroupOutbox
from bellwire.client._groups import Groups
from bellwire.client._outbox import Outbox
from bellwire.client._outboxes import Outboxes, check_level
from bellwire.client.settings import ClientSettings
from bellwire.transport.group_pool import GroupPool

__all__ = ["GroupOutboxes"]


class GroupOutboxes:
    """Has the methods of `Outboxes`, and one of these for each group that was needed."""

    def __init__(self, groups: Groups, settings: ClientSettings, client_id: str) -> None:
        self._groups = groups
        self._settings = settings
        self._client_id = client_id
        self._by_group: dict[str, Outboxes] = {}
        self._shared: dict[tuple[bool, int], GroupOutbox] = {}
        self._named: dict[str, GroupOutbox] = {}

    def shared(self, ack_level: AckLevel.ValueType, *, control: bool) -> GroupOutbox:
        """Return the streams of unnamed producers."""
        outbox = self._shared.get((control, ack_level))
        if outbox is None:

            def make(pool: GroupPool) -> Outbox:
                return self._of(pool).shared(ack_level, control=control)

            outbox = GroupOutbox(self._groups, make, ack_level, self._settings.timeout_seconds)
            self._shared[control, ack_level] = outbox
        return outbox

    def named(self, producer_name: str, ack_level: AckLevel.ValueType) -> GroupOutbox:
        """Return the streams of a named producer.

        Raises:
            CallerError: It publishes at another level already; a second stream would fence the first.
        """
        outbox = self._named.get(producer_name)
        if outbox is None:

            def make(pool: GroupPool) -> Outbox:
                return self._of(pool).named(producer_name, ack_level)

            outbox = GroupOutbox(
                self._groups, make, ack_level, self._settings.timeout_seconds, everywhere=True
            )
            self._named[producer_name] = outbox
        check_level(producer_name, outbox.ack_level, ack_level)
        return outbox

    async def close(self, seconds: float) -> None:
        """Close all; raises the first error when all are closed."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        mine = [*self._shared.values(), *self._named.values()]
        await asyncio.gather(*(outbox.close(seconds) for outbox in mine))
        results = await asyncio.gather(
            *(outboxes.close(max(0.0, deadline - clock())) for outboxes in self._by_group.values()),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _of(self, pool: GroupPool) -> Outboxes:
        outboxes = self._by_group.get(pool.group)
        if outboxes is None:
            outboxes = self._by_group[pool.group] = Outboxes(pool, self._settings, self._client_id)
        return outboxes
