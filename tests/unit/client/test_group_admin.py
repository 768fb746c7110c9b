"""What administration of several groups asks of which, each of them a bus in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import START_POLICY_POSITIONS, StartPosition
from bellwire.client import Client
from bellwire.client._group_admin import GroupAdmin
from bellwire.client.start import EARLIEST
from bellwire.policy.topic_groups import GroupEntry, TopicGroups
from bellwire.testing import InMemoryBus
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import UnknownSubscriptionError


class _Groups:
    """A map that never changes."""

    home = "a"

    def __init__(self, clients: dict[str, Client]) -> None:
        self.map = TopicGroups([GroupEntry("a", ("t",)), GroupEntry("b", ("u",))], "a")
        self._clients = clients
        self.home_pool = clients["a"]._pool

    async def pool_of(self, group: str, seconds: float | None) -> ChannelPool:
        return self._clients[group]._pool


@pytest.fixture
async def clients() -> AsyncIterator[dict[str, Client]]:
    async with AsyncExitStack() as stack:
        yield {
            group: await stack.enter_async_context(InMemoryBus().client()) for group in ("a", "b")
        }


@pytest.fixture
def admin(clients: dict[str, Client]) -> GroupAdmin:
    groups: Any = _Groups(clients)
    return GroupAdmin(groups, 5.0)


@pytest.mark.parametrize("positions", [["t"], ["u"], ["nobodys"], []])
async def test_a_seek_that_moves_nothing_is_refused(
    admin: GroupAdmin, positions: list[str]
) -> None:
    at = [Position(topic=topic) for topic in positions]
    with pytest.raises(UnknownSubscriptionError):
        await admin.seek("s", StartPosition(policy=START_POLICY_POSITIONS, positions=at))


async def test_a_seek_of_one_groups_topic_is_refused_where_that_does_not_know_the_subscription(
    clients: dict[str, Client], admin: GroupAdmin
) -> None:
    async with clients["b"].subscribe("u", subscription="s"):
        pass
    with pytest.raises(UnknownSubscriptionError):
        await admin.seek("s", EARLIEST, topics=("t",))
    assert [at.topic for at in await admin.seek("s", EARLIEST, topics=("u",))] == ["u"]
