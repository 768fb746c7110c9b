"""The sink at work: a subscription read, rows written, deliveries accepted, upkeep done beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from bellwire.bus.v1.subscriber_pb2 import ORDERING_PARTITION
from bellwire.client import EARLIEST
from bellwire.policy.backoff import Backoff
from bellwire.sink.columns import rows_of
from bellwire.sink.errors import SinkWriteError
from bellwire.sink.pending import PendingRows, RecentIds
from bellwire.sink.upkeep import UpkeepReport

if TYPE_CHECKING:
    from bellwire.client import Batch, Client, SettleFailure, Subscription
    from bellwire.sink.columns import Identity, Row
    from bellwire.sink.settings import SinkSettings
    from bellwire.sink.writer import RowWriter

T = TypeVar("T")

__all__ = ["SinkEvents", "SinkRunner", "SinkTotals"]

# A delivery again after a crash counts as a failure of the consumer; no number of crashes may bury a message.
ATTEMPTS_MAX: Final = 1_000
WINDOW_BATCHES: Final = (
    4  # So many batches of rows in flight: one is written while the next ones come.
)
RETRY_FIRST_SECONDS: Final = 0.5
CLOSING_SECONDS_MAX: Final = 10.0  # For what waits when the sink is told to stop.
REASON_BYTES_MAX: Final = 1_000  # Of a dead letter, which takes 1,024.


@dataclass(slots=True)
class SinkTotals:
    """What one run of a sink did.

    Attributes:
        rows: Rows made durable.
        files: Files written.
        duplicates: Messages that were there already.
        refused: Messages that the store can never take; they are dead letters of the subscription.
        failed_writes: Tries to write that failed.
        settle_failures: Dispositions the coordinator refused; those messages come again and are known then.
    """

    rows: int = 0
    files: int = 0
    duplicates: int = 0
    refused: int = 0
    failed_writes: int = 0
    settle_failures: int = 0


class SinkEvents:
    """What a sink tells while it works; does nothing unless overridden."""

    def ready(self, known: int) -> None:
        """Call when the subscription is open; `known` identities were read from the store."""

    def wrote(self, rows: int) -> None:
        """Call when rows are durable."""

    def refused(self, row: Row, reason: str) -> None:
        """Call when a message becomes a dead letter, because the store can never take it."""

    def write_failed(self, error: SinkWriteError, waiting: int, retry_seconds: float) -> None:
        """Call when so many rows wait for the next try."""

    def upkept(self, report: UpkeepReport) -> None:
        """Call when files were compacted, dropped or set apart."""

    def upkeep_failed(self, error: SinkWriteError) -> None:
        """Call when upkeep could not go on; the next look tries again."""


class SinkRunner:
    """Reads one subscription and writes what it brings; at least once, with duplicates left out by id."""

    def __init__(
        self,
        client: Client,
        settings: SinkSettings,
        writer: RowWriter,
        *,
        upkeep: Callable[[datetime], UpkeepReport] | None = None,
        events: SinkEvents | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            client: Connected.
            settings: What to read, and how to gather.
            writer: Where rows go; used from one thread at a time, never the event loop's.
            upkeep: Looks after the store, in a thread of its own; None = nobody does.
            events: Told what happens.
        """
        self._client = client
        self._settings = settings
        self._writer = writer
        self._upkeep = upkeep
        self._events = events or SinkEvents()
        self._recent = RecentIds(settings.recent_ids_max)
        self._pending = PendingRows(self._recent, settings.batch_rows, settings.linger_seconds)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="sink")
        self._backoff = Backoff(
            min(RETRY_FIRST_SECONDS, settings.retry_max_seconds), settings.retry_max_seconds
        )
        self._stopping = asyncio.Event()
        self._refused: dict[tuple[str, int, int], str] = {}  # By topic, partition and offset.
        self.totals = SinkTotals()

    def stop(self) -> None:
        """Have `run` write what waits, accept it, and return."""
        self._stopping.set()

    async def run(self) -> SinkTotals:
        """Work until `stop`.

        Raises:
            CallerError: The coordinator refused the subscription, or the store cannot be read.
            UnreachableError: No coordinator answered.
            SinkWriteError: Told to stop, what waited could not be written; it is delivered again.
        """
        upkeep = asyncio.create_task(self._upkeep_forever())
        try:
            known = await self._in_thread(
                self._writer.recent_identities, self._settings.recent_ids_max
            )
            self._recent.add(known)
            async with self._subscription() as opened:
                self._events.ready(len(known))
                await self._read(opened)
        finally:
            upkeep.cancel()
            await asyncio.gather(upkeep, return_exceptions=True)
            # A merge that has begun ends by itself: it is bounded, and half of one cannot be seen.
            await asyncio.to_thread(self._threads.shutdown)
        return self.totals

    def _subscription(self) -> Subscription:
        settings = self._settings
        return self._client.subscribe(
            *settings.topics,
            subscription=settings.subscription,
            settle="manual",
            start=EARLIEST,
            window_messages=settings.batch_rows * WINDOW_BATCHES,
            max_batch_messages=min(settings.batch_rows, 1_000),
            ordering=ORDERING_PARTITION,
            max_attempts=ATTEMPTS_MAX,
            on_settle_failure=self._unsettled,
        )

    def _unsettled(self, _failure: SettleFailure) -> None:
        self.totals.settle_failures += 1

    async def _read(self, opened: Subscription) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        coming: asyncio.Task[Batch] | None = None
        try:
            while not stopping.done():
                coming = coming or asyncio.create_task(opened.next_batch())
                await asyncio.wait(
                    (coming, stopping),
                    timeout=self._seconds_left(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if coming.done():
                    self._take(coming.result())
                    coming = None
                if self._pending.is_due(time.monotonic()):
                    await self._write_all(opened, stopping)
            await self._write_last(opened)
        finally:
            for task in (stopping, *([coming] if coming else [])):
                task.cancel()
                await asyncio.wait([task])

    def _seconds_left(self) -> float | None:
        due_at = self._pending.due_at
        return None if due_at is None else max(0.0, due_at - time.monotonic())

    def _take(self, delivery: Batch) -> None:
        self._pending.add(delivery, rows_of(delivery, time.time_ns()), time.monotonic())

    async def _write_all(self, opened: Subscription, stopping: asyncio.Task[bool]) -> None:
        """Write what waits; a disk that takes nothing is tried again until it does, or we are told to stop.

        Nothing is accepted meanwhile: the window fills, and the bus keeps what comes.
        """
        while not stopping.done():
            try:
                await self._write_once(opened)
            except SinkWriteError as error:
                self.totals.failed_writes += 1
                delay = self._backoff.next_delay(error.retry_delay_seconds or 0.0)
                self._events.write_failed(error, self._pending.rows, delay)
                await asyncio.wait((stopping,), timeout=delay)
            else:
                self._backoff.reset()
                return

    async def _write_last(self, opened: Subscription) -> None:
        try:
            async with asyncio.timeout(CLOSING_SECONDS_MAX):
                await self._write_once(opened)
        except TimeoutError:
            raise SinkWriteError(
                f"{self._pending.rows} rows were not written within {CLOSING_SECONDS_MAX:g} s: stopped without them; "
                "they are delivered again"
            ) from None

    async def _write_once(self, opened: Subscription) -> None:
        for day, rows in self._pending.by_day().items():
            refused = await self._in_thread(self._writer.write, day, rows)
            self._pending.written(day, refused)
            self._note_refused(rows, refused)
            taken = len(rows) - len(refused)
            self.totals.rows += taken
            self.totals.files += bool(taken)
            if taken:
                self._events.wrote(taken)
        for delivery in self._pending.take_accepted():
            await self._settle(opened, delivery)
        self._refused.clear()
        self.totals.duplicates = self._pending.duplicates

    def _note_refused(self, rows: Sequence[Row], refused: Mapping[Identity, str]) -> None:
        for row in rows if refused else ():
            reason = refused.get(row.identity)
            if reason is not None:
                self._refused[row.topic, row.partition, row.offset] = reason
                self.totals.refused += 1
                self._events.refused(row, reason)

    async def _settle(self, opened: Subscription, delivery: Batch) -> None:
        """Accept a delivery; of its messages those that the store can never take become dead letters."""
        for message in delivery if self._refused else ():
            reason = self._refused.get((message.topic, message.partition, message.offset))
            if reason is not None:
                told = f"refused by the analytic store: {reason}".encode()[:REASON_BYTES_MAX]
                await opened.reject(message, reason=told.decode(errors="ignore"))
        await delivery.accept()

    async def _upkeep_forever(self) -> None:
        while self._upkeep is not None:
            await asyncio.sleep(self._settings.upkeep_seconds)
            try:
                report = await self._in_thread(self._upkeep, datetime.now(UTC))
            except SinkWriteError as error:
                self._events.upkeep_failed(error)
            else:
                if report.did_something:
                    self._events.upkept(report)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
