"""Data folders that cannot be used, or not any more: said in clear words, and what is stored stays."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Final

import pytest
from tests.crash.patience import PATIENT
from tests.crash.processes import Child
from tests.crash.recording import SUFFIX, Follower

from bellwire.admin.v1.topic_pb2 import LogKind, Topic
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_PERSISTED
from bellwire.client import EARLIEST, Client, connect
from bellwire.wire.errors import DataCorruptError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PAYLOAD_BYTES: Final = 1_000
PAGE_BYTES: Final = 4_096
SMALL_CACHE: Final = ("--set", "coordinator.store_cache_bytes=4194304")  # The least there is.
MESSAGES: Final = 20_000  # 20 MB: five times that cache, so that a reader needs the disk.
LOOK_SECONDS: Final = 0.02
READ_SECONDS: Final = 20.0  # Twenty times what it takes.


def payloads(count: int) -> list[bytes]:
    draw = random.Random(3)
    return [draw.randbytes(PAYLOAD_BYTES) for _ in range(count)]


async def publish(client: Client, count: int) -> None:
    topic = Topic(name="orders", partition_count=1, log=LogKind.LOG_KIND_SQLITE)
    await client.admin.create_topic(topic)
    publisher = client.publisher("crash/folder", ack_level=ACK_LEVEL_PERSISTED)
    await publisher.publish_payloads("orders", payloads(count))


async def read(client: Client, count: int) -> int:
    """Read so many messages from the start; return how many came."""
    found = 0
    async with asyncio.timeout(READ_SECONDS), client.subscribe("orders", start=EARLIEST) as opened:
        async for batch in opened.batches():
            found += len(batch)
            if found >= count:
                break
    return found


async def test_a_second_coordinator_is_refused_under_load_and_the_first_does_not_feel_it(place):
    record = place.folder / f"publisher{SUFFIX}"
    arguments = (
        *("tests.crash.publisher", "--address", place.address, "--name", "p"),
        *("--record", str(record), "--topics", "orders"),
    )
    async with place.serving("--default-log", "sqlite") as (first, _):
        publisher = await Child.start("publisher", arguments, place.folder)
        try:
            lines = Follower(record)
            await acknowledged_more(lines, publisher)
            for _ in range(3):
                second = ("serve", "--listen", "127.0.0.1:0", "--data", str(place.data))
                status, out, err = await place.run(*second)
                assert (status, out) == (2, "")
                assert err == (
                    f"error: data folder {place.data} is in use by process {first.pid}: "
                    "stop it, or use another folder\n"
                )
                await acknowledged_more(lines, publisher)
            publisher.terminate()
            assert await publisher.gone() == 0
            assert not [line for line in lines.new_lines() if line["kind"] == "refused"]
            first.terminate()
            assert await first.gone() == 0
        finally:
            await publisher.killed()
    async with place.serving() as (_, ready):
        assert ready.recovery["after_crash"] is False


async def acknowledged_more(lines: Follower, publisher: Child) -> None:
    """Wait for the next acknowledgement."""
    lines.new_lines()
    async with asyncio.timeout(30):
        while not any(line["kind"] == "acknowledged" for line in lines.new_lines()):
            publisher.check_running()
            await asyncio.sleep(LOOK_SECONDS)


async def test_a_start_after_kill_9_says_what_was_recovered(place):
    async with place.serving(), connect(place.address, PATIENT) as client:
        await publish(client, 249)
        async with client.subscribe("orders", subscription="risk"):
            pass
        await publish(client, 1)  # Acknowledged on the disk, and so is what came before it.
    arguments = ("bellwire.cli", "serve", "--listen", place.address, "--data", str(place.data))
    child = await Child.start("again", arguments, place.folder)
    try:
        assert child.process.stdout is not None
        async with asyncio.timeout(30):
            line = (await child.process.stdout.readline()).decode()
    finally:
        child.process.send_signal(signal.SIGTERM)
        await child.gone()
    assert line.startswith("recovered 1 topic, 250 messages, 1 subscription, 0 dead letters (")
    assert line.endswith("; after a crash\n")


async def test_a_folder_on_a_read_only_disk_is_refused_and_its_doctor_can_still_look(
    place, make_volume
):
    volume = make_volume(16)
    data = volume.path / "data"
    async with place.serving(data=data) as (coordinator, _):
        async with connect(place.address, PATIENT) as client:
            await publish(client, 100)
        coordinator.terminate()
        assert await coordinator.gone() == 0
    volume.make_read_only()
    status, out, err = await place.run("serve", "--listen", place.address, "--data", str(data))
    assert (status, out) == (2, "")
    assert err == (
        f"error: data folder {data} cannot be written: Read-only file system; "
        "give a folder on a writable disk that this user owns\n"
    )
    status, out, err = await place.run("doctor", str(data))
    assert (status, out.splitlines()[-1], err) == (0, "healthy", "")


def damage(database: Path) -> int:
    """Overwrite every page of the middle third, where the messages are; return how many pages."""
    pages = database.stat().st_size // PAGE_BYTES
    damaged = range(pages // 3, 2 * pages // 3)
    with database.open("r+b") as file:
        for page in damaged:
            file.seek(page * PAGE_BYTES)
            file.write(b"\xa5" * PAGE_BYTES)
        os.fsync(file.fileno())
    return len(damaged)


async def stored(place) -> Path:
    """Leave messages behind in an orderly way, and return the database."""
    async with place.serving() as (coordinator, _):
        async with connect(place.address, PATIENT) as client:
            await publish(client, MESSAGES)
        coordinator.terminate()
        assert await coordinator.gone() == 0
    database: Path = place.data / "bellwire.db"
    return database


async def test_pages_damaged_while_it_was_stopped_are_never_handed_out(place):
    """Either the start refuses, or whoever needs the messages is told; which, depends on the pages."""
    assert damage(await stored(place)) > 1_000
    status, out, err = await place.run("doctor", str(place.data))
    assert status == 1
    assert "not healthy" in out
    arguments = ("--listen", place.address, "--data", str(place.data), "--json")
    child = await Child.start("start", ("bellwire.cli", "serve", *arguments), place.folder)
    try:
        assert child.process.stdout is not None
        async with asyncio.timeout(30):
            line = await child.process.stdout.readline()
        if line:
            await told_of_damage(place)
            return
        assert await child.gone() == 1
        err = child.log.read_text()
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert "bellwire doctor" in err
    finally:
        await child.killed()


async def told_of_damage(place) -> None:
    async with connect(place.address, PATIENT) as client:
        with pytest.raises(DataCorruptError, match="bellwire doctor"):
            await read(client, MESSAGES)


async def test_pages_damaged_while_it_runs_are_told_to_readers_and_publishing_goes_on(place):
    database = await stored(place)
    async with (
        place.serving(*SMALL_CACHE) as (coordinator, _),
        connect(place.address, PATIENT) as client,
    ):
        assert damage(database) > 1_000
        with pytest.raises(DataCorruptError, match="bellwire doctor"):
            await read(client, MESSAGES)
        coordinator.check_running()
        ticks = client.publisher("crash/ticks")
        assert (await ticks.publish("ticks", b"tick")).offset == 0
