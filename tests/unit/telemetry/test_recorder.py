"""A recorded span does what the API of OpenTelemetry promises."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from bellwire.telemetry.recorder import ATTRIBUTES_MAX, EVENTS_MAX, Recorder

PARENT = SpanContext(7, 8, True, TraceFlags(1), TraceState([("vendor", "1")]))


@pytest.fixture
def ended() -> list[ReadableSpan]:
    return []


@pytest.fixture
def span(ended: list[ReadableSpan]) -> Iterator[Span]:
    recorder = Recorder(Resource({"service.name": "s"}), ended.append)
    made = recorder.start("test", "work", PARENT, SpanKind.CONSUMER, {"a": 1})
    yield made
    made.end()


def finished(span: Span, ended: list[ReadableSpan]) -> ReadableSpan:
    span.end()
    (read,) = ended
    return read


def test_child_keeps_trace_and_state_of_its_parent(span: Span) -> None:
    context = span.get_span_context()
    assert (context.trace_id, context.trace_state) == (PARENT.trace_id, PARENT.trace_state)
    assert context.span_id not in (0, PARENT.span_id)
    assert context.trace_flags.sampled
    assert not context.is_remote


def test_roots_differ(ended: list[ReadableSpan]) -> None:
    recorder = Recorder(Resource({}), ended.append)
    roots = [recorder.start("t", "n", None, SpanKind.INTERNAL, {}) for _ in range(100)]
    assert len({root.get_span_context().trace_id for root in roots}) == 100
    assert len({root.get_span_context().span_id for root in roots}) == 100


def test_what_is_set_is_read(span: Span, ended: list[ReadableSpan]) -> None:
    span.update_name("other work")
    span.set_attributes({"a": 2, "list": [1.5, 2.5]})
    span.set_status(StatusCode.ERROR, "why")
    span.set_status(StatusCode.UNSET)
    span.add_link(PARENT, {"l": "x"})
    span.add_event("tick", {"n": 1}, 99)
    read = finished(span, ended)
    assert (read.name, read.kind, read.parent) == ("other work", SpanKind.CONSUMER, PARENT)
    assert dict(read.attributes or {}) == {"a": 2, "list": [1.5, 2.5]}
    assert (read.status.status_code, read.status.description) == (StatusCode.ERROR, "why")
    assert [link.context for link in read.links] == [PARENT]
    assert [(event.name, event.timestamp) for event in read.events] == [("tick", 99)]
    assert read.end_time is not None
    assert read.start_time is not None
    assert read.end_time >= read.start_time


def test_status_ok_is_final(span: Span, ended: list[ReadableSpan]) -> None:
    span.set_status(StatusCode.OK)
    span.set_status(StatusCode.ERROR, "too late")
    assert finished(span, ended).status.is_ok


def test_nothing_changes_after_the_end(span: Span, ended: list[ReadableSpan]) -> None:
    span.end(123)
    span.end(456)
    span.set_attribute("late", 1)
    span.add_event("late")
    span.update_name("late")
    span.add_link(PARENT)
    span.set_status(StatusCode.ERROR)
    assert not span.is_recording()
    (read,) = ended
    assert (read.end_time, read.name, len(read.events), len(read.links)) == (123, "work", 0, 0)
    assert "late" not in (read.attributes or {})
    assert read.status.is_unset


def test_attributes_and_events_are_bounded(span: Span, ended: list[ReadableSpan]) -> None:
    for number in range(ATTRIBUTES_MAX + 5):
        span.set_attribute(f"key{number}", number)
    span.set_attribute("a", "known keys may change")
    for number in range(EVENTS_MAX + 3):
        span.add_event(f"event{number}")
    read = finished(span, ended)
    attributes = read.attributes or {}
    assert len(attributes) == ATTRIBUTES_MAX
    assert attributes["a"] == "known keys may change"
    assert read.dropped_attributes == 6
    assert (len(read.events), read.dropped_events) == (EVENTS_MAX, 3)


def test_value_no_exporter_can_write_is_refused_with_a_warning(
    span: Span, caplog: pytest.LogCaptureFixture
) -> None:
    span.set_attribute("odd", object())  # type: ignore[arg-type]
    assert "attribute 'odd' of span 'work' has type <class 'object'>" in caplog.text


def test_exception_that_leaves_the_span_is_described(ended: list[ReadableSpan]) -> None:
    recorder = Recorder(Resource({}), ended.append)
    made = recorder.start("t", "n", None, SpanKind.INTERNAL, {})
    with pytest.raises(ValueError, match="no such"), trace.use_span(made, end_on_exit=True):
        raise ValueError("no such symbol")
    (read,) = ended
    (event,) = read.events
    described = event.attributes or {}
    assert (event.name, described["exception.type"]) == ("exception", "ValueError")
    assert described["exception.message"] == "no such symbol"
    assert "raise ValueError" in str(described["exception.stacktrace"])
    assert read.status.description == "ValueError: no such symbol"
