"""Reading OTLP-JSON files back, also those of processes that were killed."""

import json
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bellwire.telemetry import SpanLink, read_trace_dir, traces
from bellwire.telemetry.otlp_json import JsonFileExporter

LINKED = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))


def write_two_traces(file: Path) -> None:
    exporter = JsonFileExporter(file)
    made = TracerProvider(resource=Resource({"service.name": "agents/rules-0", "process.pid": 42}))
    made.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = made.get_tracer("bellwire.client")
    with tracer.start_as_current_span("send a", kind=SpanKind.PRODUCER):
        child = tracer.start_span(
            "process a",
            kind=SpanKind.CONSUMER,
            links=[Link(LINKED)],
            start_time=1_700_000_000_000_000_001,
            attributes={
                "text": "EURUSD",
                "whole": 2**60,
                "real": 0.5,
                "flag": True,
                "many": ["x", "y"],
            },
        )
        child.set_status(Status(StatusCode.ERROR, "boom"))
        child.end(1_700_000_000_000_000_501)
    tracer.start_span("send b").end()
    made.shutdown()


def test_sdk_spans_come_back_as_they_were(tmp_path: Path) -> None:
    write_two_traces(tmp_path / "rules-42.jsonl")
    read = read_trace_dir(tmp_path)
    assert (len(read), read.files, read.skipped_lines) == (3, 1, 0)
    by_name = {span.name: span for span in read}
    parent, child = by_name["send a"], by_name["process a"]
    assert child.parent_span_id == parent.span_id
    assert child.trace_id == parent.trace_id
    assert parent.parent_span_id == ""
    assert (parent.kind, child.kind, by_name["send b"].kind) == ("PRODUCER", "CONSUMER", "INTERNAL")
    assert child.start_unix_nano == 1_700_000_000_000_000_001
    assert child.duration_nanos == 500
    assert child.attributes == {
        "text": "EURUSD",
        "whole": 2**60,
        "real": 0.5,
        "flag": True,
        "many": ["x", "y"],
    }
    assert child.links == (SpanLink(f"{0xABC:032x}", f"{0xDEF:016x}"),)
    assert (child.status, child.status_message, child.is_error) == ("ERROR", "boom", True)
    assert (parent.status, parent.is_error) == ("UNSET", False)
    assert {(span.service_name, span.process_pid) for span in read} == {("agents/rules-0", 42)}


def test_traces_are_grouped_and_ordered_by_start(tmp_path: Path) -> None:
    write_two_traces(tmp_path / "a.jsonl")
    grouped = list(traces(read_trace_dir(tmp_path)).values())
    assert [[span.name for span in spans] for spans in grouped] == [
        ["process a", "send a"],
        ["send b"],
    ]


def test_torn_last_line_costs_only_itself_and_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "killed-1.jsonl"
    write_two_traces(file)
    whole = file.read_bytes()
    for cut in (1, 20, len(whole.splitlines()[-1]) // 2):
        file.write_bytes(whole[: -1 - cut])
        read = read_trace_dir(tmp_path)
        assert [span.name for span in read] == ["process a", "send a"]
        assert read.skipped_lines == 1


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "17",
        '{"resourceMetrics":[]}',
        '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"}]}]}]}',
        '{"resourceSpans":{"a":1}}',
        "\x00\x01",
        '{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":7,"spanId":"0"}]}]}]}',
    ],
)
def test_foreign_line_is_skipped_and_counted(tmp_path: Path, line: str) -> None:
    file = tmp_path / "odd.jsonl"
    write_two_traces(file)
    file.write_text(line + "\n\n" + file.read_text())
    read = read_trace_dir(file)
    assert (len(read), read.skipped_lines) == (3, 1)


def test_one_trace_is_found_among_others_in_several_files(tmp_path: Path) -> None:
    write_two_traces(tmp_path / "a.jsonl")
    write_two_traces(tmp_path / "b.jsonl")
    (tmp_path / "notes.txt").write_text("not a trace")
    wanted = next(span for span in read_trace_dir(tmp_path) if span.name == "send b")
    read = read_trace_dir(tmp_path, wanted.trace_id.upper())
    assert [span.name for span in read] == ["send b"]
    assert read.files == 2


def test_other_writers_enum_names_and_upper_case_ids_are_read(tmp_path: Path) -> None:
    span = {
        "traceId": "AB" * 16,
        "spanId": "CD" * 8,
        "name": "x",
        "kind": "SPAN_KIND_CLIENT",
        "startTimeUnixNano": 5,
        "endTimeUnixNano": "9",
        "status": {"code": "STATUS_CODE_OK"},
    }
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    (tmp_path / "other.jsonl").write_text(json.dumps(request))
    (read,) = read_trace_dir(tmp_path)
    assert (read.trace_id, read.kind, read.status) == ("ab" * 16, "CLIENT", "OK")
    assert (read.start_unix_nano, read.end_unix_nano, read.process_pid) == (5, 9, 0)


def test_missing_file_is_an_error_and_an_empty_folder_is_not(tmp_path: Path) -> None:
    assert len(read_trace_dir(tmp_path)) == 0
    with pytest.raises(FileNotFoundError):
        read_trace_dir(tmp_path / "absent.jsonl")
