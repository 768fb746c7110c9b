"""The map of groups, and patterns against each other: compared with what they mean for names."""

from __future__ import annotations

from itertools import product

from hypothesis import assume, given
from hypothesis import strategies as st

from bellwire.policy.topic_groups import GroupEntry, TopicGroups, covers
from bellwire.wire.topic import TopicPattern, overlaps

TOKENS = ["a", "b"]
DEPTH = 4  # One more than patterns have tokens, so that `>` and a last `*` differ.
NAMES = [
    ".".join(name) for length in range(1, DEPTH + 1) for name in product(TOKENS, repeat=length)
]
PATTERNS = (
    st.builds(
        lambda body, rest: ".".join([*body, *rest]),
        st.lists(st.sampled_from([*TOKENS, "*"]), max_size=3),
        st.sampled_from([[], [">"]]),
    )
    .filter(bool)
    .map(TopicPattern)
)


@given(PATTERNS, PATTERNS)
def test_a_pattern_covers_exactly_where_it_means_all_that_the_other_does(
    wide: TopicPattern, narrow: TopicPattern
) -> None:
    assert covers(wide, narrow) is all(wide.matches(name) for name in NAMES if narrow.matches(name))


MAPS = st.lists(st.lists(PATTERNS, min_size=1, max_size=2), max_size=3).map(
    lambda owned: TopicGroups(
        [
            *(
                GroupEntry(f"g{number}", tuple(pattern.text for pattern in patterns))
                for number, patterns in enumerate(owned)
            ),
            GroupEntry("rest"),
        ],
        "rest",
    )
)


def is_apart(groups: TopicGroups) -> bool:
    """Whether no topic is owned twice, as coordinators see to."""
    entries = [entry for name in groups.names if (entry := groups.entry(name))]
    return not any(
        overlaps(p, q)
        for number, one in enumerate(entries)
        for other in entries[number + 1 :]
        for p, q in product(one.patterns, other.patterns)
    )


@given(MAPS, st.sampled_from(NAMES))
def test_every_topic_has_one_group_and_its_name_leads_there(groups: TopicGroups, name: str) -> None:
    assume(is_apart(groups))
    owners = [
        group
        for group in groups.names
        if (entry := groups.entry(group)) and any(p.matches(name) for p in entry.patterns)
    ]
    assert len(owners) <= 1
    assert groups.group_of(name) == (owners[0] if owners else "rest")
    assert groups.spread([name]) == {groups.group_of(name): (name,)}


@given(MAPS, st.lists(PATTERNS, min_size=1, max_size=3))
def test_a_subscription_goes_to_every_group_that_may_have_one_of_its_topics(
    groups: TopicGroups, asked: list[TopicPattern]
) -> None:
    assume(is_apart(groups))
    spread = groups.spread([pattern.text for pattern in asked])
    for name, pattern in product(NAMES, asked):
        if pattern.matches(name):
            owner = groups.group_of(name)
            assert owner is not None
            assert pattern.text in spread[owner], (name, spread)


@given(MAPS, PATTERNS)
def test_a_pattern_goes_to_no_named_group_that_has_none_of_its_topics(
    groups: TopicGroups, asked: TopicPattern
) -> None:
    assume(is_apart(groups))
    for group in groups.spread([asked.text]):
        entry = groups.entry(group)
        assert entry is not None
        assert group == "rest" or any(overlaps(asked, pattern) for pattern in entry.patterns)
