"""Messages get the context of who publishes them, when it is sampled, and never lose their own."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from bellwire.client._trace import current_context, traced
from bellwire.wire.message import new_message

TRACE_ID, SPAN_ID = 0xA1B2, 0xC3D4
SAMPLED = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"


@contextmanager
def span(*, sampled: bool) -> Iterator[None]:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    state = TraceState([("vendor", "1")])
    current = NonRecordingSpan(SpanContext(TRACE_ID, SPAN_ID, False, flags, state))
    token = context.attach(trace.set_span_in_context(current))
    try:
        yield
    finally:
        context.detach(token)


def test_without_a_span_messages_stay_the_objects_they_are() -> None:
    messages = [new_message(data=b"1")]
    assert current_context() == ("", "")
    assert traced(messages) is messages


def test_an_unsampled_span_leaves_messages_alone() -> None:
    messages = [new_message(data=b"1")]
    with span(sampled=False):
        assert traced(messages) is messages


def test_a_sampled_span_goes_into_messages_that_have_none_and_changes_no_original() -> None:
    own = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    original, with_own = new_message(data=b"1"), new_message(data=b"2", traceparent=own)
    with span(sampled=True):
        filled, kept = traced([original, with_own])
    assert (filled.traceparent, filled.tracestate) == (SAMPLED, "vendor=1")
    assert (filled.id, filled.data) == (original.id, b"1")
    assert original.traceparent == ""
    assert kept is with_own
