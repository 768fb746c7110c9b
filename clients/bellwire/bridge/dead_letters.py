"""Records that the bus cannot take, kept in Kafka beside their topic: as they were, with the reason."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from bellwire.bridge.connection import Connection
from bellwire.bridge.errors import KafkaTopicError
from bellwire.bridge.intake import Bad, Place
from bellwire.bridge.outgoing import Record
from bellwire.bridge.sender import Sender
from bellwire.bridge.topics import Topics
from bellwire.wire.cloud_events import Header

__all__ = ["DeadLetters", "letter_of", "notice_of"]

PREFIX: Final = "bellwire_dlq_"
REASON_BYTES_MAX: Final = 1_024
NANOS_PER_MILLI: Final = 1_000_000


class DeadLetters:
    """Writes into `<topic>.dlq`."""

    def __init__(self, connection: Connection, sender: Sender, topics: Topics) -> None:
        self._connection = connection
        self._sender = sender
        self._topics = topics

    async def write(self, place: Place, bad: Sequence[Bad]) -> None:
        """Write letters and return when Kafka has acknowledged them.

        Of a record too large for a letter only its place is kept: the record stays where it is.

        Raises:
            KafkaTopicError: They cannot be written: the bridge must not go past them.
        """
        name, count = await self._topics.dead_letters_of(place.topic)
        now_ms = time.time_ns() // NANOS_PER_MILLI
        partition = place.partition % count
        records = [letter_of(one, place, now_ms) for one in bad]
        large = [bad[index] for index, _ in await self._sender.send(name, partition, records)]
        records = [notice_of(one, place, now_ms) for one in large]
        for index, reason in await self._sender.send(name, partition, records):
            raise KafkaTopicError(
                f"record {large[index].record.offset} of {place.topic}/{place.partition} can be put neither on "
                f"the bus ({large[index].reason}) nor into {name!r} ({reason})",
                metadata={"topic": place.topic, "offset": str(large[index].record.offset)},
            )
        self._connection.counters.dead_lettered += len(bad)
        for one in bad:
            self._connection.report(
                "dead_lettered",
                topic=place.topic,
                partition=place.partition,
                offset=one.record.offset,
                into=name,
                reason=one.reason,
            )


def letter_of(bad: Bad, place: Place, now_ms: int) -> Record:
    """Return the record that keeps a bad one: its key, value and headers, and ours behind them."""
    record = bad.record
    headers = [(name, text or b"") for name, text in record.headers]
    return Record(now_ms, record.key, record.value or b"", headers + _ours(bad, place))


def notice_of(bad: Bad, place: Place, now_ms: int) -> Record:
    """Return what is kept of a record too large for a letter: where it stands, and how large it is."""
    size = len(bad.record.value or b"")
    headers = [*_ours(bad, place), (f"{PREFIX}value_bytes", str(size).encode())]
    return Record(now_ms, None, b"", headers)


def _ours(bad: Bad, place: Place) -> list[Header]:
    facts = {
        "reason": bad.reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore"),
        "topic": place.topic,
        "partition": str(place.partition),
        "offset": str(bad.record.offset),
    }
    return [(PREFIX + name, text.encode()) for name, text in facts.items()]
