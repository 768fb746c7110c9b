"""Messages that fail: attempts are counted, a poison message is isolated, and in the end it is a dead letter."""

from __future__ import annotations

import pytest
from tests.unit.coordinator.core.stage import Stage, all_offsets, offsets

from bellwire.admin.v1.dead_letter_pb2 import (
    DEAD_LETTER_CAUSE_MAX_ATTEMPTS,
    DEAD_LETTER_CAUSE_REJECTED,
)
from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import DISPOSITION_REJECT, ORDERING_NONE, ORDERING_PARTITION
from bellwire.coordinator.core.dead_letters import redriven_batches
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.log.records import CursorRecord, DeadLetterRecord, Record
from bellwire.wire.errors import (
    LeaseExpiredError,
    StoreFullError,
    StoreReadOnlyError,
    UnknownDeliveryTagError,
)


def letters(records: list[Record]) -> list[DeadLetterRecord]:
    """The dead letters of a group."""
    return [record for record in records if isinstance(record, DeadLetterRecord)]


def taken(stage: Stage) -> Member:
    """A member that holds five messages."""
    member = stage.join(stage.subscribe())
    stage.publish(5)
    stage.commit()
    stage.take(member)
    return member


@pytest.mark.parametrize("durable", [False, True])
def test_a_rejected_message_is_a_dead_letter_and_not_delivered_again(durable: bool):
    stage = Stage(durable=durable)
    member = taken(stage)
    stage.settle(member, 2, 3, DISPOSITION_REJECT)
    stage.settle(member, 1, 1)
    stage.settle(member, 4, 5)
    records = stage.commit()
    assert [(x.offset, x.cause, x.attempts, x.subscription) for x in letters(records)] == [
        (1, DEAD_LETTER_CAUSE_REJECTED, 1, "risk"),
        (2, DEAD_LETTER_CAUSE_REJECTED, 1, "risk"),
    ]
    assert Message.FromString(letters(records)[0].message).data == b"1"
    assert stage.take(member) is None
    assert member.subscription.dead_lettered == {"bars.1h": 2}
    if durable:
        assert [r.floor for r in records if isinstance(r, CursorRecord)] == [5]


def test_a_reject_of_a_tag_not_in_flight_buries_nothing():
    stage = Stage()
    member = taken(stage)
    with pytest.raises(UnknownDeliveryTagError):
        stage.settle(member, 5, 6, DISPOSITION_REJECT)
    assert letters(stage.commit()) == []


def test_a_rejected_message_whose_dead_letter_was_not_written_is_delivered_again():
    stage = Stage(durable=True)
    member = taken(stage)
    stage.settle(member, 1, 4)
    stage.settle(member, 5, 5, DISPOSITION_REJECT)
    stage.commit(StoreFullError("full"))
    handout = stage.take(member)
    assert (offsets(handout), member.subscription.dead_lettered["bars.1h"]) == ([4], 0)


def test_a_reject_is_refused_where_dead_letters_cannot_be_kept():
    stage = Stage(durable=True)
    member = taken(stage)
    stage.publish(1)
    stage.commit(StoreReadOnlyError("in doubt"))
    with pytest.raises(StoreReadOnlyError):
        stage.settle(member, 1, 1, DISPOSITION_REJECT)
    assert member.messages_in_flight == 5


def test_a_message_released_too_often_is_given_up():
    stage = Stage(max_attempts=3)
    member = stage.join(stage.subscribe())
    stage.publish(1)
    for attempt in range(3):
        handout = stage.take(member)
        assert handout is not None
        assert handout.attempt == attempt
        stage.release(member, handout)
    assert stage.take(member) is None
    found = letters(stage.commit())
    assert [(x.cause, x.attempts, x.reason) for x in found] == [
        (DEAD_LETTER_CAUSE_MAX_ATTEMPTS, 3, "not accepted in 3 attempts")
    ]


def test_an_ephemeral_subscription_never_gives_up():
    stage = Stage(max_attempts=1)
    member = stage.join(stage.subscribe(""))
    stage.publish(1)
    for _ in range(5):
        handout = stage.take(member)
        assert handout is not None
        stage.release(member, handout)
    assert letters(stage.commit()) == []


