"""The sink is killed under load, round by round: nothing acknowledged is missing from queries, nothing there twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from tests.crash.patience import PATIENT
from tests.crash.processes import Child
from tests.crash.test_full_disk import FILLER_BYTES, VOLUME_MIB

from bellwire.admin.v1.topic_pb2 import LogKind, Topic
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_PERSISTED
from bellwire.client import Client, connect, new_message
from bellwire.sink import QuerySettings, ask

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROUNDS: Final = 6
COORDINATOR_KILLED_IN: Final = (3, 5)
WRITES_MAX: Final = 12  # Of a round, before the kill.
DELAY_SECONDS_MAX: Final = 0.05  # Then, so that the kill falls anywhere in the next write or merge.
EVENT_SECONDS_MAX: Final = 60.0
MESSAGES_AT_ONCE: Final = 40
PAUSE_SECONDS: Final = 0.01
QUERY: Final = QuerySettings(rows_max=1_000_000)
TOPICS: Final = ("signals.a", "orders.b")
# Small and quick, so that every round writes, compacts and is killed in each.
HASTE: Final = {
    "batch_rows": 50,
    "linger_seconds": 0.05,
    "compact_files": 4,
    "upkeep_seconds": 0.05,
    "retry_max_seconds": 0.2,
}


class SinkProcess:
    """`bellwire sink --json`, whose events are read as they come."""

    def __init__(self, child: Child) -> None:
        self.child = child

    async def event(self, name: str) -> dict[str, Any]:
        """Wait for the next event of that name; those before it are left out."""
        stdout = self.child.process.stdout
        assert stdout is not None
        async with asyncio.timeout(EVENT_SECONDS_MAX):
            while line := await stdout.readline():
                found: dict[str, Any] = json.loads(line)
                if found["event"] == name:
                    return found
        raise self.child.error(f"ended before it said {name!r}")


@asynccontextmanager
async def sinking(place: Any, store: Path) -> AsyncIterator[SinkProcess]:
    """Run a sink; it is killed in the end."""
    settings = [word for key, value in HASTE.items() for word in ("--set", f"sink.{key}={value}")]
    words = ("bellwire.cli", "sink", "--json", "--store", str(store), "-a", place.address)
    waits = ("--set", f"client.transport.connect_timeout_seconds={EVENT_SECONDS_MAX}")
    child = await Child.start("sink", (*words, *settings, *waits), place.folder)
    try:
        yield SinkProcess(child)
    finally:
        await child.killed()


class Load:
    """Publishes until it is told to stop, and notes what was acknowledged as PERSISTED."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.acknowledged: set[tuple[str, str]] = set()

    async def publish(self, client: Client, *, size: int = 60) -> None:
        """Publish some messages of one key to one topic."""
        topic = self.random.choice(TOPICS)
        messages = [
            new_message(
                data=self.random.randbytes(size),
                key=f"key-{self.random.randrange(16)}",
                source="crash/load",
            )
            for _ in range(self.random.randint(1, MESSAGES_AT_ONCE))
        ]
        publisher = client.publisher("crash/load", ack_level=ACK_LEVEL_PERSISTED)
        await publisher.publish_many(topic, messages, timeout=EVENT_SECONDS_MAX)
        self.acknowledged.update((topic, message.id) for message in messages)

    @asynccontextmanager
    async def running(self, client: Client) -> AsyncIterator[None]:
        """Publish all the time."""

        async def forever() -> None:
            while True:
                await self.publish(client)
                await asyncio.sleep(PAUSE_SECONDS)

        task = asyncio.create_task(forever())
        try:
            yield
        finally:
            done, _ = await asyncio.wait([task], timeout=0)
            task.cancel()
            await asyncio.wait([task])
            assert not done, f"the load ended by itself: {task.exception()!r}"


async def create_topics(client: Client) -> None:
    for name in TOPICS:
        wanted = Topic(name=name, partition_count=4, log=LogKind.LOG_KIND_SQLITE)
        await client.admin.create_topic(wanted)


async def seen(store: Path) -> list[tuple[str, str]]:
    """What `bellwire query` shows."""
    answer = await asyncio.to_thread(ask, store, "SELECT topic, id FROM messages", QUERY)
    assert not answer.damaged
    return [(str(topic), str(id_)) for topic, id_ in answer.rows]


