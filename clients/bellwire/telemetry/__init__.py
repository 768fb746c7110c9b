"""Traces: spans of messages, where they go, and how to read them back."""

from bellwire.telemetry.settings import TelemetrySettings
from bellwire.telemetry.setup import (
    TracingHandle,
    TracingUnavailableError,
    configure_from,
    configure_tracing,
)
from bellwire.telemetry.spans import (
    call_span,
    context_of,
    end_span,
    inject,
    process_span,
    publish_span,
    record_span,
)
from bellwire.telemetry.trace_file import (
    SpanLink,
    SpanRecord,
    TraceFiles,
    read_trace_dir,
    traces,
)

__all__ = [
    "SpanLink",
    "SpanRecord",
    "TelemetrySettings",
    "TraceFiles",
    "TracingHandle",
    "TracingUnavailableError",
    "call_span",
    "configure_from",
    "configure_tracing",
    "context_of",
    "end_span",
    "inject",
    "process_span",
    "publish_span",
    "read_trace_dir",
    "record_span",
    "traces",
]
