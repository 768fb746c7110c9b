"""A sink that appends to BigQuery, against a local service: never yet against Google's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from tests.integration.sink.write_service import Table, WriteService

from bellwire.client import Client, connect, new_message
from bellwire.client.received import Batch
from bellwire.sink import (
    AnalyticStoreError,
    SinkEvents,
    SinkRunner,
    SinkSettings,
    SinkWriteError,
)
from bellwire.sink.bigquery import BigQueryWriter
from bellwire.sink.bigquery.table import NEEDED, TableName, create_statement
from bellwire.sink.bigquery.writer import APPEND_BYTES_MAX, APPEND_ROWS_MAX, TRIES_MAX
from bellwire.sink.columns import Identity, Row, rows_of
from bellwire.testing import running_coordinator

pytestmark = pytest.mark.integration

NAME = TableName("desk", "bus", "messages")
NOON_NS = 1_795_262_400_000_000_000  # 2026-11-21 12:00 UTC
DAY = date(2026, 11, 21)
COLUMNS = {
    part.split("` ")[0].strip("` "): part.split("` ")[1]
    for part in create_statement(NAME).partition("(")[2].partition(")")[0].split(", ")
}
UNAVAILABLE = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="away for a moment")


@pytest.fixture
def service() -> Iterator[WriteService]:
    made = WriteService()
    made.tables[NAME.path] = Table(dict(COLUMNS))
    server, made.port = made.start()
    yield made
    server.stop(None).wait()


@pytest.fixture
def table(service: WriteService) -> Table:
    return service.tables[NAME.path]


def opened(service: WriteService, **given) -> BigQueryWriter:
    return BigQueryWriter(NAME, f"127.0.0.1:{service.port}", **given)


@pytest.fixture
def writer(service: WriteService) -> Iterator[BigQueryWriter]:
    made = opened(service)
    yield made
    made.close()


class Nobody:
    def settle(self, *_arguments):
        raise AssertionError("a writer settles nothing")


def rows(count: int, first: int = 0, data: bytes = b"x") -> Sequence[Row]:
    messages = []
    for name in numbered(count, first):
        messages.append(new_message(data=data, key="EURUSD", source="desk"))
        messages[-1].id = name
    batch = Batch(
        messages, "signals.a", 3, first, Nobody(), admitted_time_unix_nano=NOON_NS, log_id=2**63 + 1
    )
    return rows_of(batch, NOON_NS + 7_000)


def ids(table: Table) -> list[str]:
    return [row["id"] for row in table.rows]


def numbered(count: int, first: int = 0) -> list[str]:
    return [f"m{number}" for number in range(first, first + count)]


# ---------------------------------------------------------------- what is written


def test_a_row_has_every_column_of_a_message(table, writer):
    (row,) = rows(1, data=b'{"a": 1}')
    assert writer.write(DAY, [row]) == {}
    (found,) = table.rows
    micros = NOON_NS // 1_000
    assert found == {
        **{name: getattr(row, name) for name in COLUMNS if getattr(row, name) is not None},
        "time": (row.time or 0) // 1_000,
        "admitted_time": micros,
        "stored_time": micros + 7,
        "log_id": 2**63 + 1,
        "payload": '{"a": 1}',
    }
    assert "expire_time" not in found
    assert found["subject"] == ""


def test_rows_go_in_appends_of_five_hundred_on_one_connection(service, table, writer):
    writer.write(DAY, rows(1_100))
    writer.write(DAY, rows(10, first=1_100))
    assert ids(table) == numbered(1_110)
    sizes = [(offset, count) for _, offset, count in service.appends]
    assert sizes == [(0, APPEND_ROWS_MAX), (500, APPEND_ROWS_MAX), (1_000, 100), (1_100, 10)]
    assert service.connections == 1
    assert len(table.streams) == 1


def test_large_rows_go_in_appends_that_the_service_takes(service, table, writer):
    writer.write(DAY, rows(30, data=b"x" * (1 << 20)))
    assert ids(table) == numbered(30)
    assert max(count for *_, count in service.appends) == APPEND_BYTES_MAX // (1 << 20) - 1


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("fault", [UNAVAILABLE, "error in the answer", "acknowledgement lost"])
def test_a_fault_is_tried_again_and_every_row_is_there_once(service, table, writer, fault):
    writer.write(DAY, rows(10))
    service.faults += [fault, fault]
    assert writer.write(DAY, rows(10, first=10)) == {}
    writer.write(DAY, rows(10, first=20))
    assert ids(table) == numbered(30)
    assert len(table.streams) == 1


def test_a_lost_acknowledgement_is_known_in_the_next_try_of_the_sink_too(service, table, writer):
    same = rows(10)  # As the sink keeps them.
    service.faults += ["acknowledgement lost", *[UNAVAILABLE] * (TRIES_MAX - 1)]
    with pytest.raises(SinkWriteError, match="away for a moment"):
        writer.write(DAY, same)
    assert writer.write(DAY, same) == {}
    assert ids(table) == numbered(10)


def test_other_rows_are_not_taken_for_those_whose_acknowledgement_was_lost(service, table, writer):
    service.faults += ["acknowledgement lost", *[UNAVAILABLE] * (TRIES_MAX - 1)]
    with pytest.raises(SinkWriteError, match="away for a moment"):
        writer.write(DAY, rows(10))
    assert writer.write(DAY, rows(5, first=10)) == {}
    assert ids(table) == numbered(15)
    assert len(table.streams) == 2


def test_what_was_acknowledged_before_a_failure_is_not_written_again(service, table, writer):
    same = rows(600)
    service.faults += ["", *[UNAVAILABLE] * TRIES_MAX]
    with pytest.raises(SinkWriteError, match=r"^100 rows cannot be appended"):
        writer.write(DAY, same)
    assert len(table.rows) == APPEND_ROWS_MAX
    writer.write(DAY, same)
    assert ids(table) == numbered(600)


def test_no_answer_within_the_time_is_a_fault(service, table):
    writer = opened(service, append_seconds=0.2)
    service.faults.append("silence")
    writer.write(DAY, rows(10))
    writer.close()
    assert ids(table) == numbered(10)
    assert service.connections == 2


def test_a_quota_is_waited_for_as_long_as_the_service_asks(service, table, writer):
    quota = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="quota exceeded")
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(50)
    quota.details.add().Pack(info)
    service.faults += [quota] * TRIES_MAX
    with pytest.raises(SinkWriteError, match="RESOURCE_EXHAUSTED: quota exceeded") as found:
        writer.write(DAY, rows(10))
    assert found.value.retry_delay_seconds == 0.05
    assert writer.write(DAY, rows(10)) == {}
    assert ids(table) == numbered(10)


def test_a_refusal_for_good_is_not_tried_again(service, table, writer):
    denied = Status(code=grpc.StatusCode.PERMISSION_DENIED.value[0], message="not yours")
    service.faults.append(denied)
    with pytest.raises(SinkWriteError, match="PERMISSION_DENIED: not yours"):
        writer.write(DAY, rows(10))
    assert service.connections == 1


def test_a_stream_that_is_gone_is_replaced(service, table, writer):
    writer.write(DAY, rows(10))
    table.streams.clear()
    writer.write(DAY, rows(10, first=10))
    assert ids(table) == numbered(20)


def test_bad_rows_are_named_and_the_others_are_there(service, table, writer):
    service.bad_row = lambda row: "too odd" if row["id"] in ("m3", "m7") else None
    refused = writer.write(DAY, rows(10))
    assert refused == {("signals.a", "desk", name): "too odd" for name in ("m3", "m7")}
    assert ids(table) == [name for name in numbered(10) if name not in ("m3", "m7")]
    assert writer.write(DAY, rows(1, first=10)) == {}


# ---------------------------------------------------------------- the table changes


def test_a_column_is_written_as_soon_as_the_table_has_it(service, table):
    del table.columns["payload"]
    changes: list[Sequence[str]] = []
    writer = opened(service, columns_changed=changes.append)
    writer.write(DAY, rows(1, data=b"{}"))
    table.columns["payload"] = "JSON"
    table.columns["somebody_elses"] = "STRING"
    writer.write(DAY, rows(1, first=1, data=b"{}"))  # With its answer the change is told.
    writer.write(DAY, rows(1, first=2, data=b"{}"))
    writer.close()
    assert ["payload" in row for row in table.rows] == [False, False, True]
    assert [set(columns) for columns in changes] == [set(COLUMNS)]
    assert len(table.streams) == 1


def test_a_column_that_is_dropped_is_written_no_more(service, table, writer):
    writer.write(DAY, rows(1))
    del table.columns["principal"]
    writer.write(DAY, rows(1, first=1))
    assert ["principal" in row for row in table.rows] == [True, False]


def test_a_table_that_loses_what_it_needs_takes_nothing_until_it_is_mended(service, table, writer):
    kept = dict(table.columns)
    del table.columns["data"]
    with pytest.raises(SinkWriteError, match="has no column data: add it"):
        writer.write(DAY, rows(1))
    table.columns.update(kept)
    writer.write(DAY, rows(1))
    assert ids(table) == numbered(1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": None}, "has no column id: add it, or make another table with: CREATE TABLE"),
        ({"offset": "STRING"}, "column offset of BigQuery table desk.bus.messages is STRING"),
        ({"key": "STRING REPEATED"}, "column key of BigQuery table desk.bus.messages is REPEATED"),
        ({"mine": "STRING REQUIRED"}, "requires column mine, which no message has"),
    ],
)
def test_a_table_that_cannot_take_messages_is_refused_at_the_start(service, table, change, said):
    for name, kind in change.items():
        if kind is None:
            del table.columns[name]
        else:
            table.columns[name] = kind
    with pytest.raises(AnalyticStoreError, match=said):
        opened(service)


def test_a_table_that_is_not_there_is_refused_with_the_statement_that_makes_it(service):
    service.tables.clear()
    with pytest.raises(
        AnalyticStoreError, match="does not exist: make it with: CREATE TABLE `desk"
    ):
        opened(service)


def test_a_table_with_only_the_needed_columns_is_enough(service, table):
    table.columns = {name: COLUMNS[name] for name in NEEDED}
    writer = opened(service)
    writer.write(DAY, rows(1))
    writer.close()
    assert set(table.rows[0]) == set(NEEDED)


# ---------------------------------------------------------------- the service goes away


def test_a_service_that_is_away_at_the_start_is_waited_for(service):
    free = WriteService()
    free.tables = service.tables
    server, port = free.start()
    server.stop(None).wait()
    with pytest.raises(
        AnalyticStoreError, match=r"has not described table desk.bus.messages within 0.3 s"
    ):
        BigQueryWriter(NAME, f"127.0.0.1:{port}", connect_seconds=0.3)


async def test_a_service_that_goes_away_and_comes_back_costs_nothing(service, table):
    """The whole way: bus, sink, service; dead letters included."""
    own = WriteService()
    own.tables = service.tables
    own.bad_row = lambda row: "no such thing" if row["data"] == b"bad" else None
    server, port = own.start()
    writer = await asyncio.to_thread(BigQueryWriter, NAME, f"127.0.0.1:{port}")
    async with running_coordinator() as bus, connect(bus.unix) as client:
        async with running(client, writer) as (runner, seen):
            await publish(client, b"one", b"bad", b"two")
            await seen.until(lambda: (seen.rows, len(seen.letters)) == (2, 1))
            await asyncio.to_thread(server.stop(None).wait)
            await publish(client, b"three", b"four")
            await seen.until(lambda: seen.failures)
            server, _ = own.start(port)
            await seen.until(lambda: seen.rows == 4)
        letters = [each async for each in client.admin.dead_letters("signals.a")]
    await asyncio.to_thread(writer.close)
    await asyncio.to_thread(server.stop(None).wait)
    assert [row["data"] for row in table.rows] == [b"one", b"two", b"three", b"four"]
    assert [each.reason for each in letters] == ["refused by the analytic store: no such thing"]
    assert (runner.totals.rows, runner.totals.refused) == (4, 1)
    assert runner.totals.settle_failures == 0


async def test_a_dead_letter_that_is_redriven_is_written(service, table, writer):
    service.bad_row = lambda row: "too early"
    async with (
        running_coordinator() as bus,
        connect(bus.unix) as client,
        running(client, writer) as (runner, seen),
    ):
        await publish(client, b"one")
        await seen.until(lambda: seen.letters)
        service.bad_row = lambda row: None
        async with asyncio.timeout(20):
            while not [each async for each in client.admin.dead_letters("signals.a")]:
                pass
        await client.admin.redrive("signals.a")
        await seen.until(lambda: seen.rows == 1)
    assert runner.totals.duplicates == 0
    assert [row["data"] for row in table.rows] == [b"one"]


async def test_what_a_killed_sink_had_not_accepted_comes_again_and_a_view_can_tell(service, table):
    """A crash between the append and the acceptance: twice in the table, once by its identity."""
    async with running_coordinator() as bus:
        for _ in range(2):
            writer = await asyncio.to_thread(opened, service)
            async with connect(bus.unix) as client:
                if not table.rows:
                    await publish(client, b"one", b"two")
                task = asyncio.create_task(SinkRunner(client, SETTINGS, Deaf(writer)).run())
                async with asyncio.timeout(20):
                    await asyncio.wait([task])
            assert isinstance(task.exception(), Killed)
            await asyncio.to_thread(writer.close)
    assert len(table.rows) == 4
    assert len({(row["topic"], row["source"], row["id"]) for row in table.rows}) == 2


# ---------------------------------------------------------------- tools

SETTINGS = replace(SinkSettings(), batch_rows=10, linger_seconds=0.05, retry_max_seconds=0.05)


class Killed(Exception):
    """Stands for SIGKILL between two instructions."""


class Deaf:
    """Dies when the rows are in the table, before anybody hears of it."""

    def __init__(self, writer: BigQueryWriter) -> None:
        self._writer = writer

    def recent_identities(self, count_max: int) -> Sequence[Identity]:
        return self._writer.recent_identities(count_max)

    def write(self, day: date, rows: Sequence[Row]) -> Mapping[Identity, str]:
        self._writer.write(day, rows)
        raise Killed

    def close(self) -> None:
        self._writer.close()


class Seen(SinkEvents):
    """Says when something has happened."""

    def __init__(self) -> None:
        self.rows = 0
        self.failures: list[SinkWriteError] = []
        self.letters: list[str] = []
        self._changed = asyncio.Event()

    def wrote(self, rows: int) -> None:
        self.rows += rows
        self._changed.set()

    def refused(self, row: Row, reason: str) -> None:
        self.letters.append(reason)
        self._changed.set()

    def write_failed(self, error: SinkWriteError, waiting: int, retry_seconds: float) -> None:
        self.failures.append(error)
        self._changed.set()

    async def until(self, done) -> None:
        async with asyncio.timeout(20):
            while not done():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def running(client: Client, writer: BigQueryWriter) -> AsyncIterator[tuple[SinkRunner, Seen]]:
    seen = Seen()
    runner = SinkRunner(client, SETTINGS, writer, events=seen)
    task = asyncio.create_task(runner.run())
    try:
        yield runner, seen
    finally:
        runner.stop()
        await asyncio.wait_for(task, 20)


async def publish(client: Client, *payloads: bytes) -> None:
    messages = [new_message(data=data, type="text", source="agents/a") for data in payloads]
    await client.publisher("agents/a").publish_many("signals.a", messages)