async def test_killed_under_load_the_sink_loses_nothing_and_shows_nothing_twice(place, capsys):
    store = place.folder / "store"
    load = Load(5)
    kills = 0
    async with connect_later(place) as start:
        coordinator, client = start.coordinator, start.client
        await create_topics(client)
        async with load.running(client):
            for number in range(1, ROUNDS + 1):
                async with sinking(place, store) as sink:
                    await sink.event("ready")
                    for _ in range(load.random.randint(1, WRITES_MAX)):
                        await sink.event("wrote")
                    if number in COORDINATOR_KILLED_IN:
                        await coordinator.killed()
                        coordinator = await start.again()
                        await sink.event("wrote")
                    await asyncio.sleep(load.random.random() * DELAY_SECONDS_MAX)
                    sink.child.check_running()
                kills += 1
                rows = await seen(store)
                assert len(rows) == len(set(rows)), f"duplicates after kill {number}"
        async with sinking(place, store) as sink:
            await sink.event("ready")
            async with asyncio.timeout(EVENT_SECONDS_MAX):
                while not load.acknowledged <= set(rows := await seen(store)):
                    await sink.event("wrote")
            sink.child.terminate()
            stopped = await sink.event("stopped")
            assert await sink.child.gone() == 0
        await coordinator.killed()
    rows = await seen(store)
    assert load.acknowledged <= set(rows)
    assert len(rows) == len(set(rows))
    assert list(store.glob("damaged/*")) + list(store.glob("aside/*.parquet")) == []
    assert len(list((store / "messages").rglob("L1-*"))) > 0, "nothing was compacted"
    with capsys.disabled():
        print(
            f"\nsink killed {kills} times, its coordinator {len(COORDINATOR_KILLED_IN)}: "
            f"{len(load.acknowledged):,} acknowledged, {len(rows):,} seen by query, 0 missing, 0 twice; "
            f"the last life left {stopped['duplicates']} duplicates out"
        )


class _Start:
    """A coordinator that can be started again, and a client that waits for it."""

    def __init__(self, place: Any, client: Client, coordinator: Any) -> None:
        self._place = place
        self.client = client
        self.coordinator = coordinator

    async def again(self) -> Any:
        from tests.crash.processes import CoordinatorProcess

        self.coordinator = await CoordinatorProcess.serve(
            self._place.address, self._place.folder, "--data", str(self._place.data)
        )
        await self.coordinator.ready()
        return self.coordinator


@asynccontextmanager
async def connect_later(place: Any) -> AsyncIterator[_Start]:
    async with place.serving() as (coordinator, _), connect(place.address, PATIENT) as client:
        start = _Start(place, client, coordinator)
        try:
            yield start
        finally:
            await start.coordinator.killed()


async def filled(sink: SinkProcess, load: Load, client: Client) -> dict[str, Any]:
    """Publish until a write of the sink fails."""
    waiting = asyncio.create_task(sink.event("write_failed"))
    while not waiting.done():
        await load.publish(client, size=20_000)
    return await waiting


async def test_on_a_full_disk_nothing_is_accepted_and_all_comes_when_there_is_space(
    place, make_volume, capsys
):
    volume = make_volume(VOLUME_MIB)
    filler = volume.path / "filler"
    filler.write_bytes(bytes(FILLER_BYTES))
    store = volume.path / "store"
    load = Load(7)
    async with place.serving(), connect(place.address, PATIENT) as client:
        await create_topics(client)
        async with sinking(place, store) as sink:
            await sink.event("ready")
            failed = await filled(sink, load, client)
            assert "No space left on device" in failed["error"]
            assert str(store) in failed["error"]
            assert failed["rows_waiting"] > 0
            before = await seen(store)
            assert not load.acknowledged <= set(before)
            # Killed while it waits: had it accepted what it holds, that would be gone now.
        async with sinking(place, store) as sink:
            await sink.event("ready")
            # What the first life left may fit by now: more comes until nothing does.
            await filled(sink, load, client)
            filler.unlink()
            async with asyncio.timeout(EVENT_SECONDS_MAX):
                while not load.acknowledged <= set(rows := await seen(store)):
                    await sink.event("wrote")
            assert len(rows) == len(set(rows))
    with capsys.disabled():
        print(
            f"\nfull disk: {len(before):,} of {len(load.acknowledged):,} messages stored until it was full, "
            "all of them after kill -9 and freed space"
        )
