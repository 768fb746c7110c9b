"""Spans of messages: when they are made, how they are named, what they say."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, Span, SpanKind

from bellwire.bus.v1.message_pb2 import Message
from bellwire.telemetry import (
    context_of,
    end_span,
    inject,
    names,
    process_span,
    provider,
    publish_span,
    record_span,
)
from bellwire.telemetry.provider import TracerMaker
from bellwire.telemetry.recorder import Recorder
from bellwire.wire.trace_context import parse_traceparent

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = SAMPLED[:-1] + "0"
TRACE_ID = SAMPLED[3:35]


class RefusingMaker:
    """Fails the test when anybody asks for a span."""

    def start(self, *_: object, **__: object) -> Span:
        raise AssertionError("a span was made")


@pytest.fixture(params=["recorder", "provider of the user"])
def spans(request: pytest.FixtureRequest) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    processor = SimpleSpanProcessor(exporter)
    made = TracerProvider()
    made.add_span_processor(processor)
    if request.param == "recorder":
        provider.install(Recorder(Resource.create({}), processor.on_end), 1.0)
    else:
        provider.install(TracerMaker(made), 1.0)
    yield exporter
    provider.install(None, 0.0)
    made.shutdown()


@pytest.fixture
def refusing() -> Iterator[None]:
    provider.install(RefusingMaker(), 0.0)
    yield
    provider.install(None, 0.0)


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def message(traceparent: str = SAMPLED) -> Message:
    return Message(id="m-1", type="t.T", correlation_id="c-1", traceparent=traceparent)


def test_process_span_is_a_consumer_child_of_the_creation_context(
    spans: InMemorySpanExporter,
) -> None:
    end_span(
        process_span(
            "bars.1h", message(), partition=3, offset=41, consumer_group="rules", client_id="r-0"
        )
    )
    span = only(spans)
    assert span.name == "process bars.1h"
    assert span.kind is SpanKind.CONSUMER
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" == SAMPLED[3:52]
    assert dict(span.attributes or {}) == {
        names.SYSTEM: "bellwire",
        names.OPERATION_NAME: "process",
        names.OPERATION_TYPE: "process",
        names.DESTINATION_NAME: "bars.1h",
        names.DESTINATION_PARTITION_ID: "3",
        names.MESSAGE_ID: "m-1",
        names.CONVERSATION_ID: "c-1",
        names.MESSAGE_TYPE: "t.T",
        names.OFFSET: 41,
        names.CONSUMER_GROUP_NAME: "rules",
        names.CLIENT_ID: "r-0",
    }


def test_publish_span_is_a_producer_whose_context_goes_into_the_message(
    spans: InMemorySpanExporter,
) -> None:
    span = publish_span(
        "orders.paper",
        parent=SAMPLED,
        message_id="m-2",
        conversation_id="c-1",
        links=[SAMPLED, UNSAMPLED, "not a traceparent"],
    )
    assert span is not None
    traceparent, tracestate = inject(span)
    end_span(span)
    written = only(spans)
    parsed = parse_traceparent(traceparent)
    assert parsed is not None
    assert parsed.sampled
    assert parsed.trace_id == TRACE_ID
    assert written.context is not None
    assert int(parsed.span_id, 16) == written.context.span_id
    assert tracestate == ""
    assert (written.name, written.kind) == ("send orders.paper", SpanKind.PRODUCER)
    assert [f"{link.context.trace_id:032x}" for link in written.links] == [TRACE_ID]


def test_tracestate_of_the_cause_reaches_the_message(spans: InMemorySpanExporter) -> None:
    span = publish_span("t", parent=SAMPLED, tracestate="vendor=1")
    assert span is not None
    assert inject(span)[1] == "vendor=1"
    end_span(span)


def test_message_that_nothing_caused_begins_a_trace(
    spans: InMemorySpanExporter,
) -> None:
    end_span(publish_span("bars.1h"))
    assert only(spans).parent is None


def test_no_trace_is_begun_at_ratio_zero(refusing: None) -> None:
    assert publish_span("bars.1h") is None


@pytest.mark.parametrize("traceparent", ["", UNSAMPLED, "nonsense"])
def test_unsampled_message_makes_no_span(refusing: None, traceparent: str) -> None:
    assert publish_span("t", parent=traceparent) is None
    assert process_span("t", message(traceparent)) is None


def test_unsampled_message_costs_no_span_after_the_fact(spans: InMemorySpanExporter) -> None:
    assert record_span("client", "route t", UNSAMPLED, 1, 2) is None
    assert spans.get_finished_spans() == ()


def test_without_an_sdk_a_sampled_message_makes_no_span() -> None:
    for installed in (None, TracerMaker(NoOpTracerProvider())):
        provider.install(installed, 1.0)
        try:
            assert process_span("t", message()) is None
            assert publish_span("t", parent=SAMPLED) is None
            assert publish_span("t") is None
        finally:
            provider.install(None, 0.0)


def test_sampler_of_the_user_has_the_last_word() -> None:
    provider.install(TracerMaker(TracerProvider(sampler=ALWAYS_OFF)), 1.0)
    try:
        assert process_span("t", message()) is None
        assert publish_span("t") is None
    finally:
        provider.install(None, 0.0)


def test_span_after_the_fact_keeps_its_times_and_parent(spans: InMemorySpanExporter) -> None:
    attributes = {names.DESTINATION_NAME: "t"}
    record_span("coordinator", "route t", SAMPLED, 1_000, 5_000, SpanKind.INTERNAL, attributes)
    span = only(spans)
    assert (span.name, span.start_time, span.end_time) == ("route t", 1_000, 5_000)
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" == TRACE_ID
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "bellwire.coordinator"


def test_failed_message_gets_a_span_although_its_trace_is_not_sampled(
    spans: InMemorySpanExporter,
) -> None:
    for parent in (UNSAMPLED, ""):
        record_span("client", "process t", parent, 1, 2, error="boom", force=True)
    in_trace, rootless = spans.get_finished_spans()
    assert in_trace.context is not None
    assert f"{in_trace.context.trace_id:032x}" == TRACE_ID
    assert in_trace.status.description == "boom"
    assert not in_trace.status.is_ok
    assert rootless.parent is None


def test_error_names_its_class_and_text(spans: InMemorySpanExporter) -> None:
    end_span(process_span("t", message()), ValueError("no such symbol"))
    span = only(spans)
    assert span.attributes is not None
    assert span.attributes[names.ERROR_TYPE] == "ValueError"
    assert span.status.description == "no such symbol"


def test_child_made_in_the_context_of_a_message_joins_its_trace() -> None:
    own = TracerProvider().get_tracer("user")
    with own.start_as_current_span("own", context=context_of(message())) as span:
        assert f"{span.get_span_context().trace_id:032x}" == TRACE_ID


def test_span_of_the_user_inside_one_of_ours_is_its_child(spans: InMemorySpanExporter) -> None:
    ours = process_span("t", message())
    assert ours is not None
    with trace.use_span(ours):
        theirs = TracerProvider().get_tracer("user").start_span("own")
    assert isinstance(theirs, ReadableSpan)
    assert theirs.parent == ours.get_span_context()
    end_span(ours)
