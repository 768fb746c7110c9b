"""What a bridge takes from the bus in one round: all that is there, in no time."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.bridge.bridging import unique, within

from bellwire.bridge.mirror_out import rounds
from bellwire.bus.v1.subscriber_pb2 import ORDERING_PARTITION
from bellwire.client import EARLIEST, Batch, Client, Subscription
from bellwire.client._stream_subscription import StreamSubscription

pytestmark = pytest.mark.integration

MESSAGES = 300
TURNS_MAX = 20  # Of the loop; one for each batch would be seconds where the loop has other work.


async def first_round(subscription: Subscription, messages_max: int) -> list[Batch]:
    taking = rounds(subscription, messages_max, asyncio.Event())
    try:
        return await anext(taking)
    finally:
        await taking.aclose()  # type: ignore[attr-defined]  # An async generator, as all of them.


async def all_arrived(subscription: Subscription) -> None:
    assert isinstance(subscription, StreamSubscription)
    async with asyncio.timeout(10):
        while subscription._side.inbox._messages < MESSAGES:  # noqa: ASYNC110  # It has no event for so many; the deadline is above.
            await asyncio.sleep(0.005)


async def opened(client: Client) -> Subscription:
    """A subscription to messages that were published one by one."""
    topic = unique("signals")
    for number in range(MESSAGES):
        await client.publisher().publish(topic, b"%d" % number, key="EURUSD")
    return client.subscribe(
        topic,
        subscription=unique("bridge"),
        settle="manual",
        ordering=ORDERING_PARTITION,
        start=EARLIEST,
    )


async def test_thousands_of_batches_that_wait_are_one_round_and_no_turns_of_the_loop(
    client: Client,
) -> None:
    loop, turns = asyncio.get_running_loop(), 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    async with await opened(client) as subscription:
        await all_arrived(subscription)
        turn()
        found = await within(first_round(subscription, 10_000))
        taken = turns
    assert [message.data for batch in found for message in batch.messages] == [
        b"%d" % number for number in range(MESSAGES)
    ]
    assert len(found) > TURNS_MAX, "it came in batches too few to tell"
    assert taken <= TURNS_MAX


async def test_a_round_ends_with_the_batch_that_fills_it(client: Client) -> None:
    async with await opened(client) as subscription:
        await all_arrived(subscription)
        found = await within(first_round(subscription, 100))
    count = sum(map(len, found))
    assert count >= 100
    assert count - len(found[-1]) < 100
