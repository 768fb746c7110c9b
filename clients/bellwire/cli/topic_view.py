"""Topics, their settings and counters, as tables and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from bellwire.admin.v1.topic_pb2 import GetTopicStatsResponse, LogKind, Topic
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_UNSPECIFIED, OverflowPolicy
from bellwire.cli.faults import CommandError
from bellwire.cli.output import Style, console, plain_table, print_json
from bellwire.cli.session import Target, connected
from bellwire.cli.units import bytes_text, count_text, moment_text

if TYPE_CHECKING:
    from bellwire.cli.topics import Overflow

__all__ = [
    "create_topic",
    "describe_topic",
    "overflow_policy",
    "show_stats",
    "show_topics",
    "stats_tables",
    "topics_table",
]


def overflow_policy(word: Overflow | None) -> OverflowPolicy.ValueType:
    """Return the policy a flag names; the server's default when it was not given."""
    if word is None:
        return OVERFLOW_POLICY_UNSPECIFIED
    return OverflowPolicy.Value(f"OVERFLOW_POLICY_{word.name}")


async def show_topics(target: Target, pattern: str, *, as_json: bool) -> None:
    """Print the topics that match, with what went through them."""
    async with connected(target) as client:
        topics = await client.admin.list_topics(pattern)
        rows = [(topic, await client.admin.topic_stats(topic.name)) for topic in topics]
    if as_json:
        for topic, stats in rows:
            print_json({**topic_json(topic), **_counters(stats)})
        return
    if not rows:
        console().print(
            f"no topic matches {pattern}" if pattern else "no topics yet", style=Style.FAINT
        )
        return
    console().print(topics_table(rows))


def topics_table(rows: list[tuple[Topic, GetTopicStatsResponse]]) -> Table:
    """Return one line per topic."""
    table = plain_table(
        "topic",
        "partitions",
        "messages",
        "batches",
        "bytes sent",
        "opened",
        "delivered",
        right=(1, 2, 3, 4, 5, 6),
    )
    for topic, stats in rows:
        table.add_row(
            f"[{Style.NAME}]{topic.name}[/]",
            str(topic.partition_count),
            count_text(stats.published_messages),
            count_text(stats.published_batches),
            bytes_text(stats.published_bytes),
            bytes_text(stats.published_uncompressed_bytes),
            count_text(stats.delivered_messages),
        )
    return table


async def create_topic(target: Target, topic: Topic, *, as_json: bool) -> None:
    """Create a topic and print it as it is now."""
    async with connected(target) as client:
        created = await client.admin.create_topic(topic)
    if as_json:
        print_json(topic_json(created))
        return
    noun = "partition" if created.partition_count == 1 else "partitions"
    console().print(
        f"created [{Style.NAME}]{created.name}[/] with {created.partition_count} {noun}"
    )


async def describe_topic(target: Target, name: str, *, as_json: bool) -> None:
    """Print the settings of one topic.

    Raises:
        CommandError: When there is no such topic.
    """
    async with connected(target) as client:
        found = [topic for topic in await client.admin.list_topics(name) if topic.name == name]
    if not found:
        raise CommandError(f"there is no topic {name!r}; `bellwire topics list` shows all")
    if as_json:
        print_json(topic_json(found[0]))
        return
    table = plain_table("", "")
    table.show_header = False
    for key, value in topic_json(found[0]).items():
        table.add_row(key.replace("_", " "), _shown(key, value))
    console().print(table)


def _shown(key: str, value: object) -> str:
    if key == "create_time_unix_nano" and isinstance(value, int):
        return f"{moment_text(value)} UTC"
    return count_text(value) if isinstance(value, int) else str(value or "-")


def topic_json(topic: Topic) -> dict[str, object]:
    """Return the settings of a topic as one object."""
    return {
        "name": topic.name,
        "partition_count": topic.partition_count,
        "log": _lower(LogKind.Name(topic.log), "LOG_KIND_"),
        "retention_messages": topic.retention_messages,
        "retention_bytes": topic.retention_bytes,
        "overflow_policy": _lower(OverflowPolicy.Name(topic.overflow_policy), "OVERFLOW_POLICY_"),
        "create_time_unix_nano": topic.create_time_unix_nano,
    }


def _lower(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", "-")


def _counters(stats: GetTopicStatsResponse) -> dict[str, object]:
    return {
        "published_messages": stats.published_messages,
        "published_batches": stats.published_batches,
        "published_bytes": stats.published_bytes,
        "published_uncompressed_bytes": stats.published_uncompressed_bytes,
        "delivered_messages": stats.delivered_messages,
        "dropped_messages": dict(stats.dropped_messages),
        "refused_batches": dict(stats.refused_batches),
    }


async def show_stats(target: Target, name: str, *, as_json: bool) -> None:
    """Print counters, partitions and subscriptions of one topic."""
    async with connected(target) as client:
        stats = await client.admin.topic_stats(name)
    if as_json:
        print_json(stats_json(stats))
        return
    out = console()
    for table in stats_tables(stats):
        out.print(table)
        out.print()


def stats_json(stats: GetTopicStatsResponse) -> dict[str, object]:
    """Return everything the coordinator counts of a topic."""
    return {
        "name": stats.name,
        **_counters(stats),
        "partitions": [
            {
                "partition": row.partition,
                "low_offset": row.low_offset,
                "next_offset": row.next_offset,
                "stored_bytes": row.stored_bytes,
            }
            for row in stats.partitions
        ],
        "subscriptions": [
            {
                "subscription": row.subscription,
                "members": row.members,
                "backlog_messages": row.backlog_messages,
                "in_flight_messages": row.in_flight_messages,
                "dropped_messages": row.dropped_messages,
            }
            for row in stats.subscriptions
        ],
    }


def stats_tables(stats: GetTopicStatsResponse) -> list[Table]:
    """Return counters, partitions and subscriptions as tables."""
    return [_counter_table(stats), _partition_table(stats), _subscription_table(stats)]


def _counter_table(stats: GetTopicStatsResponse) -> Table:
    table = plain_table("counter", "value", right=(1,))
    table.add_row("published messages", count_text(stats.published_messages))
    table.add_row("published batches", count_text(stats.published_batches))
    table.add_row("bytes as sent", bytes_text(stats.published_bytes))
    table.add_row("bytes opened", bytes_text(stats.published_uncompressed_bytes))
    table.add_row("delivered messages", count_text(stats.delivered_messages))
    for reason, count in sorted(stats.dropped_messages.items()):
        table.add_row(f"[{Style.WARN}]dropped: {reason}[/]", count_text(count))
    for reason, count in sorted(stats.refused_batches.items()):
        table.add_row(f"[{Style.BAD}]refused batches: {reason}[/]", count_text(count))
    return table


def _partition_table(stats: GetTopicStatsResponse) -> Table:
    table = plain_table("partition", "oldest offset", "next offset", "stored", right=(0, 1, 2, 3))
    for row in stats.partitions:
        table.add_row(
            str(row.partition),
            count_text(row.low_offset),
            count_text(row.next_offset),
            bytes_text(row.stored_bytes),
        )
    return table


def _subscription_table(stats: GetTopicStatsResponse) -> Table:
    table = plain_table(
        "subscription", "members", "backlog", "in flight", "dropped", right=(1, 2, 3, 4)
    )
    for row in stats.subscriptions:
        table.add_row(
            f"[{Style.NAME}]{row.subscription}[/]" if row.subscription else "(ephemeral)",
            str(row.members),
            count_text(row.backlog_messages),
            count_text(row.in_flight_messages),
            count_text(row.dropped_messages),
        )
    return table
