"""Spans of messages: named by the messaging conventions, made only when someone will see them.

Everything here is told a message's traceparent and looks at its sampled bit before it calls the
OpenTelemetry API, so that an unsampled message costs one comparison. A message without a
traceparent belongs to no trace, and neither does what it causes.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from bellwire.bus.v1.message_pb2 import Message
from bellwire.telemetry import names
from bellwire.telemetry.provider import (
    AttributeValue,
    begins_trace,
    context_under,
    span_maker,
)
from bellwire.wire.trace_context import format_traceparent, is_sampled, parse_traceparent

STATUS_CHARACTERS_MAX: Final = 1024  # of an error's text in a span
_EMPTY: Final = Context()
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_UNSAMPLED: Final = TraceFlags(TraceFlags.DEFAULT)
_COMPONENT: Final = "client"


def span_context(traceparent: str, tracestate: str = "") -> SpanContext | None:
    """Return the remote span context a traceparent names; None when it is not valid."""
    parsed = parse_traceparent(traceparent)
    if parsed is None:
        return None
    return SpanContext(
        trace_id=int(parsed.trace_id, 16),
        span_id=int(parsed.span_id, 16),
        is_remote=True,
        trace_flags=_SAMPLED if parsed.sampled else _UNSAMPLED,
        trace_state=TraceState.from_header([tracestate]) if tracestate else None,
    )


def context_of(message: Message) -> Context:
    """Return the context in which a child of the message's creation span is made."""
    remote = span_context(message.traceparent, message.tracestate)
    return _EMPTY if remote is None else context_under(remote)


def inject(span: Span) -> tuple[str, str]:
    """Return (traceparent, tracestate) for a message created under the span."""
    context = span.get_span_context()
    traceparent = format_traceparent(
        context.trace_id, context.span_id, sampled=context.trace_flags.sampled
    )
    return traceparent, context.trace_state.to_header() if context.trace_state else ""


def publish_span(
    topic: str,
    *,
    parent: str | None = None,
    tracestate: str = "",
    message_id: str = "",
    conversation_id: str = "",
    client_id: str = "",
    links: Sequence[str] = (),
) -> Span | None:
    """Start the `send {topic}` span whose context becomes the message's; None = not sampled.

    The caller ends it with `end_span` when the publication is acknowledged.

    Args:
        topic: Where to.
        parent: Traceparent of what caused the message; empty or unsampled = no span. None =
            nothing caused it: the configured share of such messages begins a trace.
        tracestate: Goes with the parent.
        message_id: Of the message to be sent.
        conversation_id: Its correlation id.
        client_id: Who sends.
        links: Traceparents of other spans that led here.
    """
    if not (begins_trace() if parent is None else is_sampled(parent)):
        return None
    maker = span_maker()
    if maker is None:
        return None
    attributes = _attributes(names.SEND, "send", topic, message_id, conversation_id)
    if client_id:
        attributes[names.CLIENT_ID] = client_id
    span = maker.start(
        _COMPONENT,
        f"{names.SEND} {topic}",
        span_context(parent, tracestate) if parent else None,
        SpanKind.PRODUCER,
        attributes,
        links_to(links),
    )
    return span if span.is_recording() else None


def process_span(
    topic: str,
    message: Message,
    *,
    partition: int = 0,
    offset: int = -1,
    consumer_group: str = "",
    client_id: str = "",
) -> Span | None:
    """Start the `process {topic}` span under the message's creation context; None = not sampled.

    The caller ends it with `end_span`.
    """
    traceparent = message.traceparent
    maker = span_maker() if is_sampled(traceparent) else None
    if maker is None:
        return None
    span = maker.start(
        _COMPONENT,
        f"{names.PROCESS} {topic}",
        span_context(traceparent, message.tracestate),
        SpanKind.CONSUMER,
        process_attributes(topic, message, partition, offset, consumer_group, client_id),
    )
    return span if span.is_recording() else None


