"""Deliveries of the bus as records for Kafka, partition by partition. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.received import Batch
from bellwire.wire.cloud_events import Header, headers_of, key_of
from bellwire.wire.kafka_origin import BUS, KAFKA_CLUSTER, BusOrigin
from bellwire.wire.partitioner import partition_for_key

__all__ = ["Outgoing", "Record", "partition_of", "spread"]

NANOS_PER_MILLI: Final = 1_000_000
RECORD_BYTES_AROUND: Final = 64  # Of a batch of one, its lengths and its times.
HEADER_BYTES_AROUND: Final = 6  # Two lengths as varints.


class Record(NamedTuple):
    """One record; the time is when the coordinator admitted the message, in ms since the Unix epoch.

    Not the event time, which is in header `ce_time`: a topic that keeps a week would drop history at once.
    """

    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: list[Header]

    @property
    def size_bytes(self) -> int:
        """At most what it takes in a batch of its own, before compression."""
        texts = sum(len(name) + len(text) + HEADER_BYTES_AROUND for name, text in self.headers)
        return RECORD_BYTES_AROUND + len(self.key or b"") + len(self.value) + texts


class Outgoing(NamedTuple):
    """A record, and the delivery it settles."""

    record: Record
    batch: Batch
    at: int  # Index in the batch.


def partition_of(key: str, bus_partition: int, partition_count: int) -> int:
    """Return the partition in Kafka.

    By key as Kafka's own clients choose it; without a key the bus partition's, so that what stood there in
    order still does.
    """
    if key:
        return partition_for_key(key, partition_count)
    return bus_partition % partition_count


def spread(
    batches: Iterable[Batch], *, bus: str, cluster: str, partition_count: int
) -> tuple[dict[int, list[Outgoing]], int]:
    """Return what goes into each partition of one Kafka topic, in order, and how much came from there."""
    found: dict[int, list[Outgoing]] = {}
    skipped = 0
    for batch in batches:
        timestamp_ms = batch.admitted_time_unix_nano // NANOS_PER_MILLI
        for index, message in enumerate(batch.messages):
            if message.attributes and message.attributes.get(KAFKA_CLUSTER) == cluster:
                skipped += 1
                continue
            origin = BusOrigin(
                message.attributes.get(BUS, bus),
                batch.topic,
                batch.partition,
                batch.offset_of(index),
            )
            partition = partition_of(message.key, batch.partition, partition_count)
            record = _record(message, origin, timestamp_ms)
            found.setdefault(partition, []).append(Outgoing(record, batch, index))
    return found, skipped


def _record(message: Message, origin: BusOrigin, timestamp_ms: int) -> Record:
    headers = [header for header in headers_of(message) if header[0] != BUS]
    return Record(timestamp_ms, key_of(message), message.data, headers + origin.headers())
