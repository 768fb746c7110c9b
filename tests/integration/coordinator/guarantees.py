"""What the tests of the guarantees share: coordinators that come back, and the calls around a message's life."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.integration.coordinator.frames import (
    DEADLINE_SECONDS,
    TOPIC,
    Stubs,
    SubscribeStream,
    dial,
    within,
)

from bellwire.admin.v1 import dead_letter_pb2
from bellwire.admin.v1.topic_pb2 import LOG_KIND_MEMORY, LOG_KIND_SQLITE, SubscriptionStats
from bellwire.bus.v1 import subscriber_pb2
from bellwire.bus.v1.message_pb2 import Batch, Message, PositionRange
from bellwire.bus.v1.publisher_pb2 import PublishRequest
from bellwire.coordinator.log.records import Record
from bellwire.coordinator.log.sqlite.store import SqliteStore
from bellwire.testing.server import running_coordinator
from bellwire.wire.batch import encode_batch
from bellwire.wire.message import new_message

SECOND: Final = 1_000_000_000
BOTH_LOGS: Final = (LOG_KIND_MEMORY, LOG_KIND_SQLITE)
LOG_NAMES: Final = ("memory", "durable")
REJECT: Final = subscriber_pb2.DISPOSITION_REJECT
RELEASE: Final = subscriber_pb2.DISPOSITION_RELEASE


@asynccontextmanager
async def served(data: Path | str = "", **settings: Any) -> AsyncIterator[Stubs]:
    """A connection to a coordinator of these settings; its store, if any, is closed in good order after it."""
    async with (
        running_coordinator(data=str(data), **settings) as server,
        dial(server.unix) as bus,
    ):
        yield bus


async def publish_each(
    bus: Stubs, *data: bytes, topic: str = TOPIC, **fields: Any
) -> list[Message]:
    """Publish messages in batches of their own; return them as they were sent."""
    made = [new_message(data=item, **fields) for item in data]
    for message in made:
        await publish_batch(bus, encode_batch(topic, 0, [message]))
    return made


async def publish_at(bus: Stubs, *times: int, topic: str = TOPIC, partition: int = 0) -> None:
    """Publish one batch per message time, each with its time as payload."""
    for time_ns in times:
        message = new_message(data=str(time_ns).encode(), time_unix_nano=time_ns)
        await publish_batch(bus, encode_batch(topic, partition, [message]))


async def publish_batch(bus: Stubs, batch: Batch, **fields: Any) -> PositionRange:
    """Publish one batch by a call of its own; return where it is."""
    answer = await within(bus.publisher.Publish(PublishRequest(batch=batch, **fields)))
    (place,) = answer.positions
    return place


async def letters(
    bus: Stubs, topic: str = TOPIC, **wanted: Any
) -> list[dead_letter_pb2.DeadLetter]:
    """All dead letters of a topic that fit the filter."""
    request = dead_letter_pb2.ListDeadLettersRequest(
        topic=topic, page_size=1_000, filter=dead_letter_pb2.DeadLetterFilter(**wanted)
    )
    return list((await within(bus.dead_letters.ListDeadLetters(request))).dead_letters)


async def acknowledge(
    bus: Stubs, lease_id: str, first: int, last: int, disposition: Any, **fields: Any
) -> None:
    """Settle tags of a Pull lease; none may be refused."""
    item = subscriber_pb2.Settlement(
        first_tag=first, last_tag=last, disposition=disposition, **fields
    )
    request = subscriber_pb2.AcknowledgeRequest(lease_id=lease_id, settlements=[item])
    assert not (await within(bus.subscriber.Acknowledge(request))).failures


async def reject(
    bus: Stubs, *data: bytes, subscription: str = "risk", reason: str = "no price", **fields: Any
) -> None:
    """Publish messages and have a subscription give each of them up."""
    topic = fields.get("topic", TOPIC)
    stream = await SubscribeStream(bus).open(subscription, topics=[topic])
    await publish_each(bus, *data, **fields)
    for _ in data:
        await stream.settle(await stream.delivery(), REJECT, reason=reason)
    await stream.finish()


async def subscription_stats(
    bus: Stubs, name: str = "risk", topic: str = TOPIC
) -> SubscriptionStats:
    """What a topic tells of one subscription."""
    (found,) = [s for s in (await bus.stats(topic)).subscriptions if s.subscription == name]
    return found


class Gate:
    """Holds a store's commits back until it is opened; what is written then is written for good."""

    def __init__(self, monkeypatch: Any) -> None:
        self._open = threading.Event()
        self._open.set()
        write = SqliteStore.write

        def held(store: SqliteStore, records: Sequence[Record]) -> None:
            if not self._open.wait(DEADLINE_SECONDS):
                raise TimeoutError("the gate stayed shut")
            write(store, records)

        monkeypatch.setattr(SqliteStore, "write", held)

    def shut(self) -> None:
        """Let no commit through."""
        self._open.clear()

    def open(self) -> None:
        """Let all commits through."""
        self._open.set()
