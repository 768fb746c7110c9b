"""What the name of a subscription is bound to: its topics, those of other groups included, and its ordering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import Ordering
from bellwire.coordinator.core.subscription import Subscription
from bellwire.wire.errors import CallerError, SubscriptionMismatchError
from bellwire.wire.topic import TopicPattern

__all__ = ["PATTERNS_MAX", "check_same", "further_topics"]

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
        elsewhere: Topics that the same name reads in other groups.
        ordering: How deliveries are spread; 0 = as it is.
        is_ours: Tells whether a pattern may mean topics of ours.

    Raises:
        SubscriptionMismatchError: It was made with other topics or another ordering.
    """
    bound = {pattern.text for pattern in found.patterns}
    ours = {pattern.text for pattern in found.patterns if is_ours(pattern)}
    if patterns and not (bound.issuperset(patterns) and ours <= {*patterns, *elsewhere}):
        raise SubscriptionMismatchError(
            f"subscription {found.name!r} reads {sorted(ours)}, not {sorted(patterns)}: "
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
    more = [TopicPattern(text) for text in dict.fromkeys(topics) if text not in known]
    if len(known) + len(more) > PATTERNS_MAX:
        raise CallerError(
            f"{len(known) + len(more)} topics were given, those elsewhere included, 1 to {PATTERNS_MAX} are allowed: "
            "use a pattern such as 'signals.>'",
            metadata={"topics": str(len(known) + len(more))},
        )
    for pattern in more:
        if not pattern.literal:
            raise CallerError(
                f"topic {pattern.text!r} elsewhere is a pattern: ask for it here, each group has what is its own of it",
                metadata={"topic": pattern.text},
            )
    return more
