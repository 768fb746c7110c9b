"""What a coordinator still has to do, and what it has given up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from tests.crash.patience import OUTAGE_SECONDS

from bellwire.admin.v1.dead_letter_pb2 import DeadLetter, ListDeadLettersRequest
from bellwire.client import Client

if TYPE_CHECKING:
    from bellwire.admin.v1.dead_letter_pb2_grpc import DeadLetterServiceAsyncStub

PAGE_SIZE: Final = 1_000


async def left(client: Client, topic: str) -> AsyncIterator[str]:
    """Yield what the subscriptions of a topic have not finished, in words."""
    stats = await client.admin.topic_stats(topic, timeout=OUTAGE_SECONDS)
    for found in stats.subscriptions:
        counts = (found.backlog_messages, found.in_flight_messages, found.redelivery_messages)
        if any(counts):
            yield f"{topic}, {found.subscription or 'ephemeral'}: {counts}"


async def letters(stub: DeadLetterServiceAsyncStub, topic: str) -> AsyncIterator[DeadLetter]:
    """Yield the dead letters of a topic, page by page."""
    token = ""
    while True:
        request = ListDeadLettersRequest(topic=topic, page_size=PAGE_SIZE, page_token=token)
        page = await stub.ListDeadLetters(request)
        for letter in page.dead_letters:
            yield letter
        token = page.next_page_token
        if not token:
            return


async def evicted(client: Client, topic: str) -> int:
    """Return how many messages retention has taken from a topic."""
    stats = await client.admin.topic_stats(topic, timeout=OUTAGE_SECONDS)
    return sum(found.low_offset for found in stats.partitions)
