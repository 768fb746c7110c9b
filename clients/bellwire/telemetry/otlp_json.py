"""Writes OTLP-JSON trace files: one ExportTraceServiceRequest per line (OTLP 1.x, "JSON Protobuf Encoding").

The text is put together piece by piece: building the objects of the protobuf schema first takes eight times as
long, on the thread that shares the interpreter with the event loop.

Imports the OpenTelemetry SDK: only `setup` imports this module, and only when asked to trace.
"""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path
from typing import Final, TypeAlias

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode

logger = logging.getLogger(__name__)

KEYS_REMEMBERED: Final = 1_024  # A process uses a few dozen.
_KINDS: Final = {kind: kind.value + 1 for kind in SpanKind}
_Scopes: TypeAlias = dict[int, tuple[InstrumentationScope | None, list[str]]]
# Of a span's or link's `flags`: it is known whether its (parent's) context is remote, and it is.
HAS_IS_REMOTE: Final = 0x100
IS_REMOTE: Final = 0x200


class JsonFileExporter(SpanExporter):
    """Appends each batch of spans to a file as a line.

    Args:
        file: Made when missing.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, file: Path) -> None:
        self._name = str(file)
        self._file = file.open("a", encoding="ascii")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the spans; they are lost, and the log says so, when that fails."""
        try:
            self._file.write(encode_request(spans) + "\n")
            self._file.flush()
        except (OSError, ValueError) as error:  # ValueError: it is closed.
            logger.warning("%d spans are lost, cannot write %s: %s", len(spans), self._name, error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file."""
        self._file.close()


def encode_request(spans: Iterable[ReadableSpan]) -> str:
    """Return spans as the text of an ExportTraceServiceRequest, ASCII only, without line ends."""
    # By identity: a resource makes JSON of itself for its hash, and a process has one.
    grouped: dict[int, tuple[Resource, _Scopes]] = {}
    for span in spans:
        resource, scope = span.resource, span.instrumentation_scope
        _, scopes = grouped.setdefault(id(resource), (resource, {}))
        scopes.setdefault(id(scope), (scope, []))[1].append(_span(span))
    return f'{{"resourceSpans":[{",".join(_resource_spans(*each) for each in grouped.values())}]}}'


def _resource_spans(resource: Resource, by_scope: _Scopes) -> str:
    scopes = ",".join(_scope_spans(*each) for each in by_scope.values())
    about = _attributes(resource.attributes)
    url = f',"schemaUrl":{_quoted(resource.schema_url)}' if resource.schema_url else ""
    return f'{{"resource":{{"attributes":{about}}},"scopeSpans":[{scopes}]{url}}}'


def _scope_spans(scope: InstrumentationScope | None, spans: Sequence[str]) -> str:
    if scope is None:
        return f'{{"scope":{{}},"spans":[{",".join(spans)}]}}'
    about = f'"name":{_quoted(scope.name)}'
    if scope.version:
        about += f',"version":{_quoted(scope.version)}'
    if scope.attributes:
        about += f',"attributes":{_attributes(scope.attributes)}'
    url = f',"schemaUrl":{_quoted(scope.schema_url)}' if scope.schema_url else ""
    return f'{{"scope":{{{about}}},"spans":[{",".join(spans)}]{url}}}'


def _span(span: ReadableSpan) -> str:
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    text = (
        f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}"'
        f',"name":{_quoted(span.name)},"kind":{_KINDS[span.kind]}'
        f',"startTimeUnixNano":"{span.start_time}","endTimeUnixNano":"{span.end_time}"'
        f',"flags":{_flags(parent)}'
    )
    if parent is not None:
        text += f',"parentSpanId":"{parent.span_id:016x}"'
    if context.trace_state:
        text += f',"traceState":{_quoted(context.trace_state.to_header())}'
    if attributes := span.attributes:
        text += f',"attributes":{_attributes(attributes)}'
    if events := span.events:
        text += f',"events":[{",".join(map(_event, events))}]'
    if links := span.links:
        text += f',"links":[{",".join(map(_link, links))}]'
    status = span.status
    if status.status_code is not StatusCode.UNSET:
        about = f',"message":{_quoted(status.description)}' if status.description else ""
        text += f',"status":{{"code":{status.status_code.value}{about}}}'
    text += _dropped("Attributes", span.dropped_attributes)
    text += _dropped("Events", span.dropped_events) + _dropped("Links", span.dropped_links)
    return text + "}"


def _event(event: Event) -> str:
    about = _attributes(event.attributes) if event.attributes else "[]"
    return (
        f'{{"timeUnixNano":"{event.timestamp}","name":{_quoted(event.name)}'
        f',"attributes":{about}{_dropped("Attributes", event.dropped_attributes)}}}'
    )


def _link(link: Link) -> str:
    context = link.context
    text = (
        f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}"'
        f',"flags":{_flags(context)}'
    )
    if link.attributes:
        text += f',"attributes":{_attributes(link.attributes)}'
    return text + _dropped("Attributes", link.dropped_attributes) + "}"


def _flags(context: SpanContext | None) -> int:
    return HAS_IS_REMOTE | IS_REMOTE if context and context.is_remote else HAS_IS_REMOTE


def _dropped(what: str, count: int) -> str:
    return f',"dropped{what}Count":{count}' if count else ""


def _attributes(attributes: Mapping[str, object]) -> str:
    pairs = [
        # Most are texts.
        f'{_key(key)}{{"stringValue":{_quoted(value)}}}}}'
        if type(value) is str
        else f"{_key(key)}{_value(value)}}}"
        for key, value in attributes.items()
    ]
    return f"[{','.join(pairs)}]"


@lru_cache(KEYS_REMEMBERED)
def _key(key: str) -> str:
    return f'{{"key":{_quoted(key)},"value":'


def _value(value: object) -> str:
    """Encode an AnyValue: integers of 64 bits are texts, bytes are Base64, as protobuf's JSON has them."""
    match value:
        case bool():
            return f'{{"boolValue":{"true" if value else "false"}}}'
        case str():
            return f'{{"stringValue":{_quoted(value)}}}'
        case int():
            return f'{{"intValue":"{value}"}}'
        case float():
            return f'{{"doubleValue":{_double(value)}}}'
        case bytes():
            return f'{{"bytesValue":"{base64.b64encode(value).decode()}"}}'
        case Mapping():
            return f'{{"kvlistValue":{{"values":{_attributes(value)}}}}}'
        case Sequence():
            return f'{{"arrayValue":{{"values":[{",".join(map(_value, value))}]}}}}'
        case None:
            return "{}"
    return f'{{"stringValue":{_quoted(str(value))}}}'


def _double(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'
