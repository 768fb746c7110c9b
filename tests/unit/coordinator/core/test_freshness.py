"""bellwire.coordinator.core.freshness: what is too old is counted and not delivered."""

from __future__ import annotations

import pytest
from tests.unit.coordinator.core.stage import Stage, all_offsets, append, offsets

from bellwire.bus.v1.subscriber_pb2 import ORDERING_NONE, ORDERING_PARTITION
from bellwire.coordinator.core.freshness import look_at
from bellwire.coordinator.core.part import Part

NOW_NS = 1_000
PAST, FUTURE, NEVER = 900, 1_100, 0


def stage_with(*expiries: int) -> Stage:
    stage = Stage()
    stage.now_ns = NOW_NS
    append(stage.topic.partitions[0], len(expiries), expiries=expiries)
    return stage


@pytest.mark.parametrize(
    ("expiries", "drop", "take"),
    [
        ([NEVER, NEVER], 0, 2),
        ([FUTURE, FUTURE], 0, 2),
        ([PAST, PAST], 2, 0),
        ([NOW_NS, NOW_NS + 1], 1, 0),
        ([PAST, PAST, FUTURE, NEVER, PAST], 2, 0),
        ([FUTURE, NEVER, PAST], 0, 2),
        ([NEVER, PAST], 0, 1),
    ],
)
def test_the_head_of_a_part_is_measured(expiries: list[int], drop: int, take: int):
    entry = append(Stage().topic.partitions[0], len(expiries), expiries=expiries)
    head = look_at(Part(entry, 0, entry.count), NOW_NS, "", None)
    assert (head.drop, head.take) == (drop, take)
    assert head.reason == ("expired" if drop else "")


def test_only_the_part_asked_for_is_measured():
    entry = append(Stage().topic.partitions[0], 4, expiries=[NEVER, PAST, PAST, NEVER])
    assert look_at(Part(entry, 1, 3), NOW_NS, "", None).drop == 2


@pytest.mark.parametrize("ordering", [ORDERING_PARTITION, ORDERING_NONE])
def test_expired_messages_are_counted_and_the_rest_keeps_its_offsets(ordering):
    stage = stage_with(PAST, NEVER, PAST, PAST, FUTURE, PAST)
    member = stage.join(stage.subscribe(ordering=ordering))
    assert [offsets(handout) for handout in stage.take_all(member)] == [[1], [4]]
    assert stage.topic.stats.dropped == {"expired": 4}
    assert member.messages_in_flight == 2


def test_what_expires_while_it_is_in_flight_is_not_delivered_again():
    stage = stage_with(FUTURE, NEVER)
    member = stage.join(stage.subscribe())
    handout = stage.take(member)
    assert handout is not None
    stage.now_ns = FUTURE
    stage.release(member, handout)
    assert all_offsets(stage.take_all(member)) == [1]
    assert stage.topic.stats.dropped == {"expired": 1}


def test_a_partition_of_expired_messages_can_still_move_to_another_member():
    stage = stage_with(PAST)
    subscription = stage.subscribe()
    first = stage.join(subscription)
    assert stage.take(first) is None
    second = stage.join(subscription)
    subscription.leave(first)
    append(stage.topic.partitions[0], 1)
    assert offsets(stage.take(second)) == [1]


def test_expired_messages_make_room_for_publishers_that_wait():
    stage = stage_with(PAST)
    stage.subscribe()
    member = stage.join(stage.subscribe())
    stage.rooms.clear()
    assert stage.take(member) is None
    assert stage.rooms == [stage.topic.partitions[0]]
