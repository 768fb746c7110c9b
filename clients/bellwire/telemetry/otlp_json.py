"""Writes spans as lines of OTLP JSON, one line a batch.

The format is OTLP's (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding"): ids are hex, 64-bit
integers are text, fields at their default are left out. The exporter of the OpenTelemetry project makes
an object of every field of every span first, which took longer than making the span. Imports the SDK:
only `setup` imports this module, and only when asked to trace.
"""

from __future__ import annotations

import json
import logging
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, Status

__all__ = ["OtlpJsonFileExporter", "encode_spans"]

logger = logging.getLogger(__name__)

# SpanFlags of opentelemetry/proto/trace/v1/trace.proto.
HAS_IS_REMOTE: Final = 0x100
IS_REMOTE: Final = 0x200
KIND_OFFSET: Final = 1  # SpanKind of the API counts from INTERNAL = 0, that of OTLP from 1.

JsonValue = str | bool | int | float | list["JsonValue"] | dict[str, "JsonValue"]
JsonObject = dict[str, JsonValue]


class OtlpJsonFileExporter(SpanExporter):
    """Appends to one file; a batch is written whole and flushed, so a killed process leaves whole lines.

    Args:
        file: Where to; made when missing, its folder must exist.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self._stream = file.open("a", encoding="utf-8")
        self._lock = Lock()  # The batch processor exports on its own thread and in `force_flush`.

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the spans; a failure is logged, for the program goes on."""
        try:
            line = json.dumps(encode_spans(spans), separators=(",", ":")) + "\n"
            with self._lock:
                self._stream.write(line)
                self._stream.flush()
        except (OSError, ValueError) as error:
            logger.warning("%d spans are lost, writing them failed: %s", len(spans), error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Do nothing: every export is flushed."""
        del timeout_millis
        return True

    def shutdown(self) -> None:
        """Close the file; again does nothing."""
        with self._lock:
            self._stream.close()


def encode_spans(spans: Sequence[ReadableSpan]) -> JsonObject:
    """Return an ExportTraceServiceRequest."""
    # By identity: the hash of a resource is made of its JSON each time, and took as long as a span. The
    # spans hold what is identified for as long as this runs.
    groups: dict[tuple[int, int], list[ReadableSpan]] = {}
    for span in spans:
        groups.setdefault((id(span.resource), id(span.instrumentation_scope)), []).append(span)
    scopes: dict[int, list[JsonValue]] = {}
    resources: dict[int, Resource] = {}
    for (resource_id, _), group in groups.items():
        resources[resource_id] = group[0].resource
        scopes.setdefault(resource_id, []).append(_encode_scope(group))
    return {
        "resourceSpans": [
            _with_schema(
                {"resource": _attributes_of(found.attributes), "scopeSpans": scopes[resource_id]},
                found.schema_url,
            )
            for resource_id, found in resources.items()
        ]
    }


def _encode_scope(spans: Sequence[ReadableSpan]) -> JsonObject:
    """Return the ScopeSpans of spans that share their scope."""
    scope = spans[0].instrumentation_scope
    described: JsonObject = {}
    if scope is not None:
        described["name"] = scope.name
        if scope.version:
            described["version"] = scope.version
        described |= _attributes_of(scope.attributes)
    schema_url = scope.schema_url if scope is not None else None
    return _with_schema(
        {"scope": described, "spans": [_encode_span(span) for span in spans]}, schema_url
    )


def _with_schema(encoded: JsonObject, schema_url: str | None) -> JsonObject:
    return encoded | {"schemaUrl": schema_url} if schema_url else encoded


def _encode_span(span: ReadableSpan) -> JsonObject:
    context, parent = span.get_span_context(), span.parent
    assert context is not None, "a span that was started has a context"
    encoded: JsonObject = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "flags": _flags(parent),
        "name": span.name,
        "kind": span.kind.value + KIND_OFFSET,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "status": _encode_status(span.status),
    }
    if parent is not None:
        encoded["parentSpanId"] = f"{parent.span_id:016x}"
    if context.trace_state:
        encoded["traceState"] = context.trace_state.to_header()
    encoded |= _attributes_of(span.attributes)
    if span.events:
        encoded["events"] = [_encode_event(event) for event in span.events]
    if span.links:
        encoded["links"] = [_encode_link(link) for link in span.links]
    for key, dropped in (
        ("droppedAttributesCount", span.dropped_attributes),
        ("droppedEventsCount", span.dropped_events),
        ("droppedLinksCount", span.dropped_links),
    ):
        if dropped:
            encoded[key] = dropped
    return encoded


def _encode_event(event: Event) -> JsonObject:
    return {
        "name": event.name,
        "timeUnixNano": str(event.timestamp),
        **_attributes_of(event.attributes),
        **_dropped(event.dropped_attributes),
    }


def _encode_link(link: Link) -> JsonObject:
    return {
        "traceId": f"{link.context.trace_id:032x}",
        "spanId": f"{link.context.span_id:016x}",
        "flags": _flags(link.context),
        **_attributes_of(link.attributes),
        **_dropped(link.dropped_attributes),
    }


def _dropped(attributes: int) -> JsonObject:
    return {"droppedAttributesCount": attributes} if attributes else {}


def _flags(context: SpanContext | None) -> int:
    return HAS_IS_REMOTE | IS_REMOTE if context is not None and context.is_remote else HAS_IS_REMOTE


def _encode_status(status: Status) -> JsonObject:
    encoded: JsonObject = {}
    if status.status_code.value:
        encoded["code"] = status.status_code.value
    if status.description:
        encoded["message"] = status.description
    return encoded


def _attributes_of(attributes: Mapping[str, object] | None) -> JsonObject:
    if not attributes:
        return {}
    return {
        "attributes": [
            {"key": key, "value": {"stringValue": value} if type(value) is str else _any(value)}
            for key, value in attributes.items()
        ]
    }


def _any(value: object) -> JsonObject:
    """Return an AnyValue; the SDK has refused what is none already."""
    match value:
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else _not_finite(value)}
        case bytes():
            return {"bytesValue": b64encode(value).decode("ascii")}
        case Sequence():
            return {"arrayValue": {"values": [_any(each) for each in value]} if value else {}}
        case Mapping():
            pairs: list[JsonValue] = [{"key": str(k), "value": _any(v)} for k, v in value.items()]
            return {"kvlistValue": {"values": pairs} if pairs else {}}
    return {}


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
