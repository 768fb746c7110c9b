"""Find one trace among the trace files of a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.cli.faults import CommandError, UsageFault

if TYPE_CHECKING:
    from bellwire.cli.span_tree import SpanTree
    from bellwire.telemetry.trace_file import SpanRecord

__all__ = ["find_last", "find_trace", "trace_json"]

ID_PREFIX_MIN: Final = 4  # hex digits; fewer match by accident
ID_DIGITS: Final = 32
NAMED_MAX: Final = 3  # trace ids named in an error; a list helps, a page does not


def find_last(folder: Path, containing: str = "") -> list[SpanRecord]:
    """Return the trace that began last, among those with a span whose name has the text.

    Raises:
        CommandError: When there is none.
    """
    found = _read(folder)
    fitting = [
        spans
        for spans in found.values()
        if not containing or any(containing in span.name for span in spans)
    ]
    if not fitting:
        raise CommandError(
            f"none of the {len(found)} traces in {folder} has a span named like {containing!r}"
        )
    return max(fitting, key=_began)


def find_trace(folder: Path, prefix: str) -> list[SpanRecord]:
    """Return the one trace whose id begins with the prefix.

    Raises:
        UsageFault: When the prefix is no trace id or fits several traces.
        CommandError: When no trace has it.
    """
    digits = prefix.lower()
    if not ID_PREFIX_MIN <= len(digits) <= ID_DIGITS or set(digits) - set("0123456789abcdef"):
        raise UsageFault(
            f"{prefix!r} is no trace id; give {ID_PREFIX_MIN} to {ID_DIGITS} hex digits, or --last"
        )
    found = _read(folder)
    fitting = [trace_id for trace_id in found if trace_id.startswith(digits)]
    if len(fitting) > 1:
        named = ", ".join(sorted(fitting)[:NAMED_MAX])
        raise UsageFault(f"{len(fitting)} traces begin with {digits}: {named} …; give more digits")
    if not fitting:
        newest = max(found, key=lambda trace_id: _began(found[trace_id]))
        raise CommandError(
            f"none of the {len(found)} traces in {folder} begins with {digits}; "
            f"the last one is {newest}"
        )
    return found[fitting[0]]


def _read(folder: Path) -> dict[str, list[SpanRecord]]:
    from bellwire.telemetry.trace_file import read_trace_dir, traces

    if not folder.is_dir():
        raise CommandError(
            f"there is no trace directory {folder}; run `bellwire demo`, or serve with "
            "telemetry.trace_dir set, then give it with --dir"
        )
    found = traces(read_trace_dir(folder))
    if not found:
        raise CommandError(f"{folder} holds no spans yet; sampled messages write them")
    return found


def _began(spans: list[SpanRecord]) -> int:
    return min(span.start_unix_nano for span in spans)


def trace_json(tree: SpanTree) -> dict[str, object]:
    """Return a trace as one JSON object, spans in drawing order."""
    return {
        "trace_id": tree.trace_id,
        "start_unix_nano": tree.start_unix_nano,
        "duration_seconds": tree.duration_seconds,
        "processes": tree.processes,
        "services": list(tree.services),
        "spans": [
            {
                "span_id": row.span.span_id,
                "parent_span_id": row.span.parent_span_id or None,
                "name": row.span.name,
                "kind": row.span.kind,
                "service": row.span.service_name,
                "pid": row.span.process_pid,
                "offset_seconds": (row.span.start_unix_nano - tree.start_unix_nano) / 1e9,
                "duration_seconds": (row.span.end_unix_nano - row.span.start_unix_nano) / 1e9,
                "error": row.span.is_error,
                "attributes": dict(row.span.attributes),
            }
            for row in tree.rows
        ],
    }
