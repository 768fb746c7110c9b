"""bellwire.coordinator.core.subscription: deliveries within hard windows, and what settling does."""

from __future__ import annotations

import pytest
from tests.unit.coordinator.core.stage import Stage, all_offsets, offsets

from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_RELEASE,
    DISPOSITION_RENEW,
    DISPOSITION_UNSPECIFIED,
    ORDERING_NONE,
    ORDERING_PARTITION,
)
from bellwire.coordinator.core.fit import SPLIT_AFTER_SECONDS
from bellwire.wire.errors import CallerError, UnknownDeliveryTagError

ORDERINGS = pytest.mark.parametrize(
    "ordering", [ORDERING_PARTITION, ORDERING_NONE], ids=["PARTITION", "NONE"]
)


@ORDERINGS
def test_a_block_goes_out_whole_where_it_fits(ordering):
    stage = Stage()
    member = stage.join(stage.subscribe(ordering=ordering))
    stage.publish(5)
    handout = stage.take(member)
    assert handout is not None
    assert handout.whole
    assert (handout.first_tag, handout.attempt, handout.dropped) == (1, 0, 0)
    assert stage.take(member) is None


@ORDERINGS
def test_a_full_window_holds_at_exactly_the_granted_count(ordering):
    stage = Stage()
    member = stage.join(stage.subscribe(ordering=ordering), messages=7)
    for _ in range(10):
        stage.publish(3)
    read = all_offsets(stage.take_all(member))
    stage.now += SPLIT_AFTER_SECONDS
    read += all_offsets(stage.take_all(member))
    assert read == list(range(7))
    assert member.retry_at is None, "only a settlement can change this"


@ORDERINGS
def test_settling_opens_the_window_again(ordering):
    stage = Stage()
    woken: list[int] = []
    member = stage.join(stage.subscribe(ordering=ordering), messages=3)
    member.wake = lambda: woken.append(1)
    stage.publish(3)
    stage.publish(3)
    handout = stage.take(member)
    assert handout is not None
    assert stage.take(member) is None
    woken.clear()
    stage.accept(member, handout)
    assert woken
    assert offsets(stage.take(member)) == [3, 4, 5]


def test_the_byte_window_splits_a_block_that_does_not_fit():
    stage = Stage()
    stage.publish(4, data=bytes(1_000))
    member = stage.join(stage.subscribe(), size_bytes=2_500)
    assert offsets(stage.take(member)) == [0, 1]
    assert member.window.bytes_in_flight <= 2_500
    stage.now += SPLIT_AFTER_SECONDS
    assert stage.take(member) is None
    assert member.retry_at is None


def test_the_largest_message_passes_a_window_of_its_own_size():
    stage = Stage()
    entry = stage.publish(1, data=bytes(10_000))
    size = entry.messages()[0].ByteSize()
    member = stage.join(stage.subscribe(), size_bytes=size)
    assert offsets(stage.take(member)) == [0]


def test_the_second_part_of_a_split_block_waits_for_the_first():
    stage = Stage()
    stage.publish(4)
    member = stage.join(stage.subscribe(), messages=3)
    first = stage.take(member)
    assert first is not None
    assert offsets(first) == [0, 1, 2]
    stage.accept(member, first)
    second = stage.take(member)
    assert second is not None
    assert (offsets(second), second.first_tag, second.whole) == ([3], 4, False)


def test_a_nearly_full_window_waits_a_moment_before_it_splits():
    stage = Stage()
    member = stage.join(stage.subscribe(), messages=10)
    stage.publish(8)
    assert offsets(stage.take(member)) == list(range(8))
    stage.publish(8)
    assert stage.take(member) is None
    assert member.retry_at == stage.now + SPLIT_AFTER_SECONDS
    stage.now += SPLIT_AFTER_SECONDS
    assert offsets(stage.take(member)) == [8, 9]


def test_a_partition_that_moves_away_takes_its_stall_with_it():
    stage = Stage(partitions=2)
    subscription = stage.subscribe()
    slow = stage.join(subscription, messages=10)
    stage.publish(8, partition=0)
    stage.publish(8, partition=1)
    assert len(offsets(stage.take(slow))) == 8
    assert stage.take(slow) is None
    assert slow.retry_at is not None
    stage.join(subscription)  # The partition without anything in flight moves to it at once.
    assert stage.take(slow) is None
    assert slow.retry_at is None


