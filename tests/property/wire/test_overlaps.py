"""Overlap of patterns against all topics of a small alphabet, and against topics of any form."""

from __future__ import annotations

from itertools import product
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from bellwire.wire.topic import TopicPattern, overlaps

# Two patterns of up to three tokens that have a topic in common have one of up to four tokens of one letter.
TOPICS: Final = [".".join(tokens) for n in range(1, 5) for tokens in product("abc", repeat=n)]
BODY = st.lists(st.sampled_from("ab*"), min_size=1, max_size=3)
PATTERNS = st.builds(
    lambda body, rest: ".".join([*body, *rest]), BODY, st.sampled_from([[], [">"]])
) | st.just(">")
# Dots in any place: Kafka allows empty tokens in a name.
NAMES = st.text(alphabet="ab.-", min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..")
)
ANY = PATTERNS | NAMES


@given(PATTERNS, PATTERNS)
def test_two_patterns_overlap_exactly_when_a_topic_is_meant_by_both(one: str, other: str) -> None:
    left, right = TopicPattern(one), TopicPattern(other)
    shared = any(left.matches(topic) and right.matches(topic) for topic in TOPICS)
    assert overlaps(left, right) is shared


@given(ANY, ANY, NAMES)
def test_what_two_patterns_mean_is_never_called_apart(one: str, other: str, topic: str) -> None:
    left, right = TopicPattern(one), TopicPattern(other)
    if left.matches(topic) and right.matches(topic):
        assert overlaps(left, right)


@given(ANY, ANY)
def test_it_does_not_matter_which_comes_first(one: str, other: str) -> None:
    left, right = TopicPattern(one), TopicPattern(other)
    assert overlaps(left, right) is overlaps(right, left)
