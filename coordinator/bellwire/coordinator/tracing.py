"""The coordinator's own spans: `route {topic}`, from admission to the subscriber's stream."""

from __future__ import annotations

from bellwire.coordinator.core.flight import Handout
from bellwire.telemetry import names, record_span


def record_routes(handout: Handout, end_ns: int) -> None:
    """Make one span per sampled message of a handout that goes out for the first time.

    The parent is the message's creation context, which the coordinator never changes.
    """
    if handout.attempt or handout.first:
        return
    partition = handout.cursor.partition
    attributes = {
        names.SYSTEM: names.SYSTEM_BELLWIRE,
        names.OPERATION_NAME: "route",
        names.DESTINATION_NAME: partition.topic.name,
        names.DESTINATION_PARTITION_ID: str(partition.index),
        names.CONSUMER_GROUP_NAME: handout.cursor.subscription.label,
    }
    for traceparent in handout.entry.sampled:
        record_span(
            "coordinator",
            f"route {partition.topic.name}",
            traceparent,
            handout.entry.admitted_ns,
            end_ns,
            attributes=attributes,
        )