@ORDERINGS
def test_a_paused_member_gets_nothing_and_keeps_what_it_has(ordering):
    stage = Stage()
    member = stage.join(stage.subscribe(ordering=ordering))
    stage.publish(1)
    handout = stage.take(member)
    assert handout is not None
    member.paused = True
    stage.publish(1)
    assert stage.take(member) is None
    assert member.retry_at is None
    stage.accept(member, handout)
    member.paused = False
    assert offsets(stage.take(member)) == [1]


def test_a_smaller_batch_can_be_asked_for():
    stage = Stage()
    member = stage.join(stage.subscribe())
    stage.publish(5)
    handouts = stage.take_all(member, messages_max=2)
    assert [offsets(handout) for handout in handouts] == [[0, 1], [2, 3], [4]]
    assert [handout.first_tag for handout in handouts] == [1, 3, 5]


def test_partitions_take_turns():
    stage = Stage(partitions=3)
    member = stage.join(stage.subscribe())
    for _ in range(2):
        for partition in range(3):
            stage.publish(1, partition=partition)
    turns = [handout.entry.batch.header.partition for handout in stage.take_all(member)]
    assert turns == [0, 1, 2, 0, 1, 2]


@ORDERINGS
def test_release_delivers_again_with_the_next_attempt(ordering):
    stage = Stage()
    member = stage.join(stage.subscribe(ordering=ordering))
    stage.publish(3)
    handout = stage.take(member)
    assert handout is not None
    for attempt in (1, 2):
        stage.release(member, handout)
        handout = stage.take(member)
        assert handout is not None
        assert (offsets(handout), handout.attempt) == ([0, 1, 2], attempt)


def test_release_of_the_middle_delivers_only_that_and_before_anything_new():
    stage = Stage()
    member = stage.join(stage.subscribe())
    stage.publish(5)
    stage.take(member)
    stage.publish(1)
    stage.settle(member, 2, 3, DISPOSITION_RELEASE)
    stage.settle(member, 1, 1)
    again = stage.take(member)
    assert again is not None
    assert (offsets(again), again.attempt, again.first_tag) == ([1, 2], 1, 6)
    assert offsets(stage.take(member)) == [5]


def test_releases_come_back_in_offset_order_however_they_were_given():
    stage = Stage()
    member = stage.join(stage.subscribe())
    stage.publish(6)
    stage.take(member)
    for tag in (4, 1, 6, 2):
        stage.settle(member, tag, tag, DISPOSITION_RELEASE)
    assert all_offsets(stage.take_all(member)) == [0, 1, 3, 5]


def test_a_delayed_release_holds_its_partition_back():
    stage = Stage()
    member = stage.join(stage.subscribe())
    stage.publish(1)
    handout = stage.take(member)
    assert handout is not None
    stage.publish(1)
    stage.release(member, handout, delay_millis=500)
    assert stage.take(member) is None
    assert member.retry_at == stage.now + 0.5
    stage.now += 0.5
    assert all_offsets(stage.take_all(member)) == [0, 1]


def test_a_delayed_release_holds_nothing_back_where_no_order_is_kept():
    stage = Stage()
    member = stage.join(stage.subscribe(ordering=ORDERING_NONE))
    stage.publish(1)
    handout = stage.take(member)
    assert handout is not None
    stage.publish(1)
    stage.release(member, handout, delay_millis=500)
    assert offsets(stage.take(member)) == [1]
    assert stage.take(member) is None
    assert member.retry_at == stage.now + 0.5
    stage.now += 0.5
    assert offsets(stage.take(member)) == [0]


def test_a_delayed_release_of_one_partition_does_not_hold_another():
    stage = Stage(partitions=2)
    member = stage.join(stage.subscribe())
    stage.publish(1, partition=0)
    handout = stage.take(member)
    assert handout is not None
    stage.release(member, handout, delay_millis=500)
    stage.publish(1, partition=1)
    other = stage.take(member)
    assert other is not None
    assert other.entry.batch.header.partition == 1


@ORDERINGS
def test_what_a_leaving_member_had_goes_to_another_with_the_next_attempt(ordering):
    stage = Stage()
    subscription = stage.subscribe(ordering=ordering)
    first = stage.join(subscription)
    second = stage.join(subscription)
    stage.publish(4)
    taker, other = (first, second) if stage.take(first) else (second, first)
    if not taker.messages_in_flight:
        stage.take(taker)
    stage.settle(taker, 2, 2)
    subscription.leave(taker)
    handouts = stage.take_all(other)
    assert all_offsets(handouts) == [0, 2, 3]
    assert {handout.attempt for handout in handouts} == {1}


