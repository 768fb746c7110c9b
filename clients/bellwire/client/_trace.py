"""Gives messages the trace context of who publishes them; never overwrites one a caller gave."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.trace import get_current_span

from bellwire.bus.v1.message_pb2 import Message
from bellwire.telemetry.spans import inject

NO_CONTEXT = ("", "")


def current_context() -> tuple[str, str]:
    """Return (traceparent, tracestate) of the caller's span; empty texts unless it is sampled."""
    span = get_current_span()
    context = span.get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return NO_CONTEXT
    return inject(span)


def traced(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages, those without a context as copies that carry the caller's."""
    traceparent, tracestate = current_context()
    if not traceparent:
        return messages
    return [
        message if message.traceparent else _with_context(message, traceparent, tracestate)
        for message in messages
    ]


def _with_context(original: Message, traceparent: str, tracestate: str) -> Message:
    message = Message()
    message.CopyFrom(original)  # Messages never change after creation; this one may be shared.
    message.traceparent = traceparent
    message.tracestate = tracestate
    return message
