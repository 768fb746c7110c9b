"""One trace worth showing: a bar that became a fill."""

from __future__ import annotations

from bellwire.cli.demo.hops import RunSpans
from bellwire.cli.demo.recording import Recording
from bellwire.cli.span_tree import SpanTree, span_tree
from bellwire.telemetry import traces
from bellwire.trading.v1.order_pb2 import EXEC_TYPE_TRADE, ExecutionReport
from bellwire.wire.trace_context import parse_traceparent

__all__ = ["typical_fill_trace"]


def typical_fill_trace(recording: Recording, spans: RunSpans) -> SpanTree | None:
    """Return a trace that ends in a fill: of those over the most processes the median in length.

    None when nothing was filled.
    """
    by_trace = traces(spans.spans)
    trees = [span_tree(by_trace[name]) for name in _fill_trace_ids(recording) if name in by_trace]
    if not trees:
        return None
    most = max(tree.processes for tree in trees)
    widest = [tree for tree in trees if tree.processes == most]
    return sorted(widest, key=lambda tree: (tree.duration_seconds, tree.trace_id))[len(widest) // 2]


def _fill_trace_ids(recording: Recording) -> list[str]:
    """Return the traces of all fills, each once, in order."""
    found: dict[str, None] = {}
    for recorded, report in recording.of(ExecutionReport):
        context = parse_traceparent(recorded.message.traceparent)
        if report.exec_type == EXEC_TYPE_TRADE and context is not None:
            found[context.trace_id] = None
    return list(found)
