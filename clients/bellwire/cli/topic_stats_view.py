"""What the coordinator counts of one topic, as tables and JSON."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from bellwire.admin.v1.topic_pb2 import GetTopicStatsResponse
from bellwire.cli.output import Style, console, plain_table, print_json
from bellwire.cli.session import Target, connected
from bellwire.cli.topic_view import counters_json
from bellwire.cli.units import bytes_text, count_text

__all__ = ["show_stats", "stats_json", "stats_tables"]


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
        **counters_json(stats),
        "partitions": [
            {
                "partition": row.partition,
                "low_offset": row.low_offset,
                "high_watermark": row.high_watermark,
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
                "redelivery_messages": row.redelivery_messages,
                "dropped_messages": row.dropped_messages,
                "dropped_by_reason": dict(row.dropped_by_reason),
                "dead_lettered_messages": row.dead_lettered_messages,
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
        table.add_row(f"[{Style.WARN}]dropped: {reason_text(reason)}[/]", count_text(count))
    for reason, count in sorted(stats.refused_batches.items()):
        table.add_row(f"[{Style.BAD}]refused batches: {reason}[/]", count_text(count))
    if stats.dead_letters:
        table.add_row(f"[{Style.BAD}]dead letters[/]", count_text(stats.dead_letters))
    return table


def _partition_table(stats: GetTopicStatsResponse) -> Table:
    headings = ("partition", "oldest offset", "high watermark", "next offset", "stored")
    table = plain_table(*headings, right=(0, 1, 2, 3, 4))
    for row in stats.partitions:
        table.add_row(
            str(row.partition),
            count_text(row.low_offset),
            count_text(row.high_watermark),
            count_text(row.next_offset),
            bytes_text(row.stored_bytes),
        )
    return table


def _subscription_table(stats: GetTopicStatsResponse) -> Table:
    table = plain_table(
        *("subscription", "members", "backlog", "in flight", "again", "dead", "dropped"),
        right=(1, 2, 3, 4, 5),
    )
    for row in stats.subscriptions:
        dead = count_text(row.dead_lettered_messages)
        table.add_row(
            f"[{Style.NAME}]{row.subscription}[/]" if row.subscription else "(ephemeral)",
            str(row.members),
            count_text(row.backlog_messages),
            count_text(row.in_flight_messages),
            count_text(row.redelivery_messages),
            f"[{Style.BAD}]{dead}[/]" if row.dead_lettered_messages else dead,
            _dropped_text(row.dropped_messages, row.dropped_by_reason),
        )
    return table


def _dropped_text(total: int, by_reason: Mapping[str, int]) -> str:
    """Return "12 expired, 3 overflow": the counts with their reasons, the largest first."""
    reasons = sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{count_text(count)} {reason_text(reason)}" for reason, count in reasons)
    return f"[{Style.WARN}]{text or count_text(total)}[/]" if total else "0"


def reason_text(reason: str) -> str:
    """Return a reason of the wire as words: "skipped_by_seek" is "skipped by seek"."""
    return reason.replace("_", " ")
