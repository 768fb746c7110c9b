"""Which spaces a message outdates, and which of them Redis has not heard of; does no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bellwire.policy.generations import Generations
from bellwire.wire.topic import TopicPattern

__all__ = ["Outdating"]

SPACES_MAX: Final = (
    10_000  # As many capabilities as there may be agents, and more than anybody has.
)
PATTERNS_MAX: Final = 64  # Of one space, over all agents that ever named some.
TOPICS_KEPT: Final = 10_000  # Whose spaces are remembered; beyond, they are found anew.


class Outdating:
    """Spaces by the topics that outdate them.

    What was once watched stays watched: an agent that comes back finds nothing cached from before it went.

    Attributes:
        untold: Spaces outdated here and not yet in Redis, each with a number that grows with every message.
        outdated: Times a message outdated a space.
    """

    def __init__(self, generations: Generations, settle_seconds: float) -> None:
        """Begin with nothing watched.

        Args:
            generations: Outdates what is in memory.
            settle_seconds: After a message, answers begun sooner than this are not to be kept.
        """
        self._generations = generations
        self._settle_seconds = settle_seconds
        self._patterns: dict[str, dict[str, TopicPattern]] = {}
        self._spaces_of: dict[str, tuple[str, ...]] = {}
        self._at: dict[str, float] = {}
        self._number = 0
        self.untold: dict[str, int] = {}
        self.outdated = 0

    @property
    def is_watching(self) -> bool:
        """Whether any message outdates anything."""
        return bool(self._patterns)

    def watch(self, space: str, patterns: Iterable[str], now: float) -> bool:
        """Have messages of some topics outdate a space; False = there are too many of one kind or the other.

        A space watched for the first time is outdated: nobody knows what was published before.
        """
        wanted = list(patterns)
        known = self._patterns.get(space, {})
        if set(wanted) <= known.keys():
            return True
        if not known and len(self._patterns) >= SPACES_MAX:
            return False
        if len(known.keys() | set(wanted)) > PATTERNS_MAX:
            return False
        self._patterns[space] = known | {text: TopicPattern(text) for text in wanted}
        self._spaces_of.clear()
        self.outdate(space, now)
        return True

    def on_message(self, topic: str, now: float) -> bool:
        """Outdate what a topic outdates; tell whether that is anything."""
        spaces = self._spaces_of.get(topic)
        if spaces is None:
            spaces = self._find(topic)
        for space in spaces:
            self.outdate(space, now)
        self.outdated += len(spaces)
        return bool(spaces)

    def outdate(self, space: str, now: float) -> None:
        """Outdate one space."""
        self._generations.invalidate(space)
        self._number += 1
        self._at[space] = now
        self.untold[space] = self._number

    def heard(self, space: str, now: float) -> None:
        """Outdate what another coordinator has outdated, and has told Redis of."""
        if space in self._patterns:
            self._generations.invalidate(space)
            self._at[space] = now

    def heard_nothing(self, now: float) -> None:
        """Outdate whatever others may have outdated while nothing was heard of them."""
        for space in self._patterns:
            self.heard(space, now)

    def is_settled(self, space: str, began: float) -> bool:
        """Tell whether an answer begun at that time may be kept."""
        at = self._at.get(space)
        return at is None or began >= at + self._settle_seconds

    def told(self, space: str, number: int) -> None:
        """Take note that Redis has heard of a space as it was outdated by that number."""
        if self.untold.get(space) == number:
            del self.untold[space]

    def _find(self, topic: str) -> tuple[str, ...]:
        if len(self._spaces_of) >= TOPICS_KEPT:
            self._spaces_of.clear()
        found = tuple(
            space
            for space, patterns in self._patterns.items()
            if any(pattern.matches(topic) for pattern in patterns.values())
        )
        self._spaces_of[topic] = found
        return found
