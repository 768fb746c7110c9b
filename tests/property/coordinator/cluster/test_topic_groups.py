"""Whatever groups declare, and in whatever order they hear of it: a topic belongs to one group, and all agree on it."""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from bellwire.coordinator.cluster.errors import TopicsTakenError
from bellwire.coordinator.cluster.topic_groups import GroupRecord, TopicGroups

TOPICS: Final = [".".join(tokens) for n in range(1, 4) for tokens in product("abc", repeat=n)]
PATTERNS = st.builds(
    lambda body, rest: ".".join([*body, *rest]),
    st.lists(st.sampled_from("abc*"), min_size=1, max_size=3),
    st.sampled_from([[], [">"]]),
)
WANTED = st.lists(st.lists(PATTERNS, max_size=3).map(tuple), min_size=1, max_size=6)


def admitted(wanted: list[tuple[str, ...]]) -> dict[str, GroupRecord]:
    """What stands in Redis after each has tried to declare, one after the other."""
    records: dict[str, GroupRecord] = {}
    for number, topics in enumerate(wanted):
        groups = TopicGroups(f"g{number}", topics)
        groups.take(records, {})
        with suppress(TopicsTakenError):
            groups.check()
            records[groups.me] = groups.record
    return records


@given(WANTED)
def test_a_topic_is_served_by_one_group_at_most_and_all_name_the_same(
    wanted: list[tuple[str, ...]],
) -> None:
    records = admitted(wanted)
    views = [TopicGroups(name, record.topics) for name, record in records.items()]
    for view in views:
        view.take(records, {})
    for topic in TOPICS:
        owners = [view.me for view in views if view.owns(topic)]
        assert len(owners) <= 1
        assert {view.group_of(topic) for view in views} == {owners[0] if owners else ""}


@given(WANTED, st.randoms(use_true_random=False))
def test_what_is_heard_in_parts_and_forgotten_by_redis_makes_no_difference(
    wanted: list[tuple[str, ...]], random: object
) -> None:
    records = admitted(wanted)
    name, record = next(iter(records.items()))
    at_once, in_parts = TopicGroups(name, record.topics), TopicGroups(name, record.topics)
    at_once.take(records, {})
    parts = [{other: found} for other, found in records.items()] + [{}]
    random.shuffle(parts)  # type: ignore[attr-defined]
    for part in parts:
        in_parts.take(part, {})
        in_parts.group_of("a")  # Whatever it remembers must not outlast what it hears.
    assert [at_once.group_of(topic) for topic in TOPICS] == [
        in_parts.group_of(topic) for topic in TOPICS
    ]
