"""Messages of calls that run side by side keep the order of the calls."""

from __future__ import annotations

import asyncio

import pytest

from bellwire.client import ClientSettings, connect
from bellwire.client.settings import PublishSettings
from bellwire.testing import running_coordinator

CALLS = 200
PAYLOADS = 20


@pytest.mark.parametrize("buffer_messages", [20_000, 100], ids=["roomy", "full"])
@pytest.mark.parametrize("known", [True, False], ids=["route known", "route unknown"])
async def test_calls_side_by_side_do_not_overtake_each_other(
    known: bool, buffer_messages: int
) -> None:
    settings = ClientSettings(publish=PublishSettings(buffer_messages_max=buffer_messages))
    async with (
        asyncio.timeout(30),
        running_coordinator() as running,
        connect(running.unix, settings) as client,
        client.subscribe("bars") as subscription,
    ):
        publisher = client.publisher()
        if known:
            await publisher.publish("bars", b"first")
            await anext(aiter(subscription))
        calls = []
        for call in range(CALLS):
            payloads = [b"%d" % (call * PAYLOADS + n) for n in range(PAYLOADS)]
            calls.append(asyncio.create_task(publisher.publish_payloads("bars", payloads)))
            await asyncio.sleep(0)  # Each begins before the next.
        found: list[int] = []
        async for received in subscription:
            found.append(int(received.data))
            if len(found) == CALLS * PAYLOADS:
                break
        await asyncio.gather(*calls)
        assert found == list(range(CALLS * PAYLOADS))


async def test_a_large_call_holds_up_only_its_own_topic() -> None:
    settings = ClientSettings(publish=PublishSettings(buffer_messages_max=100))
    async with (
        asyncio.timeout(30),
        running_coordinator() as running,
        connect(running.unix, settings) as client,
    ):
        publisher = client.publisher()
        await publisher.publish("orders", b"first")
        large = asyncio.create_task(publisher.publish_payloads("ticks", [b"x"] * 20_000))
        await asyncio.sleep(0)
        await publisher.publish("orders", b"second")
        assert not large.done()
        await large