def test_what_an_ephemeral_subscription_rejects_is_only_counted():
    stage = Stage()
    member = stage.join(stage.subscribe(""))
    stage.publish(2)
    stage.take(member)
    stage.settle(member, 1, 2, DISPOSITION_REJECT)
    assert letters(stage.commit()) == []
    assert stage.topic.stats.dropped == {"rejected": 2}


def test_leaving_in_order_counts_no_failure():
    stage = Stage(max_attempts=2)
    subscription = stage.subscribe()
    stage.publish(1)
    for attempt in range(5):
        member = stage.join(subscription)
        handout = stage.take(member)
        assert handout is not None
        assert (handout.attempt, handout.failures) == (attempt, 0)
        stage.bus.leave(member)


@pytest.mark.parametrize("ordering", [ORDERING_PARTITION, ORDERING_NONE])
def test_a_poison_message_is_given_up_and_its_neighbours_are_all_accepted(ordering):
    stage = Stage(max_attempts=5)
    subscription = stage.subscribe(ordering=ordering)
    stage.publish(20)
    stage.publish(20)
    accepted: list[int] = []
    for _ in range(100):  # Each time around the consumer dies of offset 7.
        member = stage.join(subscription)
        while (handout := stage.take(member)) is not None:
            if 7 in offsets(handout):
                break
            stage.accept(member, handout)
            accepted += offsets(handout)
        else:
            break
        before = [offset for offset in offsets(handout) if offset < 7]
        if before:
            stage.settle(member, handout.first_tag, handout.first_tag + len(before) - 1)
            accepted += before
        stage.bus.leave(member, lost=True)
    assert sorted(accepted) == [offset for offset in range(40) if offset != 7]
    assert [(x.offset, x.attempts) for x in letters(stage.commit())] == [(7, 5)]


def test_who_holds_a_suspect_message_holds_nothing_else():
    stage = Stage()
    subscription = stage.subscribe()
    stage.publish(3)
    for _ in range(2):
        member = stage.join(subscription)
        stage.take(member)
        stage.bus.leave(member, lost=True)
    member = stage.join(subscription)
    first = stage.take(member)
    assert offsets(first) == [0]
    assert stage.take(member) is None
    assert first is not None
    stage.accept(member, first)
    assert offsets(stage.take(member)) == [1]


def test_redriven_letters_go_to_the_subscription_that_gave_them_up_and_no_other():
    stage = Stage()
    risk, audit = stage.subscribe("risk"), stage.subscribe("audit")
    member, other = stage.join(risk), stage.join(audit)
    stage.publish(2)
    stage.take(member)
    for handout in stage.take_all(other):
        stage.accept(other, handout)
    stage.settle(member, 1, 1, DISPOSITION_REJECT)
    stage.settle(member, 2, 2)
    [redriven] = redriven_batches(letters(stage.commit()), 1)
    stage.topic.partitions[0].append(redriven.batch, 0)
    stage.publish(1)
    assert all_offsets(stage.take_all(member)) == [2, 3]
    assert all_offsets(stage.take_all(other)) == [3]
    assert stage.topic.stats.dropped == {}


def test_a_subscriber_that_was_only_cut_off_counts_no_failure():
    stage = Stage(max_attempts=3)
    subscription = stage.subscribe()
    stage.publish(3)
    member = stage.join(subscription)
    for attempt in range(10):
        handout = stage.take(member)
        assert (offsets(handout), handout and handout.attempt) == ([0, 1, 2], attempt)
        stage.bus.leave(member, lost=True)
        subscription.take_over(member.lease_id)
        member = stage.join(subscription)
    assert letters(stage.commit()) == []


@pytest.mark.parametrize("ordering", [ORDERING_PARTITION, ORDERING_NONE])
def test_a_new_stream_takes_over_from_one_whose_loss_nobody_has_noticed(ordering):
    stage = Stage()
    subscription = stage.subscribe(ordering=ordering)
    stage.publish(2)
    old = stage.join(subscription)
    stage.take(old)
    subscription.take_over(old.lease_id)
    new = stage.join(subscription)
    assert stage.take(old) is None
    assert isinstance(old.failed, LeaseExpiredError)
    assert offsets(stage.take(new)) == [0, 1]
    stage.bus.leave(old, lost=True)
    assert new.messages_in_flight == 2
