"""bellwire.coordinator.core.member: tags, and the bitmap of what is settled."""

from __future__ import annotations

import pytest
from tests.unit.coordinator.core.stage import Stage, offsets

from bellwire.coordinator.core.member import Member
from bellwire.wire.errors import UnknownDeliveryTagError


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def member(stage: Stage) -> Member:
    """A member that was handed offsets 0..3 (tags 1..4) and 4..9 (tags 5..10)."""
    member = stage.join(stage.subscribe())
    stage.publish(4)
    stage.publish(6)
    handouts = stage.take_all(member)
    assert [handout.first_tag for handout in handouts] == [1, 5]
    return member


def runs(ended) -> list[list[int]]:
    return [
        [handout.entry.base_offset + index for index in range(first, last)]
        for handout, first, last in ended
    ]


def test_a_range_may_span_deliveries(member: Member):
    assert runs(member.settle(3, 6)) == [[2, 3], [4, 5]]
    assert member.messages_in_flight == 6


def test_settling_in_pieces_settles_each_message_once(member: Member):
    member.settle(6, 7)
    member.settle(9, 9)
    assert runs(member.give_up()) == [[0, 1, 2, 3], [4], [7], [9]]


def test_the_window_gets_messages_back_at_once_and_bytes_with_the_block(member: Member):
    size = member.window.bytes_in_flight
    member.settle(1, 3)
    assert member.window.messages_in_flight == 7
    assert member.window.bytes_in_flight == size
    member.settle(4, 4)
    assert member.window.bytes_in_flight < size
    member.settle(5, 10)
    assert (member.window.messages_in_flight, member.window.bytes_in_flight) == (0, 0)


@pytest.mark.parametrize(
    ("first", "last", "bad"),
    [(0, 0, 0), (0, 4, 0), (11, 11, 11), (9, 11, 11), (5, 4, 5), (2**64 - 1, 2**64 - 1, 2**64 - 1)],
)
def test_a_tag_never_delivered_is_refused_by_number_and_nothing_changes(member, first, last, bad):
    with pytest.raises(UnknownDeliveryTagError) as caught:
        member.settle(first, last)
    assert caught.value.metadata["tag"] == str(bad)
    assert member.messages_in_flight == 10
    assert len(runs(member.settle(1, 10))) == 2


def test_a_tag_settled_before_is_refused_and_the_rest_of_the_range_stays_open(member: Member):
    member.settle(5, 6)
    for first, last in ((1, 5), (6, 8), (5, 5)):
        with pytest.raises(UnknownDeliveryTagError):
            member.settle(first, last)
    assert member.messages_in_flight == 8
    assert runs(member.settle(1, 4)) == [[0, 1, 2, 3]]


def test_a_tag_of_a_forgotten_delivery_between_two_open_ones_is_refused(stage, member):
    stage.publish(2)
    assert offsets(stage.take(member)) == [10, 11]
    member.settle(5, 10)
    with pytest.raises(UnknownDeliveryTagError):
        member.settle(4, 11)
    assert runs(member.settle(1, 4)) == [[0, 1, 2, 3]]
    assert runs(member.settle(11, 12)) == [[10, 11]]


def test_giving_up_empties_the_window_and_forgets_every_tag(member: Member):
    assert runs(member.give_up()) == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]
    assert member.messages_in_flight == 0
    with pytest.raises(UnknownDeliveryTagError):
        member.settle(1, 1)


def test_tags_go_on_after_everything_is_settled(stage: Stage, member: Member):
    member.settle(1, 10)
    stage.publish(1)
    handout = stage.take(member)
    assert handout is not None
    assert handout.first_tag == 11