def process_attributes(
    topic: str,
    message: Message,
    partition: int,
    offset: int = -1,
    consumer_group: str = "",
    client_id: str = "",
) -> dict[str, AttributeValue]:
    """Return the attributes of a `process {topic}` span."""
    attributes = _attributes(names.PROCESS, "process", topic, message.id, message.correlation_id)
    attributes[names.DESTINATION_PARTITION_ID] = str(partition)
    attributes[names.MESSAGE_TYPE] = message.type
    if offset >= 0:
        attributes[names.OFFSET] = offset
    if consumer_group:
        attributes[names.CONSUMER_GROUP_NAME] = consumer_group
    if client_id:
        attributes[names.CLIENT_ID] = client_id
    return attributes


def call_span(
    capability: str,
    traceparent: str,
    tracestate: str = "",
    call_id: str = "",
    *,
    is_tool: bool = True,
) -> Span | None:
    """Start the span of a call under the caller's context; None = not sampled.

    That of a tool, `tools/call {capability}`, has the name and attributes of the conventions for
    MCP; any other is `infer {capability}`. The caller ends it with `end_span`.
    """
    maker = span_maker() if is_sampled(traceparent) else None
    if maker is None:
        return None
    attributes: dict[str, AttributeValue] = {names.CALL_ID: call_id}
    if is_tool:
        attributes[names.MCP_METHOD_NAME] = names.MCP_TOOLS_CALL
        attributes[names.GEN_AI_OPERATION_NAME] = names.EXECUTE_TOOL
        attributes[names.GEN_AI_TOOL_NAME] = capability
    span = maker.start(
        _COMPONENT,
        f"{names.MCP_TOOLS_CALL if is_tool else names.INFER} {capability}",
        span_context(traceparent, tracestate),
        SpanKind.SERVER,
        attributes,
    )
    return span if span.is_recording() else None


def end_span(
    span: Span | None, error: BaseException | None = None, *, error_type: str = ""
) -> None:
    """End a span that may not exist, with its error if there was one.

    Args:
        span: None does nothing.
        error: What was raised.
        error_type: A failure without an exception; overrides the exception's class name.
    """
    if span is None:
        return
    if error is not None or error_type:
        span.set_attribute(names.ERROR_TYPE, error_type or type(error).__qualname__)
        text = str(error) if error is not None else error_type
        span.set_status(Status(StatusCode.ERROR, text[:STATUS_CHARACTERS_MAX]))
    span.end()


def record_span(
    component: str,
    name: str,
    parent_traceparent: str,
    start_ns: int,
    end_ns: int,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
    *,
    links: Sequence[str] = (),
    error: str = "",
    force: bool = False,
) -> Span | None:
    """Make a span of something already over; None when its parent is not sampled.

    Args:
        component: Who speaks, for example "coordinator".
        name: Operation first: "route signals.tactical".
        parent_traceparent: The message's creation context.
        start_ns: Nanoseconds since the Unix epoch.
        end_ns: Nanoseconds since the Unix epoch.
        kind: Of the span.
        attributes: See `names`.
        links: Traceparents of other spans that led here.
        error: What failed; empty = nothing did.
        force: For slow and failed messages: make it although the parent is unsampled or absent.
    """
    maker = span_maker() if force or is_sampled(parent_traceparent) else None
    if maker is None:
        return None
    parent = span_context(parent_traceparent)
    if force and parent is not None:  # A sampler that asks the parent must hear yes.
        parent = SpanContext(parent.trace_id, parent.span_id, True, _SAMPLED, parent.trace_state)
    span = maker.start(
        component,
        name,
        parent,
        kind,
        dict(attributes or {}),
        links_to(links),
        start_ns,
    )
    if error:
        span.set_status(Status(StatusCode.ERROR, error[:STATUS_CHARACTERS_MAX]))
    span.end(end_ns)
    return span


def links_to(traceparents: Sequence[str]) -> list[Link]:
    """Return links to those of the contexts that are sampled: nobody can follow the others."""
    contexts = (span_context(text) for text in traceparents if is_sampled(text))
    return [Link(context) for context in contexts if context is not None]


def _attributes(
    operation: str, operation_type: str, topic: str, message_id: str, conversation_id: str
) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        names.SYSTEM: names.SYSTEM_BELLWIRE,
        names.OPERATION_NAME: operation,
        names.OPERATION_TYPE: operation_type,
        names.DESTINATION_NAME: topic,
    }
    if message_id:
        attributes[names.MESSAGE_ID] = message_id
    if conversation_id:
        attributes[names.CONVERSATION_ID] = conversation_id
    return attributes
