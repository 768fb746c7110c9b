"""Topic names and patterns."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Final

from bellwire.wire.errors import InvalidTopicNameError

TOPIC_NAME_BYTES_MAX: Final = 249  # Kafka's limit, so that every topic can move there.
_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_PATTERN_TOKEN: Final = re.compile(r"[a-zA-Z0-9_-]+|\*")


def check_topic_name(name: str) -> str:
    """Return the name unchanged.

    Raises:
        InvalidTopicNameError: The name is not a legal Kafka topic name.
    """
    if _NAME.fullmatch(name) is None or name in {".", ".."}:
        raise InvalidTopicNameError(
            f"topic name {name[:300]!r} is not allowed: use 1 to {TOPIC_NAME_BYTES_MAX} characters "
            "of [a-zA-Z0-9._-], for example 'signals.tactical'",
            metadata={"topic": name[:300]},
        )
    return name


class TopicPattern:
    """A topic name in which `*` is one dot-token and a final `>` is the rest (one token or more).

    Raises:
        InvalidTopicNameError: An empty token, an illegal character, or `>` before the end.
    """

    __slots__ = ("_regex", "literal", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        tokens = text.split(".")
        self.literal = "*" not in text and ">" not in text
        if self.literal:
            check_topic_name(text)
            self._regex = re.compile(re.escape(text))
            return
        body = tokens[:-1] if tokens[-1] == ">" else tokens
        if len(text) > TOPIC_NAME_BYTES_MAX or not all(map(_PATTERN_TOKEN.fullmatch, body)):
            raise InvalidTopicNameError(
                f"topic pattern {text[:300]!r} is not allowed: tokens of [a-zA-Z0-9_-] joined by "
                "dots, '*' for one whole token, '>' only at the end, for example 'signals.>'",
                metadata={"topic": text[:300]},
            )
        expression = r"\.".join("[^.]+" if token == "*" else re.escape(token) for token in body)
        if tokens[-1] == ">":
            expression = f"{expression}\\..+" if body else ".+"
        self._regex = re.compile(expression)

    def matches(self, topic: str) -> bool:
        """Tell whether the topic is one of those meant."""
        return self._regex.fullmatch(topic) is not None

    def __repr__(self) -> str:
        return f"TopicPattern({self.text!r})"


def overlaps(one: TopicPattern, other: TopicPattern) -> bool:
    """Tell whether there is a topic that both patterns mean."""
    if one.literal:
        return other.matches(one.text)
    if other.literal:
        return one.matches(other.text)
    mine, theirs = one.text.split("."), other.text.split(".")
    shortest: list[int] = []  # Lengths of the tokens of the shortest topic that both could mean.
    for index, (left, right) in enumerate(zip_longest(mine, theirs)):
        if left is None or right is None:
            return False
        if ">" in (left, right):
            rest = theirs[index:] if left == ">" else mine[index:]
            shortest += [1 if token in ("*", ">") else len(token) for token in rest]
            break
        literal = {left, right} - {"*"}
        if len(literal) > 1:
            return False
        shortest.append(len(literal.pop()) if literal else 1)
    return sum(shortest) + len(shortest) - 1 <= TOPIC_NAME_BYTES_MAX
