"""A sink on a real bus: what it accepts is durable, and what is durable is there once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from bellwire.client import Client, connect, new_message
from bellwire.sink import (
    ParquetWriter,
    QuerySettings,
    SinkEvents,
    SinkRunner,
    SinkSettings,
    SinkWriteError,
    ask,
)
from bellwire.sink.columns import Identity, Row
from bellwire.sink.folder import StoreFolder
from bellwire.testing import running_coordinator

pytestmark = pytest.mark.integration

WAIT_SECONDS = 20
SETTINGS = replace(SinkSettings(), batch_rows=10, linger_seconds=0.05, retry_max_seconds=0.01)


class Seen(SinkEvents):
    """Says when so many rows are durable, and when a write failed."""

    def __init__(self) -> None:
        self.rows = 0
        self.failures: list[SinkWriteError] = []
        self.changed = asyncio.Event()

    def wrote(self, rows: int) -> None:
        self.rows += rows
        self.changed.set()

    def write_failed(self, error: SinkWriteError, waiting: int, retry_seconds: float) -> None:
        self.failures.append(error)
        self.changed.set()

    async def until(self, done) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not done(self):
                self.changed.clear()
                await self.changed.wait()


class BrokenWriter:
    """A disk that takes nothing until it is mended."""

    def __init__(self, writer: ParquetWriter) -> None:
        self._writer = writer
        self.broken = True

    def recent_identities(self, count_max: int) -> Sequence[tuple[str, str, str]]:
        return self._writer.recent_identities(count_max)

    def write(self, day: date, rows: Sequence[Row]) -> Mapping[Identity, str]:
        if self.broken:
            raise SinkWriteError("the disk is full")
        return self._writer.write(day, rows)

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def running(client: Client, writer) -> AsyncIterator[tuple[SinkRunner, Seen]]:
    """Run a sink until the block ends, and stop it in order."""
    seen = Seen()
    runner = SinkRunner(client, SETTINGS, writer, events=seen)
    task = asyncio.create_task(runner.run())
    try:
        yield runner, seen
    finally:
        runner.stop()
        await asyncio.wait_for(task, WAIT_SECONDS)


def count(store: Path) -> object:
    ((found,),) = ask(store, "SELECT count(*) FROM messages", QuerySettings()).rows
    return found


async def test_batches_lingering_and_the_rest_at_the_end_are_written(tmp_path):
    writer = ParquetWriter(StoreFolder(tmp_path), SETTINGS)
    async with running_coordinator() as bus, connect(bus.unix) as client:
        publisher = client.publisher("agents/a")
        await publisher.publish_payloads("signals.a", [b"x"] * 25)
        async with running(client, writer) as (runner, seen):
            await seen.until(lambda seen: seen.rows == 25)
            await publisher.publish("signals.a", b"alone")
            await seen.until(lambda seen: seen.rows == 26)
            await publisher.publish("signals.a", b"last")
            await seen.until(lambda seen: seen.rows == 27)
        assert runner.totals.rows == 27
        assert runner.totals.settle_failures == 0
    writer.close()
    assert count(tmp_path) == 27


async def test_a_message_that_was_published_twice_is_there_once(tmp_path):
    writer = ParquetWriter(StoreFolder(tmp_path), SETTINGS)
    twice = [new_message(data=b"x", source="agents/a") for _ in range(7)]
    async with running_coordinator() as bus, connect(bus.unix) as client:
        publisher = client.publisher("agents/a")
        await publisher.publish_many("signals.a", twice)
        async with running(client, writer) as (_, seen):
            await seen.until(lambda seen: seen.rows == 7)
        # In the next run the ids come from the store.
        await publisher.publish_many("signals.a", [*twice, new_message(data=b"new")])
        async with running(client, writer) as (runner, seen):
            await seen.until(lambda seen: seen.rows == 1)
        assert runner.totals.duplicates == 7
    writer.close()
    assert count(tmp_path) == 8


async def test_nothing_is_accepted_before_it_is_durable(tmp_path):
    writer = BrokenWriter(ParquetWriter(StoreFolder(tmp_path), SETTINGS))
    async with running_coordinator() as bus:
        async with connect(bus.unix) as client:
            await client.publisher("agents/a").publish_payloads("signals.a", [b"x"] * 25)
            with pytest.raises(SinkWriteError, match="the disk is full"):
                async with running(client, writer) as (runner, seen):
                    await seen.until(lambda seen: len(seen.failures) >= 3)
            assert (runner.totals.rows, runner.totals.failed_writes >= 3) == (0, True)
        writer.broken = False
        async with connect(bus.unix) as client, running(client, writer) as (_, seen):
            await seen.until(lambda seen: seen.rows == 25)
    writer.close()
    assert count(tmp_path) == 25


async def test_it_goes_on_by_itself_when_the_disk_takes_rows_again(tmp_path):
    writer = BrokenWriter(ParquetWriter(StoreFolder(tmp_path), SETTINGS))
    async with (
        running_coordinator() as bus,
        connect(bus.unix) as client,
        running(client, writer) as (_, seen),
    ):
        await client.publisher("agents/a").publish_payloads("signals.a", [b"x"] * 25)
        await seen.until(lambda seen: len(seen.failures) >= 2)
        writer.broken = False
        await seen.until(lambda seen: seen.rows == 25)
    writer.close()
    assert count(tmp_path) == 25
