"""Where a part of a subscription begins, by where the others are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import StartPosition
from bellwire.client import EARLIEST, LATEST, Client, at_positions, at_time
from bellwire.client._resume import EphemeralResume
from bellwire.client._stream_subscription import StreamSubscription
from bellwire.client._whereabouts import Origin
from bellwire.testing import InMemoryBus


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with InMemoryBus().client() as made:
        yield made


def was(topic: str, offset: int, log_id: int) -> EphemeralResume:
    resume = EphemeralResume()
    resume.started([Position(topic=topic, offset=offset, log_id=log_id)])
    return resume


def begins(client: Client, start: StartPosition, origin: Origin) -> dict[str, int]:
    """The offset at which each topic is asked for that is listed."""
    stream = client.subscribe("bars", "ticks", start=start)
    assert isinstance(stream, StreamSubscription)
    stream._side.go_on_after(origin, lambda topic: True)
    return {p.topic: p.offset for p in stream._side.start_frame().start.start_position.positions}


@pytest.mark.parametrize("start", [LATEST, at_time(5)], ids=["latest", "time"])
def test_what_was_read_in_another_group_is_listed_though_a_time_was_asked_for(
    client: Client, start: StartPosition
) -> None:
    assert begins(client, start, Origin(None, (was("bars", 9, 111),))) == {"bars": 9}


def test_who_began_at_the_beginning_lists_what_passed_on_once_anything_is_listed(
    client: Client,
) -> None:
    """An older coordinator begins at the end of what a list lacks."""
    passed_on = (was("bars", 9, 111),)
    assert begins(client, EARLIEST, Origin(None, passed_on)) == {}
    here = was("ticks", 4, 222)
    assert begins(client, EARLIEST, Origin(here, passed_on)) == {"bars": 9, "ticks": 4}


def test_what_was_listed_and_never_reached_is_asked_for_where_it_was_listed(
    client: Client,
) -> None:
    start = at_positions([Position(topic="bars", offset=5), Position(topic="ticks", offset=7)])
    assert begins(client, start, Origin(None, (was("bars", 9, 111),))) == {"bars": 9, "ticks": 7}
