"""The analytic store as the third level of a coordinator's cache: threads wait for it, never the event loop."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from bellwire.sink.answer_index import AnswerKey, AnswerToKeep, StoredAnswer
from bellwire.sink.answers import AnswerFiles
from bellwire.sink.engine import open_engine
from bellwire.sink.errors import AnalyticStoreError
from bellwire.sink.last_messages import StoredMessage, covered_offsets, last_messages
from bellwire.sink.settings import SinkSettings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")

__all__ = ["CacheStore"]

READERS: Final = 2
READER_BYTES: Final = 128 << 20
SPILL_BYTES: Final = 256 << 20
DAY_SECONDS: Final = 86_400
ANSWER_DAYS_MAX: Final = 3_650
LOOK_AGAIN_MAX: Final = 3  # When a compaction has taken a file away.


class CacheStore:
    """Answers written and read, and last messages read that a sink has written.

    The sink may write to the same folder; the two share no file.
    """

    def __init__(
        self, root: Path, *, seconds_max: float = 1.0, days_max: int = 30, answer_seconds: float
    ) -> None:
        """Prepare it; `open` looks at the folder.

        Args:
            root: Of the store.
            seconds_max: A question that takes longer is stopped.
            days_max: Days of messages looked through for the last one of a key.
            answer_seconds: Longest life of an answer: days that are older are dropped.

        Raises:
            ModuleNotFoundError: DuckDB is not installed.
        """
        import duckdb  # noqa: F401 - Its absence is told now, not with the first question.

        self._root = root.absolute()
        self._seconds_max = seconds_max
        self._days_max = days_max
        keep_days = min(ceil(answer_seconds / DAY_SECONDS) + 1, ANSWER_DAYS_MAX)
        self._answers = AnswerFiles(self._root, SinkSettings(keep_days=keep_days))
        self._answer_thread: ThreadPoolExecutor | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._idle: list[DuckDBPyConnection] = []
        self._spill: Path | None = None

    async def open(self) -> None:
        """Read which answers there are; after `close` it may be opened again.

        Raises:
            AnalyticStoreError: The folder cannot be made or read.
        """
        if self._answer_thread is None:
            # One: the index of the answers is for one thread, and a batch is short.
            self._answer_thread = ThreadPoolExecutor(1, thread_name_prefix="cache-answers")
            self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="cache-store")
        await self._run(self._answer_thread, self._answers.open)

    async def close(self) -> None:
        """Wait for what is under way, which is bounded, and give everything back."""
        answers, self._answer_thread = self._answer_thread, None
        readers, self._readers = self._readers, None
        if answers is not None and readers is not None:
            await self._run(answers, self._answers.close)
            await asyncio.to_thread(self._close, answers, readers)

    async def find(self, key: AnswerKey, validity: str) -> StoredAnswer | None:
        """Return an answer kept under that key with that validity."""
        return await self._run(self._answer_thread, lambda: self._answers.find(key, validity))

    async def keep(self, answers: Sequence[AnswerToKeep]) -> None:
        """Make answers durable.

        Raises:
            AnalyticStoreLockedError: Another coordinator writes here.
            SinkWriteError: The disk took them not.
        """
        await self._run(self._answer_thread, lambda: self._answers.keep(answers))

    async def last_messages(
        self, topic: str, keys: Sequence[str], logs: Sequence[int], *, any_log: bool
    ) -> Sequence[StoredMessage]:
        """Return the newest stored message of each key; see `bellwire.sink.last_messages`."""

        def ask(engine: DuckDBPyConnection) -> Sequence[StoredMessage]:
            return last_messages(
                engine, self._root, topic, keys, logs, any_log=any_log, days_max=self._days_max
            )

        return await self._run(self._readers, lambda: self._asked(ask, ()))

    async def covered(self, topic: str, logs: Sequence[int]) -> Mapping[int, int]:
        """Return how far the store has come, by partition."""

        def ask(engine: DuckDBPyConnection) -> Mapping[int, int]:
            return covered_offsets(engine, self._root, topic, logs, days_max=self._days_max)

        return await self._run(self._readers, lambda: self._asked(ask, {}))

    def _asked(self, ask: Callable[[DuckDBPyConnection], T], nothing: T) -> T:
        """Ask with an engine of our own, stopped after a while; again when a compaction was faster."""
        if not (self._root / "messages").is_dir():
            return nothing  # No sink has written here yet.
        import duckdb

        engine = self._engine()
        timer = threading.Timer(self._seconds_max, engine.interrupt)
        timer.daemon = True
        timer.start()
        try:
            for tries_left in range(LOOK_AGAIN_MAX, 0, -1):
                try:
                    answer = ask(engine)
                    break
                except (FileNotFoundError, duckdb.IOException):
                    if tries_left == 1:
                        raise
        except BaseException:
            timer.cancel()
            engine.close()
            raise
        timer.cancel()
        self._idle.append(engine)
        return answer

    def _engine(self) -> DuckDBPyConnection:
        try:
            return self._idle.pop()
        except IndexError:
            if self._spill is None:
                self._spill = Path(tempfile.mkdtemp(prefix="bellwire-cache-"))
            return open_engine(READER_BYTES, self._spill, spill_bytes=SPILL_BYTES)

    def _close(self, answers: ThreadPoolExecutor, readers: ThreadPoolExecutor) -> None:
        answers.shutdown()
        readers.shutdown()
        for engine in self._idle:
            engine.close()
        self._idle.clear()
        if self._spill is not None:
            shutil.rmtree(self._spill, ignore_errors=True)
            self._spill = None

    async def _run(self, threads: ThreadPoolExecutor | None, work: Callable[[], T]) -> T:
        if threads is None:
            raise AnalyticStoreError(f"analytic store {self._root} is not open")
        return await asyncio.get_running_loop().run_in_executor(threads, work)
