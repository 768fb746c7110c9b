"""Spans as OTLP JSON: what the exporter of the OpenTelemetry project writes, and quicker."""

import json
import logging
from io import StringIO
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from bellwire.telemetry.otlp_json import OtlpJsonFileExporter, encode_spans

REMOTE = SpanContext(0xABC, 0xDEF, True, TraceFlags(1), TraceState([("a", "1"), ("b", "2")]))
ATTRIBUTES: dict[str, AttributeValue] = {
    "text": 'EURUSD "€" \n',
    "whole": 2**60,
    "real": 0.5,
    "nan": float("nan"),
    "infinite": float("inf"),
    "lowest": float("-inf"),
    "flag": True,
    "off": False,
    "empty": "",
    "many": ["x", "y"],
    "numbers": [1, 2],
    "none": [],
}


def every_kind_of_span() -> list[ReadableSpan]:
    kept = InMemorySpanExporter()
    made = TracerProvider(
        resource=Resource({"service.name": "agents/rules-0", "process.pid": 42}, "https://schema"),
        span_limits=SpanLimits(max_span_attributes=20, max_events=1, max_links=1),
    )
    made.add_span_processor(SimpleSpanProcessor(kept))
    for scope in (
        made.get_tracer("bellwire.client"),
        made.get_tracer("bellwire.x", "2", "https://s"),
    ):
        for kind in SpanKind:
            scope.start_span(f"{kind.name} a", kind=kind, start_time=1, attributes=ATTRIBUTES).end(
                2
            )
        parent = set_span_in_context(NonRecordingSpan(REMOTE))
        links = [Link(REMOTE), Link(REMOTE, {"why": "fan-in"})]
        child = scope.start_span("child", parent, links=links)
        child.add_event("first", {"n": 1}, timestamp=3)
        child.add_event("second", {"n": 2}, timestamp=4)
        child.set_attributes({str(number): number for number in range(30)})
        child.set_status(Status(StatusCode.ERROR, "boom"))
        child.end()
        with scope.start_as_current_span("local parent") as local:
            scope.start_span("local child").end()
            local.set_status(StatusCode.OK)
    made.shutdown()
    return list(kept.get_finished_spans())


def test_every_kind_of_span_is_written_as_the_reference_writes_it() -> None:
    spans = every_kind_of_span()
    assert spans
    reference = StringIO()
    FileSpanExporter(stream=reference).export(spans)
    assert json.loads(json.dumps(encode_spans(spans))) == json.loads(reference.getvalue())


def test_each_batch_is_a_whole_line_as_soon_as_it_is_exported(tmp_path: Path) -> None:
    spans, file = every_kind_of_span(), tmp_path / "s.jsonl"
    exporter = OtlpJsonFileExporter(file)
    for count in (1, 2):
        assert exporter.export(spans) is SpanExportResult.SUCCESS
        lines = file.read_text().splitlines()
        assert [json.loads(line) for line in lines] == [encode_spans(spans)] * count
    assert exporter.force_flush()
    exporter.shutdown()
    exporter.shutdown()


def test_what_cannot_be_written_is_said_and_does_not_end_the_program(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = OtlpJsonFileExporter(tmp_path / "s.jsonl")
    exporter.shutdown()
    with caplog.at_level(logging.WARNING):
        assert exporter.export(every_kind_of_span()[:2]) is SpanExportResult.FAILURE
    assert "2 spans are lost" in caplog.text


def test_a_folder_that_does_not_exist_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OtlpJsonFileExporter(tmp_path / "no" / "s.jsonl")
