"""Turning tracing on and off."""

import json
import os
import sys
from pathlib import Path

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.telemetry import (
    TelemetrySettings,
    TracingUnavailableError,
    configure_from,
    configure_tracing,
    end_span,
    process_span,
    publish_span,
    read_trace_dir,
)
from bellwire.telemetry.setup import trace_file_name
from bellwire.wire.errors import CallerError
from bellwire.wire.settings import SettingsError


def test_spans_are_in_the_file_of_the_process_after_shutdown(tmp_path: Path) -> None:
    handle = configure_tracing("agents/rules-0", sample_ratio=1.0, otlp_json_path=tmp_path / "new")
    end_span(publish_span("bars.1h", message_id="m-1"))
    handle.shutdown()
    assert handle.file == tmp_path / "new" / f"agents-rules-0-{os.getpid()}.jsonl"
    (span,) = read_trace_dir(tmp_path / "new")
    assert (span.name, span.kind) == ("send bars.1h", "PRODUCER")
    assert (span.service_name, span.process_pid) == ("agents/rules-0", os.getpid())


def test_flush_writes_without_ending_tracing(tmp_path: Path) -> None:
    handle = configure_from(
        TelemetrySettings(sample_ratio=1.0, trace_dir=str(tmp_path)), "coordinator"
    )
    end_span(publish_span("a"))
    assert handle.flush()
    assert len(read_trace_dir(tmp_path)) == 1
    end_span(publish_span("b"))
    handle.shutdown()
    handle.shutdown()
    assert [span.name for span in read_trace_dir(tmp_path)] == ["send a", "send b"]


def test_tracing_ends_with_its_handle(tmp_path: Path) -> None:
    configure_tracing("s", sample_ratio=1.0, otlp_json_path=tmp_path).shutdown()
    assert publish_span("t") is None
    sampled = Message(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert process_span("t", sampled) is None


def test_without_an_exporter_nothing_is_recorded() -> None:
    handle = configure_from(TelemetrySettings(sample_ratio=1.0), "s")
    assert publish_span("t") is None
    assert handle.flush()
    handle.shutdown()


def test_half_of_the_roots_are_sampled_at_ratio_one_half(tmp_path: Path) -> None:
    handle = configure_tracing("s", sample_ratio=0.5, otlp_json_path=tmp_path)
    try:
        sampled = sum(publish_span("t") is not None for _ in range(1000))
    finally:
        handle.shutdown()
    # Eight standard deviations of a fair draw of 1,000: fails once in 10^15 runs.
    assert 370 < sampled < 630


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_ratio_out_of_range_is_refused(ratio: float) -> None:
    with pytest.raises(CallerError, match=r"not within 0\.\.1"):
        configure_tracing("s", sample_ratio=ratio, otlp_json_path="x")
    with pytest.raises(SettingsError, match="sample_ratio"):
        TelemetrySettings(sample_ratio=ratio)


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://host", "http://"])
def test_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(CallerError, match=r"no http\(s\) URL"):
        configure_tracing("s", sample_ratio=1.0, otlp_http_endpoint=endpoint)


def test_missing_sdk_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingUnavailableError, match=r"bellwire\[server\]"):
        configure_tracing("s", sample_ratio=1.0, otlp_json_path="x")


def test_file_name_holds_no_folder_separator() -> None:
    assert trace_file_name("agents/über 0", 7) == "agents-über-0-7.jsonl"


def test_file_is_otlp_json_lines(tmp_path: Path) -> None:
    handle = configure_tracing("s", sample_ratio=1.0, otlp_json_path=tmp_path)
    end_span(publish_span("t"))
    handle.shutdown()
    assert handle.file is not None
    (line,) = handle.file.read_text().splitlines()
    span = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert len(bytes.fromhex(span["traceId"])) == 16
    assert int(span["startTimeUnixNano"]) > 0
