"""Spans of one trace as a tree: children under parents, by start, with their depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bellwire.telemetry.trace_file import SpanRecord

__all__ = ["DEPTH_MAX", "SpanTree", "TreeRow", "span_tree"]

DEPTH_MAX: Final = 64  # A trace deeper than this is a fault; the drawing stays within its column.


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One span in drawing order, with the branch lines that lead to it."""

    span: SpanRecord
    branch: str  # "", "├ ", "└ ", "│ └ " …


@dataclass(frozen=True, slots=True)
class SpanTree:
    """A trace ready to draw."""

    trace_id: str
    rows: tuple[TreeRow, ...]
    start_unix_nano: int
    end_unix_nano: int
    processes: int
    services: tuple[str, ...]  # in order of appearance

    @property
    def duration_seconds(self) -> float:
        """Wall time from the first start to the last end."""
        return (self.end_unix_nano - self.start_unix_nano) / 1e9


def span_tree(spans: Sequence[SpanRecord]) -> SpanTree:
    """Order the spans of one trace; a span whose parent is not among them is a root.

    Raises:
        ValueError: When there are no spans.
    """
    if not spans:
        raise ValueError("a trace has at least one span")
    known = {span.span_id for span in spans}
    children: dict[str, list[SpanRecord]] = {}
    for span in sorted(spans, key=lambda s: (s.start_unix_nano, s.span_id)):
        parent = span.parent_span_id if span.parent_span_id in known else ""
        children.setdefault(parent, []).append(span)
    rows: list[TreeRow] = []
    for root in children.get("", []):
        rows.append(TreeRow(root, ""))
        _descend(root.span_id, "", children, rows, depth=1)
    return SpanTree(
        trace_id=spans[0].trace_id,
        rows=tuple(rows),
        start_unix_nano=min(span.start_unix_nano for span in spans),
        end_unix_nano=max(span.end_unix_nano for span in spans),
        processes=len({(span.service_name, span.process_pid) for span in spans}),
        services=tuple(dict.fromkeys(row.span.service_name for row in rows)),
    )


def _descend(
    parent_id: str,
    lead: str,
    children: dict[str, list[SpanRecord]],
    rows: list[TreeRow],
    *,
    depth: int,
) -> None:
    if depth > DEPTH_MAX:
        return
    group = children.get(parent_id, [])
    for index, span in enumerate(group):
        last = index == len(group) - 1
        rows.append(TreeRow(span, lead + ("└ " if last else "├ ")))
        _descend(span.span_id, lead + ("  " if last else "│ "), children, rows, depth=depth + 1)
