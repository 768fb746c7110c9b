"""Topic patterns against a reference that compares token by token."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.wire.topic import TopicPattern, check_topic_name

TOKENS = st.sampled_from(["a", "b", "bars", "1h", "A-_1"])
NAMES = st.lists(TOKENS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda body, rest: ".".join([*body, *rest]),
    st.lists(TOKENS | st.just("*"), min_size=1, max_size=4),
    st.sampled_from([[], [">"]]),
)


def means(pattern: str, name: str) -> bool:
    wanted, found = pattern.split("."), name.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(found) <= len(wanted):
            return False
        found = found[: len(wanted)]
    return len(wanted) == len(found) and all(
        want in ("*", have) for want, have in zip(wanted, found, strict=True)
    )


@given(PATTERNS, NAMES)
def test_a_pattern_matches_exactly_what_its_tokens_say(pattern: str, name: str):
    assert TopicPattern(pattern).matches(check_topic_name(name)) is means(pattern, name)


@given(NAMES)
def test_every_name_matches_itself_and_everything(name: str):
    assert TopicPattern(name).matches(name)
    assert TopicPattern(">").matches(name)