@ORDERINGS
def test_without_members_everything_waits_for_the_next_one(ordering):
    stage = Stage()
    subscription = stage.subscribe(ordering=ordering)
    member = stage.join(subscription)
    stage.publish(2)
    stage.take(member)
    subscription.leave(member)
    stage.publish(2)
    later = stage.join(subscription)
    handouts = stage.take_all(later)
    assert all_offsets(handouts) == [0, 1, 2, 3]
    assert [handout.attempt for handout in handouts] == [1, 0]


def test_a_partition_moves_only_when_nothing_of_it_is_in_flight():
    stage = Stage(partitions=2)
    subscription = stage.subscribe()
    old = stage.join(subscription)
    for partition in range(2):
        stage.publish(1, partition=partition)
    handouts = stage.take_all(old)
    new = stage.join(subscription)
    for partition in range(2):
        stage.publish(1, partition=partition)
    assert stage.take(new) is None, "the old holder has not settled yet"
    for handout in handouts:
        stage.accept(old, handout)
    partitions = [
        handout.entry.batch.header.partition
        for member in (old, new)
        for handout in stage.take_all(member)
    ]
    assert sorted(partitions) == [0, 1]
    assert old.messages_in_flight == new.messages_in_flight == 1


def test_a_partition_that_was_to_move_and_then_stays_goes_on():
    stage = Stage(partitions=2)
    subscription = stage.subscribe()
    stays = stage.join(subscription)
    for partition in (0, 1):
        stage.publish(1, partition=partition)
    held = stage.take_all(stays)
    goes = stage.join(subscription)
    for partition in (0, 1):
        stage.publish(1, partition=partition)
    assert len(stage.take_all(stays)) == 1, "the other one is to move when nothing is in flight"
    subscription.retire(goes)
    assert len(stage.take_all(stays)) == 1
    assert len(held) == 2


def test_with_ordering_none_any_member_takes_any_block():
    stage = Stage()
    subscription = stage.subscribe(ordering=ORDERING_NONE)
    members = [stage.join(subscription, messages=2) for _ in range(3)]
    for _ in range(3):
        stage.publish(2)
    assert [offsets(stage.take(member)) for member in members] == [[0, 1], [2, 3], [4, 5]]


def test_a_retired_member_gets_nothing_more_and_may_still_settle():
    stage = Stage()
    subscription = stage.subscribe(ordering=ORDERING_NONE)
    member = stage.join(subscription)
    stage.publish(2)
    handout = stage.take(member)
    assert handout is not None
    subscription.retire(member)
    assert subscription.members == []
    stage.accept(member, handout)
    assert stage.take(stage.join(subscription)) is None


@pytest.mark.parametrize("disposition", [DISPOSITION_UNSPECIFIED, 99])
def test_a_settlement_without_a_known_disposition_is_refused(disposition):
    stage = Stage()
    member = stage.join(stage.subscribe())
    stage.publish(1)
    stage.take(member)
    with pytest.raises(CallerError, match=f"disposition {disposition} cannot settle"):
        stage.settle(member, 1, 1, disposition)
    assert member.messages_in_flight == 1


def test_a_release_for_longer_than_memory_should_bear_is_refused():
    stage = Stage()
    member = stage.join(stage.subscribe())
    stage.publish(1)
    stage.take(member)
    with pytest.raises(CallerError, match="delay_millis is 600001, limit is 600000"):
        stage.settle(member, 1, 1, DISPOSITION_RELEASE, delay_millis=600_001)
    assert member.messages_in_flight == 1


def test_renew_settles_nothing():
    stage = Stage()
    member = stage.join(stage.subscribe())
    stage.publish(1)
    stage.take(member)
    stage.settle(member, 1, 1, DISPOSITION_RENEW)
    assert member.messages_in_flight == 1


def test_a_tag_of_another_member_is_unknown():
    stage = Stage(partitions=2)
    subscription = stage.subscribe()
    one, other = stage.join(subscription), stage.join(subscription)
    stage.publish(1, partition=0)
    taker, idle = (one, other) if stage.take(one) else (other, one)
    with pytest.raises(UnknownDeliveryTagError, match=f"under lease {idle.lease_id}"):
        stage.settle(idle, 1, 1)
    assert taker is one or stage.take(taker) is not None


def test_two_subscriptions_each_get_everything():
    stage = Stage()
    members = [stage.join(stage.subscribe(name)) for name in ("risk", "audit")]
    stage.publish(3)
    assert [all_offsets(stage.take_all(member)) for member in members] == [[0, 1, 2]] * 2
