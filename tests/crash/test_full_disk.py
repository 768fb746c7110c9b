"""A disk that is full, and then not full any more: refused with the reason, nothing lost, no restart."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

import pytest
from tests.crash.patience import PATIENT

from bellwire.admin.v1.topic_pb2 import LogKind, Topic
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_PERSISTED, ACK_LEVEL_RECEIVED
from bellwire.client import EARLIEST, Client, ClientSettings, connect
from bellwire.client.settings import PublishSettings
from bellwire.wire.errors import StoreFullError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

VOLUME_MIB: Final = 48
FILLER_BYTES: Final = 24 << 20  # Removed when the disk is full.
PAYLOAD_BYTES: Final = 4_000
ROUND_MESSAGES: Final = 250  # 1 MB: several fit, so that not the first one fails.
AFTERWARDS_MESSAGES: Final = 100
# What a publisher with a deadline does: hear of it soon instead of trying on.
HASTY: Final = ClientSettings(publish=PublishSettings(tries_max=2))


class Ledger:
    """What was published to a topic, and acknowledged."""

    def __init__(self) -> None:
        self._random = random.Random(5)
        self.acknowledged: set[bytes] = set()

    def make(self, count: int) -> list[bytes]:
        """Make payloads that do not compress."""
        return [self._random.randbytes(PAYLOAD_BYTES) for _ in range(count)]

    async def publish(self, client: Client, topic: str, payloads: list[bytes]) -> None:
        """Publish at the highest level and note what was acknowledged."""
        publisher = client.publisher("crash/full-disk", ack_level=ACK_LEVEL_PERSISTED)
        await publisher.publish_payloads(topic, payloads, timeout=30)
        self.acknowledged.update(payloads)

    async def publish_until_full(self, client: Client, topic: str) -> StoreFullError:
        """Publish until the store has no room, and return the refusal."""
        for _ in range((VOLUME_MIB << 20) // (ROUND_MESSAGES * PAYLOAD_BYTES) + 1):
            try:
                await self.publish(client, topic, self.make(ROUND_MESSAGES))
            except StoreFullError as error:
                return error
        raise AssertionError("more fits than the disk is large")


async def create_topics(client: Client) -> None:
    for name, log in (("orders", LogKind.LOG_KIND_SQLITE), ("ticks", LogKind.LOG_KIND_MEMORY)):
        await client.admin.create_topic(Topic(name=name, partition_count=1, log=log))


async def everything(client: Client, topic: str, wanted: set[bytes]) -> set[bytes]:
    """Read from the start until all that is wanted was found."""
    found: set[bytes] = set()
    async with asyncio.timeout(30), client.subscribe(topic, start=EARLIEST) as opened:
        async for message in opened:
            found.add(message.data)
            if wanted <= found:
                break
    return found


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    filler.write_bytes(bytes(FILLER_BYTES))
    return filler


async def test_a_full_disk_is_said_and_nothing_acknowledged_is_lost(place, make_volume, capsys):
    volume = make_volume(VOLUME_MIB)
    filler = fill(volume.path)
    data = volume.path / "data"
    ledger = Ledger()
    async with place.serving(data=data) as (coordinator, _):
        async with connect(place.address, HASTY) as client:
            await create_topics(client)
            refusal = await ledger.publish_until_full(client, "orders")
            assert f"the disk of {data} is full" in refusal.message
            before = len(ledger.acknowledged)

            # Memory topics do not feel it.
            ticks = client.publisher("crash/ticks", ack_level=ACK_LEVEL_RECEIVED)
            result = await ticks.publish("ticks", b"tick")
            assert (result.topic, result.offset) == ("ticks", 0)

            filler.unlink()
            await ledger.publish(client, "orders", ledger.make(AFTERWARDS_MESSAGES))
            assert await everything(client, "orders", ledger.acknowledged) >= ledger.acknowledged
        await coordinator.killed()
    log = coordinator.log.read_text()
    assert log.count("is full") >= 1
    assert "the store takes commits again" in log

    async with place.serving(data=data) as (_, ready), connect(place.address, PATIENT) as client:
        assert ready.recovery["after_crash"]
        found = await everything(client, "orders", ledger.acknowledged)
        assert found >= ledger.acknowledged
    status, out, _ = await place.run("doctor", str(data))
    assert (status, out.splitlines()[-1]) == (0, "healthy")
    with capsys.disabled():
        print(
            f"\nfull disk: {before} messages acknowledged until it was full, {AFTERWARDS_MESSAGES} "
            "after space was freed, all there after kill -9"
        )


async def test_a_coordinator_is_not_started_on_a_full_disk_and_is_once_there_is_space(
    place, make_volume
):
    volume = make_volume(VOLUME_MIB)
    data = volume.path / "data"
    ledger = Ledger()
    async with place.serving(data=data), connect(place.address, PATIENT) as client:
        await create_topics(client)
        await ledger.publish(client, "orders", ledger.make(ROUND_MESSAGES))
    filler = volume.path / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(VOLUME_MIB << 20))
    status, out, err = await place.run("serve", "--listen", place.address, "--data", str(data))
    assert (status, out) == (2, "")
    assert err.startswith(f"error: data folder {data} cannot be used (database or disk is full)")
    assert err.count("\n") == 1
    filler.unlink()
    async with place.serving(data=data), connect(place.address, PATIENT) as client:
        assert await everything(client, "orders", ledger.acknowledged) >= ledger.acknowledged


async def test_a_publisher_that_waits_goes_on_by_itself_when_there_is_space_again(
    place, make_volume
):
    volume = make_volume(VOLUME_MIB)
    filler = fill(volume.path)
    ledger = Ledger()
    async with (
        place.serving(data=volume.path / "data"),
        connect(place.address, HASTY) as client,
        connect(place.address, PATIENT) as patient,
    ):
        await create_topics(client)
        await ledger.publish_until_full(client, "orders")
        waiting = asyncio.create_task(ledger.publish(patient, "orders", ledger.make(1)))
        with pytest.raises(StoreFullError):  # By now the other one has tried, too.
            await ledger.publish(client, "orders", ledger.make(ROUND_MESSAGES))
        filler.unlink()
        await waiting
        assert await everything(client, "orders", ledger.acknowledged) >= ledger.acknowledged


async def test_subscribers_go_on_while_the_disk_is_full(place, make_volume):
    volume = make_volume(VOLUME_MIB)
    filler = fill(volume.path)
    ledger = Ledger()
    async with (
        place.serving(data=volume.path / "data"),
        connect(place.address, HASTY) as client,
    ):
        await create_topics(client)
        await ledger.publish(client, "orders", ledger.make(ROUND_MESSAGES))
        await ledger.publish_until_full(client, "orders")
        assert await everything(client, "orders", ledger.acknowledged) >= ledger.acknowledged
        filler.unlink()
