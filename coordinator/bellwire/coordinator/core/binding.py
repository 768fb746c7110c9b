"""What the name of a subscription is bound to: its topics, those of other groups included, and its ordering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import Ordering
from bellwire.coordinator.core.subscription import Subscription
from bellwire.wire.errors import CallerError, SubscriptionMismatchError
from bellwire.wire.topic import TopicPattern

__all__ = ["PATTERNS_MAX", "check_same", "further_that_fit", "further_topics"]

PATTERNS_MAX: Final = (
    64  # Of one subscription: each topic that is made is matched with all of them.
)


def check_same(
    found: Subscription,
    patterns: Sequence[str],
    elsewhere: Sequence[str],
    ordering: int,
    is_ours: Callable[[TopicPattern], bool],
) -> None:
    """See that a named subscription is asked for as it was made.

    Args:
        found: The subscription.
        patterns: Topics and patterns that are asked for here, all of them ours; none = those it has.
        elsewhere: Topics that the same name reads in other groups; with any, the two are all that it reads.
        ordering: How deliveries are spread; 0 = as it is.
        is_ours: Tells whether a pattern may mean topics of ours.

    Raises:
        SubscriptionMismatchError: It was made with other topics or another ordering.
    """
    bound = {pattern.text for pattern in found.patterns}
    ours = {pattern.text for pattern in found.patterns if is_ours(pattern)}
    asked = {*patterns, *elsewhere}
    # What the other groups read is judged here, too: who is refused there must not have changed the name here.
    reads = bound if elsewhere else ours
    # A name that has topics of others was told all of them, unless there were too many.
    may_learn = bound == ours or len(bound) >= PATTERNS_MAX
    is_more = bool(elsewhere) and not may_learn and not asked <= bound
    if patterns and (not bound.issuperset(patterns) or not reads <= asked or is_more):
        raise SubscriptionMismatchError(
            f"subscription {found.name!r} reads {sorted(reads)}, not {sorted(asked)}: "
            "ask for the same topics, use another name, or delete it",
            metadata={"subscription": found.name},
        )
    if ordering and ordering != found.ordering:
        raise SubscriptionMismatchError(
            f"subscription {found.name!r} has ordering {Ordering.Name(found.ordering)}: ask for the same",
            metadata={"subscription": found.name},
        )


def further_topics(known: Sequence[str], topics: Sequence[str]) -> list[TopicPattern]:
    """Return the topics of other groups that are not among those known.

    Raises:
        CallerError: There are too many, or one is a pattern.
    """
    more = _further(known, topics)
    count = len(known) + len(more)
    if count > PATTERNS_MAX:
        raise CallerError(
            f"{count} topics were given, those elsewhere included, 1 to {PATTERNS_MAX} are allowed: "
            "use a pattern such as 'signals.>'",
            metadata={"topics": str(count)},
        )
    return more


def further_that_fit(known: Sequence[str], topics: Sequence[str]) -> list[TopicPattern]:
    """Return as `further_topics` does, of too many the first: a name that exists is not to be refused for them.

    Raises:
        CallerError: One is a pattern.
    """
    return _further(known, topics)[: max(0, PATTERNS_MAX - len(known))]


def _further(known: Sequence[str], topics: Sequence[str]) -> list[TopicPattern]:
    more = [TopicPattern(text) for text in dict.fromkeys(topics) if text not in known]
    for pattern in more:
        if not pattern.literal:
            raise CallerError(
                f"topic {pattern.text!r} elsewhere is a pattern: ask for it here, each group has what is its own of it",
                metadata={"topic": pattern.text},
            )
    return more
