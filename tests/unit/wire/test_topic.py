"""bellwire.wire.topic: Kafka's names, and patterns of whole dot-tokens."""

from __future__ import annotations

import pytest

from bellwire.wire.errors import InvalidTopicNameError
from bellwire.wire.topic import TopicPattern, check_topic_name, overlaps


@pytest.mark.parametrize("name", ["a", "bars.1h", "orders_paper-2", "A.B.C", "...", "x" * 249])
def test_a_kafka_name_is_a_topic_name(name):
    assert check_topic_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "x" * 250, "a b", "a/b", "bars.*", "signals.>", "ä", "a\n", "a\0"]
)
def test_anything_else_is_refused_and_named(name):
    with pytest.raises(InvalidTopicNameError) as caught:
        check_topic_name(name)
    assert caught.value.metadata == {"topic": name}
    assert repr(name) in caught.value.message


def test_an_endless_name_is_quoted_only_in_part():
    with pytest.raises(InvalidTopicNameError) as caught:
        check_topic_name("x" * 100_000)
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("bars.1h", "bars.1h", True),
        ("bars.1h", "bars_1h", False),
        ("bars.1h", "barsX1h", False),
        ("bars.*", "bars.1h", True),
        ("bars.*", "bars", False),
        ("bars.*", "bars.", False),
        ("bars.*", "bars.1h.fx", False),
        ("*.paper", "orders.paper", True),
        ("*.*.fx", "bars.1h.fx", True),
        ("signals.>", "signals.tactical", True),
        ("signals.>", "signals.tactical.eurusd", True),
        ("signals.>", "signals", False),
        ("signals.>", "signals.", False),
        (">", "anything.at.all", True),
        ("*", "one", True),
        ("*", "one.two", False),
        ("*.>", "one.two", True),
        ("*.>", "one", False),
    ],
)
def test_star_is_one_token_and_greater_the_rest(pattern, topic, expected):
    assert TopicPattern(pattern).matches(topic) is expected


@pytest.mark.parametrize(
    "pattern", ["", "a..*", ".*", "a.>.b", ">.a", "a*", "a.b>", "**", "a b.*", "*" + ".*" * 200]
)
def test_a_pattern_that_means_nothing_is_refused(pattern):
    with pytest.raises(InvalidTopicNameError):
        TopicPattern(pattern)


def test_only_a_pattern_without_wildcards_is_literal():
    assert TopicPattern("bars.1h").literal
    assert not TopicPattern("bars.*").literal
    assert not TopicPattern(">").literal


@pytest.mark.parametrize("pattern", ["a*", "a.>.b", "**"])
def test_a_misused_wildcard_is_explained_as_one(pattern):
    with pytest.raises(InvalidTopicNameError, match="'>' only at the end"):
        TopicPattern(pattern)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("bars.1h", "bars.1h", True),
        ("bars.1h", "bars.2h", False),
        ("bars.*", "bars.1h", True),
        ("bars.*", "bars.1h.fx", False),
        ("bars.*", "*.1h", True),
        ("bars.*", "orders.*", False),
        ("bars.>", "bars", False),
        ("bars.>", "bars.*", True),
        ("bars.>", "*.*.fx", True),
        ("bars.>", "*", False),
        ("bars.a.>", "bars.*", False),
        ("bars.a.>", "bars.>", True),
        (">", "*", True),
        (">", ">", True),
        ("*.>", "*", False),
        # Both ask for more characters than a topic may have.
        ("x" * 120 + ".*.>", "*." + "y" * 124 + ".*.>", True),
        ("x" * 120 + ".*.>", "*." + "y" * 126 + ".>", True),
        ("x" * 120 + ".*.>", "*." + "y" * 125 + ".*.>", False),
        ("x" * 120 + ".*.>", "*." + "y" * 127 + ".>", False),
    ],
)
def test_patterns_overlap_where_a_topic_is_meant_by_both(one, other, expected):
    assert overlaps(TopicPattern(one), TopicPattern(other)) is expected
    assert overlaps(TopicPattern(other), TopicPattern(one)) is expected
