"""The coordinator's own spans: `route {topic}`, from admission to the subscriber's stream."""

from __future__ import annotations

from bellwire.coordinator.core.flight import Routed
from bellwire.telemetry import names, record_span


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
