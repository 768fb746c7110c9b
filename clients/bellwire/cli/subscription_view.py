"""Named subscriptions over all their topics: listed and deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from rich.markup import escape
from rich.table import Table

from bellwire.admin.v1.topic_pb2 import GetTopicStatsResponse
from bellwire.cli.asking import check_somebody_is_there, confirm
from bellwire.cli.faults import check_complete
from bellwire.cli.output import Style, console, plain_table, print_json
from bellwire.cli.session import Target, connected, run_async
from bellwire.cli.units import count_text

__all__ = [
    "SubscriptionSum",
    "delete_subscription",
    "show_subscriptions",
    "subscriptions_table",
    "sum_up",
]

COUNTED: Final = (
    "backlog_messages",
    "in_flight_messages",
    "redelivery_messages",
    "dead_lettered_messages",
    "dropped_messages",
)


@dataclass(slots=True)
class SubscriptionSum:
    """What the coordinator counts of one subscription, over its topics."""

    name: str
    topics: list[str] = field(default_factory=list)
    members: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def json(self) -> dict[str, object]:
        """Return it as one object."""
        return {
            "subscription": self.name,
            "topics": self.topics,
            "members": self.members,
            **{name: self.counts[name] for name in COUNTED},
        }


async def show_subscriptions(target: Target, pattern: str, *, as_json: bool) -> None:
    """Print the named subscriptions of the topics that match.

    Raises:
        IncompleteAnswer: After they were printed: groups of coordinators are missing.
    """
    async with connected(target) as client:
        listed = await client.admin.reachable_topics(pattern)
        stats = [await client.admin.topic_stats(topic.name) for topic in listed.topics]
    found = sum_up(stats)
    if as_json:
        for one in found:
            print_json(one.json())
    elif found:
        console().print(subscriptions_table(found))
    else:
        console().print("no named subscriptions", style=Style.FAINT)
    check_complete(listed.missing)


def sum_up(stats: Iterable[GetTopicStatsResponse]) -> list[SubscriptionSum]:
    """Return what named subscriptions have in these topics together, ordered by name."""
    found: dict[str, SubscriptionSum] = {}
    for topic in stats:
        for row in topic.subscriptions:
            if not row.subscription:
                continue
            one = found.setdefault(row.subscription, SubscriptionSum(row.subscription))
            one.topics.append(topic.name)
            one.members = max(one.members, row.members)
            one.counts.update({name: getattr(row, name) for name in COUNTED})
    return [found[name] for name in sorted(found)]


def subscriptions_table(found: Iterable[SubscriptionSum]) -> Table:
    """Return one line per subscription."""
    headings = ("members", "backlog", "in flight", "again", "dead", "dropped", "topics")
    table = plain_table("subscription", *headings, right=(1, 2, 3, 4, 5, 6))
    for one in found:
        table.add_row(
            f"[{Style.NAME}]{escape(one.name)}[/]",
            str(one.members),
            *(count_text(one.counts[name]) for name in COUNTED),
            ", ".join(one.topics),
        )
    return table


def delete_subscription(target: Target, name: str, *, sure: bool, as_json: bool) -> None:
    """Delete a subscription, after a question unless `sure`.

    Raises:
        UsageFault: Nobody is there to be asked.
        UnknownSubscriptionError: There is no such subscription.
        CallerError: It has members.
    """
    if not sure:
        check_somebody_is_there()
        confirm(f"subscription {name} with its cursors")
    run_async(lambda: _delete(target, name))
    if as_json:
        print_json({"deleted": name})
    else:
        console().print(f"deleted [{Style.NAME}]{escape(name)}[/]")


async def _delete(target: Target, name: str) -> None:
    async with connected(target) as client:
        await client.admin.delete_subscription(name)
