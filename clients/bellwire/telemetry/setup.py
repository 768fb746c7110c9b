"""Turns tracing on: the SDK, its sampler and its exporters, imported only when asked for."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from opentelemetry import trace

from bellwire.telemetry import names, provider
from bellwire.telemetry.settings import TelemetrySettings
from bellwire.wire.errors import CallerError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

logger = logging.getLogger(__name__)

QUEUE_SPANS_MAX: Final = (
    8192  # about 16 MB of spans; beyond it the SDK drops the oldest and says so
)
EXPORT_SPANS_MAX: Final = 512  # one line of the file or one request
EXPORT_EVERY_MILLIS: Final = 500  # what a killed process loses of its trace
EXPORT_TIMEOUT_SECONDS: Final = 5.0  # an absent collector must not hold up a process that stops
OTLP_TRACES_PATH: Final = "/v1/traces"  # OTLP/HTTP specification


class TracingUnavailableError(CallerError):
    """Tracing was asked for and its packages are not installed; install bellwire[server]."""

    reason = "TRACING_UNAVAILABLE"


class TracingHandle:
    """Tracing in force; shut it down before the process ends or its last spans are lost."""

    def __init__(self, installed: TracerProvider | None, file: Path | None = None) -> None:
        self._provider = installed
        self.file = file
        """The OTLP-JSON file of this process; None without that exporter."""

    def flush(self, timeout_seconds: float = EXPORT_TIMEOUT_SECONDS) -> bool:
        """Write out every span ended so far; False when that took too long. Blocks."""
        if self._provider is None:
            return True
        return self._provider.force_flush(round(timeout_seconds * 1000))

    def shutdown(self) -> None:
        """Write out every span ended so far and stop tracing; again does nothing. Blocks."""
        if self._provider is None:
            return
        closing, self._provider = self._provider, None
        provider.retire(closing)
        closing.shutdown()


def configure_tracing(
    service_name: str,
    *,
    sample_ratio: float,
    otlp_json_path: str | Path | None = None,
    otlp_http_endpoint: str | None = None,
) -> TracingHandle:
    """Make this process record spans and export them; without an exporter, do nothing.

    Args:
        service_name: For example "agents/rules-0".
        sample_ratio: Share of causeless messages that begin a trace, 0..1.
        otlp_json_path: Folder, made when missing; this process writes `{service}-{pid}.jsonl`.
        otlp_http_endpoint: URL of a collector; without a path, /v1/traces is meant.

    Raises:
        CallerError: The ratio is not within 0..1, or the URL is none.
        TracingUnavailableError: The SDK or the exporter is not installed.
        OSError: The folder or file cannot be written.
    """
    if not 0.0 <= sample_ratio <= 1.0:
        raise CallerError(f"sample ratio {sample_ratio} is not within 0..1")
    if not otlp_json_path and not otlp_http_endpoint:
        return TracingHandle(None)
    try:
        return _configure(service_name, sample_ratio, otlp_json_path, otlp_http_endpoint)
    except ImportError as error:
        raise TracingUnavailableError(
            f"tracing needs package {error.name!r}; install bellwire[server]"
        ) from error


def configure_from(settings: TelemetrySettings, service_name: str) -> TracingHandle:
    """Make this process trace as its settings say; see `configure_tracing`."""
    return configure_tracing(
        service_name,
        sample_ratio=settings.sample_ratio,
        otlp_json_path=settings.trace_dir or None,
        otlp_http_endpoint=settings.otlp_endpoint or None,
    )


def trace_file_name(service_name: str, pid: int) -> str:
    """Return the name of a process's OTLP-JSON file."""
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in service_name)
    return f"{safe}-{pid}.jsonl"


def _configure(
    service_name: str,
    sample_ratio: float,
    otlp_json_path: str | Path | None,
    otlp_http_endpoint: str | None,
) -> TracingHandle:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    from bellwire.telemetry.recorder import Recorder

    exporters: list[SpanExporter] = []
    file: Path | None = None
    if otlp_http_endpoint:
        exporters.append(_http_exporter(otlp_http_endpoint))
    if otlp_json_path:
        file = Path(otlp_json_path) / trace_file_name(service_name, os.getpid())
        exporters.append(_file_exporter(file))
    resource = Resource.create(_resource_attributes(service_name))
    processors = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
    made = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
        resource=resource,
        active_span_processor=processors,
    )
    for exporter in exporters:
        processors.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE_SPANS_MAX,
                schedule_delay_millis=EXPORT_EVERY_MILLIS,
                max_export_batch_size=EXPORT_SPANS_MAX,
            )
        )
    provider.install(Recorder(resource, processors.on_end), sample_ratio)
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(made)  # so that spans of the user's own code join our traces
    return TracingHandle(made, file)


def _file_exporter(file: Path) -> SpanExporter:
    from bellwire.telemetry.otlp_json import JsonFileExporter

    file.parent.mkdir(parents=True, exist_ok=True)
    return JsonFileExporter(file)


def _http_exporter(endpoint: str) -> SpanExporter:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise CallerError(
            f"OTLP endpoint {endpoint!r} is no http(s) URL; write for example http://HOST:4318"
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    if parts.path in ("", "/"):
        endpoint = parts._replace(path=OTLP_TRACES_PATH).geturl()
    return OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_SECONDS)


def _resource_attributes(service_name: str) -> dict[str, str | int]:
    return {
        names.SERVICE_NAME: service_name,
        names.SERVICE_NAMESPACE: names.SYSTEM_BELLWIRE,
        names.SERVICE_INSTANCE_ID: f"{socket.gethostname()}:{os.getpid()}",
        names.PROCESS_PID: os.getpid(),
    }
