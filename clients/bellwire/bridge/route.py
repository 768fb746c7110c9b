"""One mirrored topic: where from, and what it is called on the other side."""

from __future__ import annotations

from typing import NamedTuple, Self

from bellwire.wire.errors import InvalidTopicNameError
from bellwire.wire.topic import TopicPattern, check_topic_name

__all__ = ["Route"]


class Route(NamedTuple):
    """`SOURCE` or `SOURCE=TARGET`; an empty target means that the name stays, behind the prefix."""

    source: str
    target: str = ""
    prefix: str = ""

    @classmethod
    def parse(cls, text: str, *, patterns: bool, prefix: str = "") -> Self:
        """Read a route.

        Args:
            text: As in the settings.
            patterns: The source may be one (`signals.>`).
            prefix: Of names on the other side that are not given.

        Raises:
            InvalidTopicNameError: It is none; says why.
        """
        source, equals, target = (part.strip() for part in text.partition("="))
        pattern = TopicPattern(source)
        if not pattern.literal and not patterns:
            raise InvalidTopicNameError(
                f"Kafka topic {source!r} is a pattern: name each topic that is mirrored to the bus",
                metadata={"topic": source},
            )
        if equals:
            check_topic_name(target)
            if not pattern.literal:
                raise InvalidTopicNameError(
                    f"route {text!r} would put many topics into one: leave {'=' + target!r} out",
                    metadata={"topic": source},
                )
        return cls(source, target, prefix)

    def cursor(self, name: str) -> str:
        """Return the name of the route's cursor, which is spelt like a topic."""
        return f"{name}.{self.source}".replace("*", "-any").replace(">", "-rest")

    def target_of(self, topic: str) -> str:
        """Return what a topic that the source means is called on the other side."""
        return self.target or self.prefix + topic
