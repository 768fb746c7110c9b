"""What aiokafka does not do as the store needs it: closed batches, errors of answers, an end that waits for nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import for_code

from bellwire.coordinator.log.kafka.entries import KafkaRecord

__all__ = ["batched", "dropped", "raise_error", "stopped"]

STOP_SECONDS: Final = 5.0


def batched(producer: AIOKafkaProducer, records: Iterable[KafkaRecord]) -> list[Any]:
    """Return records as the producer sends them: closed batches, in order."""
    made: list[Any] = []
    for timestamp, key, value, headers in records:
        content = {"timestamp": timestamp, "key": key, "value": value, "headers": headers}
        if not made or made[-1].append(**content) is None:
            made.append(producer.create_batch())  # Takes a first record of any size.
            made[-1].append(**content)
    for batch in made:
        batch.close()
    return made


async def dropped(producer: AIOKafkaProducer) -> None:
    """Stop a producer without sending what it holds: nobody waits for that any more.

    Its own `stop` sends it first, for which a broker that is away leaves it waiting for good, unless whoever
    sends has ended.
    """
    await stopped(producer._sender, close="close")
    await stopped(producer)


async def stopped(client: Any, close: str = "stop") -> None:
    """Stop a client that may be unable to: a broker that is away is no reason to wait."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(STOP_SECONDS):
            await getattr(client, close)()


def raise_error(response: Any) -> None:
    """Raise what a response to CreateTopics says of a topic."""
    for _, code, message, *_ in response.topic_errors:
        if code:
            raise for_code(code)(message)
