"""Which group of coordinators owns a topic, where several groups share them out. No I/O.

Each group has declared some names and patterns; one of them may have declared none, and owns all that no other names.
No two of them may match the same topic: whoever would is refused when it declares, so that two coordinators that know
the same declarations agree on the group of every topic there can be.

A group that is known stays known when it is not declared any more: a Redis that came back empty gives nobody the topics
of a group that is down. It is forgotten when its declaration says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from bellwire.coordinator.cluster.errors import GroupRecordError, TopicsTakenError
from bellwire.coordinator.cluster.holder import Holder
from bellwire.wire.errors import InvalidTopicNameError, NotOwnerError
from bellwire.wire.topic import TopicPattern, overlaps

__all__ = ["GROUPS_KEY", "REMOVED", "GroupRecord", "GroupRow", "TopicGroups"]

GROUPS_KEY: Final = "bellwire:groups"
REMOVED: Final = (
    b"removed"  # Stands in the place of the declaration of a group that is gone for good.
)
PATTERNS_MAX: Final = 64
RECORD_BYTES_MAX: Final = 32 << 10  # 64 of the longest patterns are half of it.
TOPICS_REMEMBERED: Final = 10_000  # Of which the group is known; beyond, they are looked at anew.
RETRY_SECONDS: Final = 0.25  # Until the map has been read again.


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """What a group has declared.

    Attributes:
        topics: Names and patterns; empty = all topics that no other group names.
    """

    topics: tuple[str, ...]

    def encode(self) -> bytes:
        """Return the declaration as it is written."""
        return json.dumps({"topics": self.topics}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, group: str, value: bytes) -> GroupRecord | None:
        """Read a declaration; None = the group is gone for good.

        Raises:
            GroupRecordError: It is none.
        """
        if value == REMOVED:
            return None
        try:
            if len(value) > RECORD_BYTES_MAX:
                raise ValueError
            topics = json.loads(value)["topics"]
            if not isinstance(topics, list) or len(topics) > PATTERNS_MAX:
                raise TypeError
            if not all(isinstance(topic, str) for topic in topics):
                raise TypeError
            for topic in topics:
                TopicPattern(topic)
        except (ValueError, KeyError, TypeError, InvalidTopicNameError):
            raise GroupRecordError(GROUPS_KEY, group, value) from None
        return cls(tuple(topics))


class GroupRow(NamedTuple):
    """A group as it is told to others.

    Attributes:
        owner: Who is active in it; None = nobody is known.
    """

    name: str
    topics: tuple[str, ...]
    owner: Holder | None


class _Group:
    """A declaration that is ready to be asked."""

    __slots__ = ("patterns", "record")

    def __init__(self, record: GroupRecord) -> None:
        self.record = record
        self.patterns = tuple(TopicPattern(text) for text in record.topics)

    def names(self, topic: str) -> bool:
        return any(pattern.matches(topic) for pattern in self.patterns)


class TopicGroups:
    """What one coordinator knows of all groups.

    Args:
        me: Name of its own group.
        topics: Names and patterns its group is to have; they hold for it whatever is declared.

    Attributes:
        record: What it declares.
        on_miss: Called when a topic is refused and nobody is known who serves it.
    """

    def __init__(self, me: str, topics: Sequence[str]) -> None:
        self.me = me
        self.record = GroupRecord(tuple(topics))
        self.on_miss: Callable[[], None] = _nobody
        self._groups: dict[str, _Group] = {me: _Group(self.record)}
        self._owners: dict[str, Holder] = {}
        self._declared: GroupRecord | None = None  # Of our own group.
        self._group_of: dict[str, str] = {}

    # ------------------------------------------------------------ what is known

    @property
    def is_declared(self) -> bool:
        """Whether its group was last heard to have declared what it is to have."""
        return self._declared == self.record

    @property
    def declared(self) -> GroupRecord | None:
        """What its group has declared; None = nothing that is known."""
        return self._declared

    def has_rest_elsewhere(self) -> bool:
        """Whether another group serves what no group names, as of now."""
        rest = self._rest()
        return rest not in ("", self.me) and rest in self._owners

    def take(self, records: Mapping[str, GroupRecord | None], owners: Mapping[str, Holder]) -> bool:
        """Take note of what is declared and who is active; True = topics may belong to others than before.

        Args:
            records: By group; None = it is gone for good.
            owners: By group.
        """
        changed = False
        for name, record in records.items():
            if name == self.me:
                continue
            known = self._groups.get(name)
            if record is None:
                changed |= self._groups.pop(name, None) is not None
            elif known is None or known.record != record:
                self._groups[name] = _Group(record)
                changed = True
        self._declared = records.get(self.me)
        # Of a group that is not declared any more the last owner is the best guess, and of our own the lease says more.
        kept = {n: h for n, h in self._owners.items() if n == self.me or n not in records}
        self._owners = {**owners, **kept}
        if self.me not in kept:
            self._owners.pop(self.me, None)
        if changed:
            self._group_of.clear()
        return changed

    def note_declared(self) -> None:
        """Take note that its group has declared what it is to have."""
        self._declared = self.record

    def note_owner(self, owner: Holder | None) -> None:
        """Take note of who is active in its own group: the lease says so sooner."""
        if owner is None:
            self._owners.pop(self.me, None)
        else:
            self._owners[self.me] = owner

    def rows(self) -> list[GroupRow]:
        """Return all groups by name; of its own what is declared, unless nothing is."""
        rows = []
        for name, group in sorted(self._groups.items()):
            record = (self._declared or group.record) if name == self.me else group.record
            rows.append(GroupRow(name, record.topics, self._owners.get(name)))
        return rows

    # ------------------------------------------------------------ whose a topic is

    def check(self) -> None:
        """See that no other group has topics of ours.

        Raises:
            TopicsTakenError: One has.
        """
        mine = self._groups[self.me]
        for name, other in sorted(self._groups.items()):
            if name == self.me:
                continue
            if not mine.patterns and not other.patterns:
                raise TopicsTakenError(self.me, "", name, "")
            for ours in mine.patterns:
                for theirs in other.patterns:
                    if overlaps(ours, theirs):
                        raise TopicsTakenError(self.me, ours.text, name, theirs.text)

    def owns(self, topic: str) -> bool:
        """Tell whether a topic is its own group's."""
        return self.group_of(topic) == self.me

    def group_of(self, topic: str) -> str:
        """Return the group of a topic; empty = it is nobody's."""
        found = self._group_of.get(topic)
        if found is None:
            if len(self._group_of) >= TOPICS_REMEMBERED:
                self._group_of.clear()
            # Its own comes first: should two have declared the same after all, each goes on as it is told to.
            names = (name for name, group in self._groups.items() if group.names(topic))
            found = self._group_of[topic] = next(names, None) or self._rest()
        return found

    def refusal(self, topic: str) -> NotOwnerError:
        """Return what a request about a topic of another group is refused with."""
        group = self.group_of(topic)
        owner = self._owners.get(group)
        if owner is not None:
            return NotOwnerError(
                f"topic {topic!r} belongs to group {group!r}, in which {owner.address} is active: send it there",
                metadata={"owner": owner.address, "group": group, "topic": topic},
            )
        self.on_miss()
        if group:
            return NotOwnerError(
                f"topic {topic!r} belongs to group {group!r}, and nobody is known to be active there: try again",
                metadata={"group": group, "topic": topic},
                retry_delay_seconds=RETRY_SECONDS,
            )
        return NotOwnerError(
            f"topic {topic!r} belongs to no group: none names it, and none takes what no other names; start one "
            f"that does, with `bellwire serve --group NAME --topics {topic}` or without --topics",
            metadata={"topic": topic},
            retry_delay_seconds=RETRY_SECONDS,
        )

    def _rest(self) -> str:
        """Return the group of what no group names; empty = there is none."""
        return next((name for name, group in self._groups.items() if not group.patterns), "")


def _nobody() -> None:
    """Nobody wants to know."""
