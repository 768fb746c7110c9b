"""Where an unnamed subscription goes on in a group, by what it read there and elsewhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Position
from bellwire.client._resume import EphemeralResume
from bellwire.client._whereabouts import Whereabouts


def at(offset: int, *, log_id: int = 1, topic: str = "bars") -> EphemeralResume:
    resume = EphemeralResume()
    resume.started([Position(topic=topic, offset=offset, log_id=log_id)])
    return resume


def positions(resume: EphemeralResume | None) -> list[tuple[str, int, int]]:
    start = resume.start_position() if resume is not None else None
    return [(p.topic, p.offset, p.log_id) for p in start.positions] if start is not None else []


def test_a_first_part_knows_of_nothing() -> None:
    assert Whereabouts().origin("a", []) == (None, ())


def test_the_latest_part_of_a_group_knows_best() -> None:
    places = Whereabouts()
    places.leave("a", at(7))
    places.leave("a", at(3, topic="ticks"))
    places.leave("a", at(2, log_id=9))  # The topic was deleted and made again.
    assert positions(places.origin("a", []).here) == [("bars", 2, 9), ("ticks", 3, 1)]


def test_other_groups_are_told_apart_those_of_running_parts_included() -> None:
    places = Whereabouts()
    places.leave("a", at(7))
    running = at(3, topic="ticks")
    here, elsewhere = places.origin("b", [("c", running)])
    assert here is None
    assert [positions(each) for each in elsewhere] == [[("bars", 7, 1)], [("ticks", 3, 1)]]
    assert places.origin("a", []).elsewhere == ()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 99))))
def test_it_holds_one_position_for_each_partition_in_each_group(
    moves: list[tuple[str, str, int]],
) -> None:
    places = Whereabouts()
    for group, topic, offset in moves:
        places.leave(group, at(offset, topic=topic))
    latest = {(group, topic): offset for group, topic, offset in moves}
    for group in "abc":
        found = {(group, topic): at for topic, at, _ in positions(places.origin(group, []).here)}
        assert found == {key: offset for key, offset in latest.items() if key[0] == group}
