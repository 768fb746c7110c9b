"""What administration of several groups asks of which."""

from __future__ import annotations

from typing import Any

import pytest

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import START_POLICY_POSITIONS, StartPosition
from bellwire.client._group_admin import GroupAdmin
from bellwire.client.start import EARLIEST
from bellwire.policy.topic_groups import GroupEntry, TopicGroups
from bellwire.wire.errors import UnknownSubscriptionError


class _Groups:
    home = "a"
    home_pool = None

    def __init__(self) -> None:
        self.map = TopicGroups([GroupEntry("a", ("t",)), GroupEntry("b", ("u",))], "a")


class _Unknown:
    async def seek(self, name: str, *_: Any, **__: Any) -> list[Position]:
        raise UnknownSubscriptionError(f"subscription {name!r} does not exist")


class _Admin(GroupAdmin):
    async def _admin_of(self, group: str, timeout: float | None) -> Any:  # noqa: ASYNC109 - its own
        return _Unknown()


@pytest.mark.parametrize("positions", [["t"], ["u"], ["nobodys"], []])
async def test_a_seek_that_moves_nothing_is_refused(positions: list[str]) -> None:
    admin = _Admin(_Groups(), 1.0)  # type: ignore[arg-type]
    at = [Position(topic=topic) for topic in positions]
    with pytest.raises(UnknownSubscriptionError):
        await admin.seek("s", StartPosition(policy=START_POLICY_POSITIONS, positions=at))


async def test_a_seek_of_one_groups_topic_is_refused_where_that_does_not_know_the_subscription() -> (
    None
):
    admin = _Admin(_Groups(), 1.0)  # type: ignore[arg-type]
    with pytest.raises(UnknownSubscriptionError):
        await admin.seek("s", EARLIEST, topics=("t",))
