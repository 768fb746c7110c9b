"""What the first frame of a subscription asks for."""

from __future__ import annotations

from typing import Any

import pytest

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_UNSPECIFIED,
    OVERFLOW_POLICY_UNSPECIFIED,
    START_POLICY_POSITIONS,
    StartPosition,
)
from bellwire.client import EARLIEST, LATEST, at_positions, at_time
from bellwire.client._subscribe_options import SubscribeOptions

RESUME = StartPosition(
    policy=START_POLICY_POSITIONS, positions=[Position(topic="bars", partition=0, offset=7)]
)


def options(start: StartPosition | None, **more: Any) -> SubscribeOptions:
    return SubscribeOptions(
        topics=(">",),
        subscription="",
        client_id="test",
        start=start,
        window_messages=10,
        window_bytes=1 << 20,
        max_batch_messages=0,
        ordering=ORDERING_UNSPECIFIED,
        overflow_policy=OVERFLOW_POLICY_UNSPECIFIED,
        control=False,
        **more,
    )


@pytest.mark.parametrize("start", [None, EARLIEST, LATEST, at_time(5), at_positions([])])
def test_a_first_stream_begins_where_the_user_said(start: StartPosition | None) -> None:
    frame = options(start).start_frame(None, "").start
    assert frame.start_position == (start or StartPosition())


@pytest.mark.parametrize(
    ("start", "unlisted"),
    [(EARLIEST, "EARLIEST"), (at_time(5), "TIME"), (LATEST, "UNSPECIFIED"), (None, "UNSPECIFIED")],
)
def test_who_goes_on_begins_in_new_topics_where_the_user_said(
    start: StartPosition | None, unlisted: str
) -> None:
    before = RESUME.SerializeToString()
    found = options(start).start_frame(RESUME, "").start.start_position
    assert (found.policy, list(found.positions)) == (START_POLICY_POSITIONS, [*RESUME.positions])
    assert found.unlisted == StartPosition(unlisted=f"START_POLICY_{unlisted}").unlisted  # type: ignore[arg-type]  # protobuf takes names
    assert found.time_unix_nano == (5 if unlisted == "TIME" else 0)
    assert RESUME.SerializeToString() == before


def test_topics_of_other_groups_are_told_beside_those_asked_for() -> None:
    frame = options(None, elsewhere=("orders",)).start_frame(None, "").start
    assert (list(frame.topics), list(frame.topics_elsewhere)) == ([">"], ["orders"])


def test_who_goes_on_keeps_the_listed_positions_that_it_never_reached() -> None:
    never, reached = Position(topic="ticks", offset=3), Position(topic="bars", offset=1)
    start = at_positions([never, reached])
    found = options(start).start_frame(RESUME, "").start.start_position
    assert list(found.positions) == [*RESUME.positions, never]
