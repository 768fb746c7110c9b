"""Which group of coordinators owns which topics, as a client knows it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from bellwire.wire.errors import InvalidTopicNameError
from bellwire.wire.topic import TopicPattern, overlaps

__all__ = ["GroupEntry", "TopicGroups", "covers"]


@dataclass(frozen=True)
class GroupEntry:
    """One group.

    Attributes:
        group: Its name.
        topics: Names and patterns of the topics it owns; none = all that no other group names.
        owner: Address of its active coordinator; empty = nobody is known.
        owner_since_unix_nano: When that one became active; orders what is told of one group.
    """

    group: str
    topics: tuple[str, ...] = ()
    owner: str = ""
    owner_since_unix_nano: int = 0

    @cached_property
    def patterns(self) -> tuple[TopicPattern, ...]:
        """What it owns, ready to be asked."""
        return tuple(map(TopicPattern, self.topics))


class TopicGroups:
    """The map of groups: topics and patterns to those that own them.

    Patterns of two groups never overlap: the coordinators see to that. Where they do all the same, the first group
    by name has the topic.

    Args:
        entries: The groups; of two of one name the later one counts.
        home: The group that gets what no group can be named for: malformed names, to be refused there.
    """

    def __init__(self, entries: Iterable[GroupEntry], home: str) -> None:
        by_name = {entry.group: entry for entry in entries}
        self._entries = {name: by_name[name] for name in sorted(by_name)}
        self.home = home
        self._rest = next((e.group for e in self._entries.values() if not e.topics), None)

    @property
    def names(self) -> tuple[str, ...]:
        """All groups, by name."""
        return tuple(self._entries)

    def entry(self, group: str) -> GroupEntry | None:
        """Return what is known of a group; None = it is not known."""
        return self._entries.get(group)

    def owns_alike(self, other: TopicGroups) -> bool:
        """Tell whether both give every topic to the same group."""
        return self._owned() == other._owned()

    def _owned(self) -> dict[str, frozenset[str]]:
        return {name: frozenset(entry.topics) for name, entry in self._entries.items()}

    def group_of(self, topic: str) -> str | None:
        """Return the group that owns a topic; None = none does."""
        for name, entry in self._entries.items():
            if any(pattern.matches(topic) for pattern in entry.patterns):
                return name
        return self._rest

    def spread(self, topics: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the groups that topics or patterns concern, and which of them concern each.

        What no group owns goes to the home group, which refuses it in its own words; so does no topic at all.
        """
        found: dict[str, dict[str, None]] = {}
        for text in topics:
            for group in self._concerned(text):
                found.setdefault(group, {})[text] = None
        if not found:
            return {self.home: tuple(topics)}
        return {group: tuple(found[group]) for group in sorted(found)}

    def _concerned(self, text: str) -> list[str]:
        try:
            asked = TopicPattern(text)
        except InvalidTopicNameError:
            return [self.home]
        if asked.literal:
            return [self.group_of(text) or self.home]
        named = [
            name
            for name, entry in self._entries.items()
            if any(overlaps(asked, pattern) for pattern in entry.patterns)
        ]
        owned = (p for entry in self._entries.values() for p in entry.patterns)
        if self._rest is not None and not any(covers(pattern, asked) for pattern in owned):
            named.append(self._rest)
        return named or [self.home]


def covers(wide: TopicPattern, narrow: TopicPattern) -> bool:
    """Tell whether every topic that `narrow` means is one that `wide` means."""
    if narrow.literal:
        return wide.matches(narrow.text)
    if wide.literal:
        return False
    left, right = wide.text.split("."), narrow.text.split(".")
    for a, b in zip(left, right, strict=False):
        if a == ">":
            return True
        if b == ">" or (a != b and a != "*"):
            return False
    return len(left) == len(right)
