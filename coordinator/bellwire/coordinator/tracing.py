"""The coordinator's own spans: `route {topic}`, from admission to the subscriber's stream, and calls passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.trace import SpanKind

from bellwire.coordinator.core.flight import Routed
from bellwire.telemetry import names, record_span
from bellwire.telemetry.provider import AttributeValue, span_maker
from bellwire.telemetry.spans import end_span, span_context
from bellwire.transport.address import parse_address
from bellwire.wire.errors import BellwireError, StatusCode
from bellwire.wire.trace_context import is_sampled

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from bellwire.agent.v1.invocation_pb2 import InvokeRequest

INVOCATION_SERVICE: Final = "bellwire.agent.v1.InvocationService"
INVOKE: Final = "Invoke"


def forward_span(request: InvokeRequest, address: str) -> Span | None:
    """Start the span of a call that is passed on to the coordinator at an address; None = not sampled.

    What the other coordinator and the agent do is made under it. The caller ends it with `end_forward_span`.
    """
    maker = span_maker() if is_sampled(request.traceparent) else None
    if maker is None:
        return None
    place = parse_address(address)
    attributes: dict[str, AttributeValue] = {
        names.RPC_SYSTEM: names.RPC_GRPC,
        names.RPC_SERVICE: INVOCATION_SERVICE,
        names.RPC_METHOD: INVOKE,
        names.SERVER_ADDRESS: place.path or place.host,
        names.GEN_AI_TOOL_NAME: request.capability,
    }
    if place.port:
        attributes[names.SERVER_PORT] = place.port
    span = maker.start(
        "coordinator",
        f"{INVOCATION_SERVICE}/{INVOKE}",
        span_context(request.traceparent, request.tracestate),
        SpanKind.CLIENT,
        attributes,
    )
    return span if span.is_recording() else None


def end_forward_span(span: Span | None, error: BaseException | None) -> None:
    """End the span of a call that was passed on, with its error if there was one; None does nothing."""
    if span is None:
        return
    code = StatusCode.OK if error is None else StatusCode.CANCELLED
    if isinstance(error, BellwireError):
        code = error.code
    span.set_attribute(names.RPC_GRPC_STATUS_CODE, int(code))
    end_span(span, error)


def record_routes(routed: Routed, end_ns: int) -> None:
    """Make one span per sampled message of an entry that has reached a subscription.

    The parent is the message's creation context, which the coordinator never changes. What went directly has
    a span, too: it ends when the subscription's cursor has passed it.
    """
    partition, group, entry, direct = routed
    attributes = {
        names.SYSTEM: names.SYSTEM_BELLWIRE,
        names.OPERATION_NAME: "route",
        names.DESTINATION_NAME: partition.topic.name,
        names.DESTINATION_PARTITION_ID: str(partition.index),
        names.CONSUMER_GROUP_NAME: group,
    }
    if direct:
        attributes[names.LANE] = names.LANE_DIRECT
    for traceparent in entry.sampled:
        record_span(
            "coordinator",
            f"route {partition.topic.name}",
            traceparent,
            entry.admitted_ns,
            end_ns,
            attributes=attributes,
        )
