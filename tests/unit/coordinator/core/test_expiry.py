"""Expired messages are dropped and counted, and never delivered; the others are delivered in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.coordinator.core.stage import TOPIC, Stage

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import ORDERING_NONE, ORDERING_PARTITION
from bellwire.wire.batch import encode_batch

NOW_NS = 1_000


def publish(stage: Stage, expiries: list[int]) -> None:
    messages = [
        Message(id=f"{index:036}", time_unix_nano=1, expire_time_unix_nano=expiry)
        for index, expiry in enumerate(expiries)
    ]
    stage.topic.partitions[0].append(encode_batch(TOPIC, 0, messages), 1)


def delivered(stage: Stage, member, now_ns: int) -> list[int]:
    offsets: list[int] = []
    while handout := member.subscription.next_handout(member, stage.now, 1_000, now_ns):
        base = handout.entry.base_offset
        offsets += range(base + handout.first, base + handout.last)
        stage.accept(member, handout)
    return offsets


@given(
    st.lists(
        st.lists(st.sampled_from([0, 5, NOW_NS, NOW_NS + 1]), min_size=1, max_size=8), max_size=6
    ),
    st.sampled_from([ORDERING_PARTITION, ORDERING_NONE]),
)
def test_exactly_the_messages_that_have_not_expired_are_delivered_in_order(batches, ordering):
    stage = Stage()
    member = stage.join(stage.subscribe(ordering=ordering))
    for expiries in batches:
        publish(stage, expiries)
    every = [expiry for expiries in batches for expiry in expiries]
    alive = [n for n, expiry in enumerate(every) if not 0 < expiry <= NOW_NS]

    assert delivered(stage, member, NOW_NS) == alive

    assert stage.topic.stats.dropped["expired"] == len(every) - len(alive)
    assert not member.subscription.has_work_for(member)
    assert member.messages_in_flight == 0


@pytest.mark.parametrize("expiries", [[NOW_NS + 1, NOW_NS + 2], [0, 0]])
def test_a_block_nothing_of_which_expired_goes_out_whole(expiries):
    stage = Stage()
    member = stage.join(stage.subscribe())
    publish(stage, expiries)

    handout = member.subscription.next_handout(member, stage.now, 1_000, NOW_NS)

    assert handout is not None
    assert handout.whole


def test_a_message_that_expires_while_it_waits_for_redelivery_is_dropped():
    stage = Stage()
    member = stage.join(stage.subscribe())
    publish(stage, [NOW_NS, 0])
    first = member.subscription.next_handout(member, stage.now, 1_000, NOW_NS - 1)
    assert first is not None
    member.subscription.leave(member)
    heir = stage.join(member.subscription)

    assert delivered(stage, heir, NOW_NS) == [1]
    assert stage.topic.stats.dropped["expired"] == 1
