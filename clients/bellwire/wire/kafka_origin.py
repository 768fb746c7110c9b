"""Where a record or a message came from when it crossed between the bus and Kafka.

| crossing | what says so |
|---|---|
| bus → Kafka | headers `bellwire_bus`, `bellwire_topic`, `bellwire_partition`, `bellwire_offset` of the record |
| Kafka → bus | attributes `kafka_cluster`, `kafka_topic`, `kafka_partition`, `kafka_offset` of the message |

`bellwire_bus` names the bus where a message was published first and stays with it over any number of bridges, so
that none of them brings it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from bellwire.wire.cloud_events import Header

__all__ = ["BUS", "OURS", "BusOrigin", "KafkaOrigin", "bus_of", "bus_origin"]

BUS: Final = "bellwire_bus"
TOPIC: Final = "bellwire_topic"
PARTITION: Final = "bellwire_partition"
OFFSET: Final = "bellwire_offset"
BATCH: Final = "bellwire_batch"  # Written by the log of a durable topic.
OURS: Final = frozenset({BUS, TOPIC, PARTITION, OFFSET, BATCH})
"""Headers that are about the way and not of the message."""

KAFKA_CLUSTER: Final = "kafka_cluster"
KAFKA_TOPIC: Final = "kafka_topic"
KAFKA_PARTITION: Final = "kafka_partition"
KAFKA_OFFSET: Final = "kafka_offset"


class BusOrigin(NamedTuple):
    """Where a record stood on the bus; `bus` is where it was published first."""

    bus: str
    topic: str
    partition: int
    offset: int

    def headers(self) -> list[Header]:
        """Return the headers that say so."""
        return [
            (BUS, self.bus.encode()),
            (TOPIC, self.topic.encode()),
            (PARTITION, str(self.partition).encode()),
            (OFFSET, str(self.offset).encode()),
        ]


class KafkaOrigin(NamedTuple):
    """Where a message stood in Kafka."""

    cluster: str
    topic: str
    partition: int
    offset: int

    def attributes(self) -> dict[str, str]:
        """Return the attributes that say so."""
        return {
            KAFKA_CLUSTER: self.cluster,
            KAFKA_TOPIC: self.topic,
            KAFKA_PARTITION: str(self.partition),
            KAFKA_OFFSET: str(self.offset),
        }


def bus_origin(headers: Iterable[tuple[str, bytes | None]]) -> BusOrigin | None:
    """Return where a bridge took the record from; None = no bridge wrote it."""
    found = dict(headers)
    bus, topic = _text(found, BUS), _text(found, TOPIC)
    partition, offset = _text(found, PARTITION), _text(found, OFFSET)
    if not (bus and topic and partition.isdecimal() and offset.isdecimal()):
        return None
    return BusOrigin(bus, topic, int(partition), int(offset))


def bus_of(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """Return the bus on which the record was published first; empty = on none."""
    return _text(dict(headers), BUS)


def _text(headers: Mapping[str, bytes | None], name: str) -> str:
    return (headers.get(name) or b"").decode(errors="replace")
