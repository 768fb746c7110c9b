"""A log that was made anew shares its offsets with the old one, and nothing else."""

from __future__ import annotations

import asyncio

from bellwire.client import LATEST, connect
from bellwire.testing.server import running_coordinator


async def test_messages_of_a_topic_made_anew_are_not_taken_for_repeats():
    async with (
        asyncio.timeout(20),
        running_coordinator() as server,
        connect(server.unix) as client,
        client.subscribe("bars", start=LATEST) as subscription,
    ):
        publisher = client.publisher()
        old = [b"old %d" % n for n in range(10)]
        new = [b"new %d" % n for n in range(15)]
        received = aiter(subscription)
        await publisher.publish_payloads("bars", old)
        assert [(await anext(received)).data for _ in old] == old

        await client.admin.delete_topic("bars")
        await publisher.publish_payloads("bars", new)

        assert [(await anext(received)).data for _ in new] == new
        assert subscription.dropped_messages == 0
