"""Seek moves cursors, whatever is in flight; leases bound how long a delivery may be held."""

from __future__ import annotations

import pytest
from tests.unit.coordinator.core.stage import TOPIC, Stage, all_offsets, offsets

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_RENEW,
    START_POLICY_EARLIEST,
    START_POLICY_LATEST,
    START_POLICY_POSITIONS,
    START_POLICY_TIME,
    StartPosition,
)
from bellwire.wire.errors import (
    CallerError,
    LeaseExpiredError,
    OffsetOutOfRangeError,
    UnknownSubscriptionError,
)
from bellwire.wire.window import Window


def to(offset: int, log_id: int = 0) -> StartPosition:
    position = Position(topic=TOPIC, offset=offset, log_id=log_id)
    return StartPosition(policy=START_POLICY_POSITIONS, positions=[position])


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (StartPosition(policy=START_POLICY_EARLIEST), [0, 1, 2, 3]),
        (StartPosition(policy=START_POLICY_LATEST), []),
        (StartPosition(policy=START_POLICY_TIME, time_unix_nano=2), [2, 3]),
        (to(1), [1, 2, 3]),
        (to(4), []),
    ],
)
def test_a_seek_decides_what_comes_next(start: StartPosition, expected: list[int]):
    stage = Stage()
    member = stage.join(stage.subscribe())
    for _ in range(4):
        stage.publish(1)
    for handout in stage.take_all(member, messages_max=1)[:2]:
        stage.accept(member, handout)
    stage.bus.seek("risk", start)
    assert all_offsets(stage.take_all(member)) == expected


def test_what_was_in_flight_at_a_seek_frees_the_window_and_changes_nothing_else():
    stage = Stage(durable=True)
    member = stage.join(stage.subscribe())
    stage.publish(2)
    stage.commit()
    old = stage.take(member)
    assert old is not None
    stage.bus.seek("risk", to(0))
    again = stage.take(member)
    assert (offsets(again), again and again.attempt) == ([0, 1], 0)
    stage.release(member, old)
    assert member.messages_in_flight == 2
    assert stage.take(member) is None
    assert again is not None
    stage.accept(member, again)
    assert member.messages_in_flight == 0


@pytest.mark.parametrize("offset", [5, -1])
def test_a_seek_outside_the_log_is_refused_and_moves_nothing(offset: int):
    stage = Stage()
    member = stage.join(stage.subscribe())
    stage.publish(4)
    with pytest.raises(
        OffsetOutOfRangeError, match=f"offset {offset} is outside.*can stand at 0 to 4"
    ):
        stage.bus.seek("risk", to(offset))
    assert all_offsets(stage.take_all(member)) == [0, 1, 2, 3]


def test_a_seek_by_the_offsets_of_another_log_is_refused():
    stage = Stage()
    stage.subscribe()
    with pytest.raises(OffsetOutOfRangeError, match="names log 5"):
        stage.bus.seek("risk", to(0, log_id=5))


def test_a_seek_needs_a_subscription_and_a_position_it_reads():
    stage = Stage()
    stage.subscribe()
    with pytest.raises(UnknownSubscriptionError):
        stage.bus.seek("nobody", to(0))
    with pytest.raises(CallerError, match="names no position"):
        stage.bus.seek("risk", StartPosition())
    stranger = StartPosition(policy=START_POLICY_POSITIONS, positions=[Position(topic="other")])
    with pytest.raises(CallerError, match="does not read partition 0 of 'other'"):
        stage.bus.seek("risk", stranger)


def test_a_delivery_held_beyond_the_lease_is_delivered_again_and_its_tags_are_void():
    stage = Stage()
    subscription = stage.subscribe()
    slow = subscription.join("slow", Window(10, 1 << 20), lambda: None, 5.0)
    stage.publish(2)
    stage.take(slow)
    stage.settle(slow, 1, 1)
    stage.now += 5
    subscription.expire(stage.now)
    assert slow.messages_in_flight == 0
    with pytest.raises(LeaseExpiredError, match="tag 2 was held for longer than the lease of 5 s"):
        stage.settle(slow, 2, 2)
    again = stage.take(slow)
    assert (offsets(again), again and again.attempt) == ([1], 1)


def test_a_renewed_lease_begins_anew():
    stage = Stage()
    subscription = stage.subscribe()
    member = subscription.join("slow", Window(10, 1 << 20), lambda: None, 5.0)
    stage.publish(1)
    stage.take(member)
    stage.now += 4
    stage.settle(member, 1, 1, DISPOSITION_RENEW)
    stage.now += 4
    subscription.expire(stage.now)
    stage.settle(member, 1, 1)
    assert member.messages_in_flight == 0


def test_what_came_behind_an_expired_delivery_comes_behind_it_again():
    stage = Stage()
    subscription = stage.subscribe()
    member = subscription.join("slow", Window(10, 1 << 20), lambda: None, 5.0)
    stage.publish(1)
    stage.take(member)
    stage.now += 4
    stage.publish(1)
    stage.take(member)
    stage.now += 1
    subscription.expire(stage.now)
    assert member.messages_in_flight == 0
    handouts = stage.take_all(member)
    assert [(offsets(h), h.attempt, h.failures) for h in handouts] == [([0], 1, 1), ([1], 1, 0)]
