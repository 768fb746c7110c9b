"""What a coordinator found in its folder when it started, in one line and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bellwire.cli.units import bytes_text, counted_text, duration_text

if TYPE_CHECKING:
    from bellwire.admin.v1.server_pb2 import RecoveryReport

__all__ = ["recovery_json", "recovery_text"]

MILLIS_PER_SECOND: Final = 1_000


def recovery_text(report: RecoveryReport) -> str:
    """Return the report as a sentence."""
    counts = ", ".join(
        counted_text(count, noun)
        for count, noun in (
            (report.topics, "topic"),
            (report.messages, "message"),
            (report.subscriptions, "subscription"),
            (report.dead_letters, "dead letter"),
        )
    )
    seconds = report.duration_millis / MILLIS_PER_SECOND
    if not (report.topics or report.subscriptions or report.dead_letters or report.after_crash):
        return f"nothing stored yet; opened in {duration_text(seconds)}"
    how = "after a crash" if report.after_crash else "closed properly the last time"
    return (
        f"recovered {counts} ({bytes_text(report.stored_bytes)}) in {duration_text(seconds)}; {how}"
    )


def recovery_json(report: RecoveryReport) -> dict[str, object]:
    """Return the report as one object."""
    return {
        "duration_millis": report.duration_millis,
        "topics": report.topics,
        "partitions": report.partitions,
        "messages": report.messages,
        "stored_bytes": report.stored_bytes,
        "subscriptions": report.subscriptions,
        "dead_letters": report.dead_letters,
        "after_crash": report.after_crash,
    }
