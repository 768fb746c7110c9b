"""Topics and their settings as tables and JSON."""

from __future__ import annotations

from typing import Final

from rich.table import Table

from bellwire.admin.v1.topic_pb2 import (
    DirectPolicy,
    GetTopicStatsResponse,
    LogKind,
    PriorityClass,
    Topic,
)
from bellwire.bus.v1.subscriber_pb2 import OverflowPolicy
from bellwire.cli.faults import CommandError, check_complete
from bellwire.cli.output import Style, console, plain_table, print_json
from bellwire.cli.session import Target, connected
from bellwire.cli.topic_words import word
from bellwire.cli.units import bytes_text, count_text, moment_text
from bellwire.wire.errors import UnknownTopicError

__all__ = [
    "counters_json",
    "describe_topic",
    "kept_messages",
    "settings_table",
    "show_topics",
    "topic_json",
    "topics_table",
]


COUNTED_SINCE: Final = "kept: in the log now; the rest counts since the coordinator started"


async def show_topics(target: Target, pattern: str, *, as_json: bool) -> None:
    """Print the topics that match, with what is kept in them and what went through them.

    Raises:
        IncompleteAnswer: After they were printed: groups of coordinators are missing.
    """
    async with connected(target) as client:
        listed = await client.admin.reachable_topics(pattern)
        rows = [(topic, await client.admin.topic_stats(topic.name)) for topic in listed.topics]
    if as_json:
        for topic, stats in rows:
            print_json({**topic_json(topic), **counters_json(stats)})
    elif rows:
        console().print(topics_table(rows))
        console().print(COUNTED_SINCE, style=Style.FAINT)
    else:
        nothing = f"no topic matches {pattern}" if pattern else "no topics yet"
        console().print(nothing, style=Style.FAINT)
    check_complete(listed.missing)


def topics_table(rows: list[tuple[Topic, GetTopicStatsResponse]]) -> Table:
    """Return one line per topic."""
    headings = (
        "topic",
        "log",
        "parts",
        "kept",
        "published",
        "batches",
        "sent",
        "opened",
        "delivered",
    )
    # Most topics have none: the column comes with the first dead letter.
    any_dead = any(stats.dead_letters for _, stats in rows)
    table = plain_table(*headings, *(["dead"] * any_dead), right=tuple(range(2, 10)))
    for topic, stats in rows:
        dead = f"[{Style.BAD}]{count_text(stats.dead_letters)}[/]" if stats.dead_letters else "0"
        table.add_row(
            f"[{Style.NAME}]{topic.name}[/]",
            log_word(topic),
            str(topic.partition_count),
            count_text(kept_messages(stats)),
            count_text(stats.published_messages),
            count_text(stats.published_batches),
            bytes_text(stats.published_bytes),
            bytes_text(stats.published_uncompressed_bytes),
            count_text(stats.delivered_messages),
            *([dead] * any_dead),
        )
    return table


def kept_messages(stats: GetTopicStatsResponse) -> int:
    """Return how many messages are in the log now; offsets have no holes."""
    return sum(each.high_watermark - each.low_offset for each in stats.partitions)


async def describe_topic(target: Target, name: str, *, as_json: bool) -> None:
    """Print the settings of one topic.

    Raises:
        CommandError: When there is no such topic.
    """
    async with connected(target) as client:
        try:
            found = await client.admin.get_topic(name)
        except UnknownTopicError:
            raise CommandError(
                f"there is no topic {name!r}; `bellwire topics list` shows all"
            ) from None
    if as_json:
        print_json(topic_json(found))
        return
    console().print(settings_table(found))


def settings_table(topic: Topic) -> Table:
    """Return the settings of a topic, one a line."""
    table = plain_table("", "")
    table.show_header = False
    for key, value in topic_json(topic).items():
        table.add_row(key.replace("_", " "), _shown(key, value))
    return table


def _shown(key: str, value: object) -> str:
    if key == "create_time_unix_nano" and isinstance(value, int):
        return f"{moment_text(value)} UTC"
    if key == "retention_seconds" and not value:
        return "-"
    return count_text(value) if isinstance(value, int) else str(value or "-")


def log_word(topic: Topic) -> str:
    """Return the log as a flag spells it."""
    return word(LogKind.Name(topic.log), "LOG_KIND_")


def topic_json(topic: Topic) -> dict[str, object]:
    """Return the settings of a topic as one object."""
    return {
        "name": topic.name,
        "partition_count": topic.partition_count,
        "log": log_word(topic),
        "retention_messages": topic.retention_messages,
        "retention_bytes": topic.retention_bytes,
        "retention_seconds": topic.retention_seconds,
        "overflow_policy": word(OverflowPolicy.Name(topic.overflow_policy), "OVERFLOW_POLICY_"),
        "priority_class": word(PriorityClass.Name(topic.priority_class), "PRIORITY_CLASS_"),
        "direct_policy": word(DirectPolicy.Name(topic.direct_policy), "DIRECT_POLICY_"),
        "create_time_unix_nano": topic.create_time_unix_nano,
    }


def counters_json(stats: GetTopicStatsResponse) -> dict[str, object]:
    """Return what is counted of a topic as a whole."""
    return {
        "kept_messages": kept_messages(stats),
        "published_messages": stats.published_messages,
        "published_batches": stats.published_batches,
        "published_bytes": stats.published_bytes,
        "published_uncompressed_bytes": stats.published_uncompressed_bytes,
        "delivered_messages": stats.delivered_messages,
        "dropped_messages": dict(stats.dropped_messages),
        "refused_batches": dict(stats.refused_batches),
        "dead_letters": stats.dead_letters,
    }
