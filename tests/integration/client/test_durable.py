"""The client on durable topics: the level it is told, and a coordinator that dies and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_PERSISTED
from bellwire.client import ClientSettings, Message, ProducerFencedError, connect, new_message
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

pytestmark = pytest.mark.integration

QUICK = ClientSettings(reconnect_first_seconds=0.001, reconnect_max_seconds=0.01)
DEADLINE_SECONDS = 30.0


def numbered(n: int) -> Message:
    return new_message(data=str(n).encode())


@pytest.fixture
def settings(tmp_path: Path) -> CoordinatorSettings:
    return CoordinatorSettings(
        listen=(f"unix://{tmp_path}/bus.sock",), data=str(tmp_path / "data"), default_log="sqlite"
    )


async def test_a_durable_topic_persists_unless_asked_otherwise_and_the_server_tells_of_its_store(
    settings: CoordinatorSettings,
) -> None:
    async with Coordinator(settings), connect(settings.listen[0], QUICK) as client:
        result = await client.publisher().publish("orders", b"1")
        assert result.ack_level == ACK_LEVEL_PERSISTED
        info = await client.admin.server_info()
        assert (info.store.path, info.store.read_only) == (settings.data, False)
        assert info.store.commits >= 1


async def test_what_was_acknowledged_is_there_after_a_restart_once_and_in_order(
    settings: CoordinatorSettings,
) -> None:
    first = Coordinator(settings)
    await first.start()
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        connect(settings.listen[0], QUICK) as client,
        client.subscribe("orders", subscription="risk", settle="manual") as subscription,
    ):
        publisher = client.publisher()
        futures = [
            await publisher.enqueue("orders", numbered(n), timeout=DEADLINE_SECONDS)
            for n in range(300)
        ]
        await futures[0]
        await first.close()  # In the middle of the others.
        futures += [await publisher.enqueue("orders", numbered(n)) for n in range(300, 400)]
        async with Coordinator(settings):
            assert [(await future).offset for future in futures] == list(range(400))
            seen: dict[int, None] = {}
            async for received in subscription:
                assert int(received.data) == received.offset
                seen[received.offset] = None
                await subscription.accept(received)
                if len(seen) == 400:
                    break
            assert list(seen) == list(range(400))


async def test_a_named_producer_is_fenced_also_by_one_that_came_after_a_restart(
    settings: CoordinatorSettings,
) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        first = Coordinator(settings)
        await first.start()
        async with connect(settings.listen[0], QUICK) as old:
            before = old.publisher(producer_name="execution/paper-0")
            await before.publish("orders", b"0")
            await first.close()
            async with Coordinator(settings), connect(settings.listen[0], QUICK) as new:
                after = new.publisher(producer_name="execution/paper-0")
                assert (await after.publish("orders", b"1")).offset == 1
                with pytest.raises(ProducerFencedError):
                    await before.publish("orders", b"2")
                assert (await after.publish("orders", b"3")).offset == 2
