"""Reads OTLP-JSON trace files: one ExportTraceServiceRequest per line, one file per process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from bellwire.telemetry import names

SUFFIX: Final = ".jsonl"
KINDS: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUSES: Final = ("UNSET", "OK", "ERROR")

Value: TypeAlias = str | bool | int | float | bytes | list["Value"] | dict[str, "Value"] | None
# What json.loads gives; every field is checked where it is read.
_Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span that led to this one."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One span as read from a file."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    parent_span_id: str
    """16 hex digits; empty = a root."""
    name: str
    kind: str
    """INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER."""
    service_name: str
    process_pid: int
    """0 when the resource does not say."""
    start_unix_nano: int
    """Nanoseconds since the Unix epoch."""
    end_unix_nano: int
    """Nanoseconds since the Unix epoch."""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    links: tuple[SpanLink, ...] = ()
    status: str = "UNSET"
    """UNSET, OK or ERROR."""
    status_message: str = ""

    @property
    def duration_nanos(self) -> int:
        """Nanoseconds from start to end."""
        return self.end_unix_nano - self.start_unix_nano

    @property
    def is_error(self) -> bool:
        """Whether what the span describes failed."""
        return self.status == "ERROR"


@dataclass(frozen=True, slots=True)
class TraceFiles:
    """What a folder of trace files holds."""

    spans: list[SpanRecord]
    files: int
    skipped_lines: int
    """Lines that are no OTLP-JSON: a process that is killed tears its last one."""

    def __iter__(self) -> Iterator[SpanRecord]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)


def read_trace_dir(path: Path | str, trace_id: str = "") -> TraceFiles:
    """Read one file, or every `*.jsonl` of a folder in name order.

    Args:
        path: File or folder.
        trace_id: Keep only spans of this trace (32 hex digits); much quicker than all. Empty = all.

    Raises:
        FileNotFoundError: Nothing is there.
    """
    root = Path(path)
    files = sorted(root.glob(f"*{SUFFIX}")) if root.is_dir() else [root]
    spans: list[SpanRecord] = []
    skipped = 0
    wanted = trace_id.lower()
    for file in files:
        for line in _lines(file):
            if wanted and wanted not in line:
                continue
            try:
                parsed = list(_spans(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError, IndexError):
                skipped += 1
                continue
            spans += [s for s in parsed if s.trace_id == wanted] if wanted else parsed
    return TraceFiles(spans, len(files), skipped)


def traces(records: Iterable[SpanRecord]) -> dict[str, list[SpanRecord]]:
    """Group spans by trace, each trace's spans by start, the traces by their first span."""
    grouped: dict[str, list[SpanRecord]] = {}
    for record in sorted(records, key=lambda r: (r.start_unix_nano, r.end_unix_nano, r.span_id)):
        grouped.setdefault(record.trace_id, []).append(record)
    return grouped


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", errors="replace") as opened:
        for line in opened:
            if not line.isspace():
                yield line


def _spans(request: _Json) -> Iterator[SpanRecord]:
    for resource_spans in request["resourceSpans"]:
        resource = _attributes(resource_spans.get("resource", {}).get("attributes", ()))
        service = str(resource.get(names.SERVICE_NAME, ""))
        pid = resource.get(names.PROCESS_PID, 0)
        for scope_spans in resource_spans.get("scopeSpans", ()):
            for span in scope_spans.get("spans", ()):
                yield _span(span, service, pid if isinstance(pid, int) else 0)


def _span(span: _Json, service: str, pid: int) -> SpanRecord:
    status = span.get("status", {})
    return SpanRecord(
        trace_id=span["traceId"].lower(),
        span_id=span["spanId"].lower(),
        parent_span_id=span.get("parentSpanId", "").lower(),
        name=span["name"],
        kind=_enum(span.get("kind", 0), KINDS, "SPAN_KIND_"),
        service_name=service,
        process_pid=pid,
        start_unix_nano=int(span["startTimeUnixNano"]),
        end_unix_nano=int(span["endTimeUnixNano"]),
        attributes=_attributes(span.get("attributes", ())),
        links=tuple(
            SpanLink(link["traceId"].lower(), link["spanId"].lower())
            for link in span.get("links", ())
        ),
        status=_enum(status.get("code", 0), STATUSES, "STATUS_CODE_"),
        status_message=status.get("message", ""),
    )


def _enum(value: int | str, names: tuple[str, ...], prefix: str) -> str:
    """Name an enum value: OTLP-JSON has its number, plain protobuf JSON its full name."""
    return names[value] if isinstance(value, int) else value.removeprefix(prefix)


def _attributes(pairs: Iterable[_Json]) -> dict[str, Value]:
    return {pair["key"]: _value(pair.get("value", {})) for pair in pairs}


def _value(value: _Json) -> Value:
    """Decode an AnyValue: 64-bit integers are strings in OTLP-JSON."""
    for kind, inner in value.items():
        if kind == "intValue":
            return int(inner)
        if kind == "doubleValue":
            return float(inner)
        if kind == "arrayValue":
            return [_value(item) for item in inner.get("values", ())]
        if kind == "kvlistValue":
            return _attributes(inner.get("values", ()))
        plain: Value = inner
        return plain
    return None
