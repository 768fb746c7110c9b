"""Carries groups to the store and entries back: one thread writes, one reads, the event loop decides."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from bellwire.coordinator.core.engine import Engine
from bellwire.coordinator.core.journal import Group
from bellwire.coordinator.log.durable import DurableLog
from bellwire.coordinator.log.store import Store
from bellwire.wire.errors import BellwireError, InternalError, StoreReadOnlyError

READ_BYTES: Final = 1 << 20  # Loaded at once for a reader that has fallen behind: about 1 ms.
CLOSE_SECONDS: Final = 10.0  # Within the time a supervisor leaves a process to end.
LATENCIES_KEPT: Final = 10_000
T = TypeVar("T")
_log = logging.getLogger("bellwire.coordinator")


class Committer:
    """The I/O around an engine's journal.

    Attributes:
        commits: Groups written.
        on_broken: Called when the store is in doubt, and takes nothing any more.
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="bellwire-commit")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="bellwire-read")
        self._soon = False
        self._timer: asyncio.TimerHandle | None = None
        self._micros: deque[int] = deque(maxlen=LATENCIES_KEPT)
        self._closed = False
        self._failing = False
        self.commits = 0
        self.on_broken: Callable[[], None] = _nothing
        engine.journal.on_work = self._on_work
        engine.logs.on_wanted = self._on_wanted
        if engine.journal.due_at(self._loop.time()) is not None:
            self._on_work()

    def commit_micros(self) -> tuple[int, int]:
        """Return the median and the 99th percentile of the latest commits, microseconds."""
        ordered = sorted(self._micros)
        if not ordered:
            return 0, 0
        return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]

    async def read(self, query: Callable[[], T]) -> T:
        """Run a query of the store on the reader's thread."""
        return await self._loop.run_in_executor(self._reader, query)

    async def in_turn(self, work: Callable[[], T]) -> T:
        """Have the writer's thread do something, behind what it is writing."""
        return await self._loop.run_in_executor(self._writer, work)

    async def flush(self) -> None:
        """Wait until everything staged or marked so far is durable, or refused."""
        while True:
            journal = self._engine.journal
            ticket = journal.barrier()
            if ticket is None and journal.due_at(self._loop.time()) is None:
                return
            if ticket is None:
                self._commit()
                ticket = journal.barrier()
            if ticket is not None:
                done = self._loop.create_future()
                ticket.then(lambda _, done=done: done.done() or done.set_result(None))  # type: ignore[misc]
                await done

    async def close(self) -> None:
        """Commit what is left and close the store."""
        if self._closed:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.flush()
        except TimeoutError:
            _log.warning(
                "the store has not answered for %g s: what was not acknowledged yet is not kept",
                CLOSE_SECONDS,
            )
            self._store.give_up()
            await self.flush()
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._engine.journal.on_work = _nothing
        self._engine.logs.on_wanted = _nothing
        await self._loop.run_in_executor(self._reader, _nothing)
        await self._loop.run_in_executor(self._writer, self._store.close)
        self._writer.shutdown()
        self._reader.shutdown()

    # ------------------------------------------------------------ commits

    def _on_work(self) -> None:
        """Look at the journal when this turn of the loop is over: what comes in it travels together."""
        if not self._soon and not self._closed:
            self._soon = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._soon = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            return
        now = self._loop.time()
        due = self._engine.journal.due_at(now)
        if due is None:
            return
        if due > now:
            self._timer = self._loop.call_at(due, self._look)
        else:
            self._commit()

    def _commit(self) -> None:
        group = self._engine.journal.take()
        if group is None:
            return
        if not self._store.durable:
            self._finish(group, self._write(group))
            return
        self._writer.submit(self._write_and_tell, group)

    def _write_and_tell(self, group: Group) -> None:
        error = self._write(group)
        self._loop.call_soon_threadsafe(self._finish, group, error)

    def _write(self, group: Group) -> BellwireError | None:
        started = time.perf_counter_ns()
        try:
            self._store.write(group.records)
        except BellwireError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever it is, the publishers must hear it.
            return StoreReadOnlyError(f"the store failed in an unforeseen way: {error!r}")
        self._micros.append((time.perf_counter_ns() - started) // 1_000)
        return None

    def _finish(self, group: Group, error: BellwireError | None) -> None:
        journal = self._engine.journal
        if error is None:
            if self._failing:
                self._failing = False
                _log.warning("the store takes commits again")
            self.commits += 1
            journal.committed(group)
        else:
            if not self._failing:
                self._failing = True  # Said once, not with every try.
                _log.error("a commit failed: %s", error.message)
            journal.failed(group, error)
            if journal.broken is not None:
                self.on_broken()
        self._look()

    # ------------------------------------------------------------ loads

    def _on_wanted(self) -> None:
        wanted = self._engine.logs.wanted
        while wanted:
            log, offset = wanted.popleft()
            self._reader.submit(self._load, log, offset)

    def _load(self, log: DurableLog, offset: int) -> None:
        try:
            entries = self._store.read(log.log_id, offset, READ_BYTES)
        except BellwireError as error:
            self._loop.call_soon_threadsafe(self._engine.load_failed, log, offset, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits for it must hear it.
            _log.exception("a read of the store failed in an unforeseen way")
            unforeseen = InternalError(f"the store could not be read: {error!r}")
            self._loop.call_soon_threadsafe(self._engine.load_failed, log, offset, unforeseen)
        else:
            self._loop.call_soon_threadsafe(self._engine.loaded, log, offset, entries)


def _nothing() -> None:
    """Nobody listens any more."""
