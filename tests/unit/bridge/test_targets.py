"""bellwire.bridge.targets, while a group of the bus is away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.bridge import BridgeSettings
from bellwire.bridge.kept_topics import KeptTopics
from bellwire.bridge.route import Route
from bellwire.bridge.targets import Targets
from bellwire.client.results import ReachableTopics
from bellwire.wire.errors import PeerError, UnknownTopicError

SETTINGS = BridgeSettings(retry_first_seconds=1e-6, retry_max_seconds=1e-6)


class Bus:
    """Has `orders.a`; the group of everything else is away for so many questions."""

    def __init__(self, away: int) -> None:
        self.admin = self
        self.away = away

    async def reachable_topics(self, pattern: str) -> ReachableTopics:
        return ReachableTopics([Topic(name="orders.a", partition_count=1)], {})

    async def get_topic(self, name: str) -> Topic:
        if name == "orders.a":
            return Topic(name=name, partition_count=1)
        if self.away:
            self.away -= 1
            raise PeerError("group rest does not answer")
        raise UnknownTopicError("nobody has it")


async def _check(wanted: dict[str, int]) -> None:
    return


async def _count(topic: str, wanted: int) -> int:
    return wanted


def targets(bus: Any) -> Targets:
    topics: Any = SimpleNamespace(check=_check, partition_count=_count)
    route = Route.parse("orders.*", patterns=True, prefix="mirror.")
    return Targets(bus, topics, KeptTopics(bus, "cluster"), route, SETTINGS)


async def test_a_group_that_is_away_does_not_refuse_the_start() -> None:
    bus = Bus(away=1)
    await targets(bus).check()
    assert bus.away == 0, "it was asked"


async def test_a_group_that_comes_back_is_asked_again() -> None:
    bus = Bus(away=3)
    assert await targets(bus).of("orders.a") == ("mirror.orders.a", 1)
    assert bus.away == 0, "it was asked until it answered"
