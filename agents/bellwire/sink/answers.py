"""Answers of cacheable calls, kept as Parquet files by day: written in batches, found through an index in memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.agent.v1.invocation_pb2 import InvokeResponse
from bellwire.policy.envelope import Envelope, GarbageError, open_envelope
from bellwire.sink.answer_files import ANSWER_COLUMNS, AnswerFolder, newest_answers
from bellwire.sink.answer_index import (
    AnswerEntry,
    AnswerIndex,
    AnswerKey,
    AnswerName,
    AnswerToKeep,
    StoredAnswer,
    failures,
)
from bellwire.sink.columns import TIME_NS_MAX
from bellwire.sink.engine import codec_options, open_engine, quoted, text
from bellwire.sink.errors import AnalyticStoreError, SinkWriteError
from bellwire.sink.folder import publish_file
from bellwire.sink.settings import SinkSettings
from bellwire.sink.upkeep_plan import Merge, plan_upkeep

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["AnswerFiles", "AnswerKey", "AnswerToKeep", "StoredAnswer"]

LOOK_SECONDS: Final = 5.0  # Between two looks for files that others have written.
ANSWER_CHARACTERS_MAX: Final = 10_000  # Of the column for people.
NANOS: Final = 1_000_000_000


class AnswerFiles:
    """The table `answers` of a store. Not for two threads at once."""

    def __init__(self, root: Path, settings: SinkSettings) -> None:
        """Prepare it; `open` looks at what there is.

        Args:
            root: Of the store.
            settings: Codecs, memory and bounds of upkeep.
        """
        self._folder = AnswerFolder(root)
        self._settings = settings
        self._engine: DuckDBPyConnection | None = None
        self._lock: int | None = None
        self._index = AnswerIndex(self._folder, self._opened, self._discard)
        self._unmergeable: set[Path] = set()
        self._look_at = 0.0

    def open(self) -> None:
        """Read which answers there are.

        Raises:
            AnalyticStoreError: The folder cannot be made or read.
        """
        try:
            for folder in (self._folder.messages, self._folder.aside):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AnalyticStoreError(
                f"analytic store {self._folder.root} cannot be written ({error.strerror}): name a folder that can"
            ) from error
        self._look()

    def close(self) -> None:
        """Close the engine and let others write."""
        self._discard()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def find(self, key: AnswerKey, validity: str) -> StoredAnswer | None:
        """Return an answer kept under that key with that validity; one that is damaged is none."""
        now = time.monotonic()
        name = (key.space, key.version, key.digest)
        entry = self._index.get(name)
        if (entry is None or entry.validity != validity) and now >= self._look_at:
            self._look()
            entry = self._index.get(name)
        if entry is None or entry.validity != validity or entry.expire_ns <= time.time_ns():
            return None
        try:
            return self._read(name, entry)
        except failures():
            # Damaged, or gone in a compaction of another writer.
            self._index.drop(name)
            self._discard()
            return None

    def keep(self, answers: Sequence[AnswerToKeep]) -> None:
        """Make answers durable, and compact what has become many files.

        Raises:
            AnalyticStoreLockedError: Another coordinator writes here.
            SinkWriteError: The disk took them not; nothing of them is left behind.
        """
        self._acquire()
        days: dict[date, list[AnswerToKeep]] = {}
        for answer in answers:
            made = datetime.fromtimestamp(answer.made_unix_nano // NANOS, UTC)
            days.setdefault(made.date(), []).append(answer)
        try:
            for day, of_day in days.items():
                self._write(day, of_day)
            self._upkeep(datetime.now(UTC).date())
        except failures() as error:
            self._discard()
            self._sweep()
            raise SinkWriteError(
                f"{len(answers)} answers cannot be written to {self._folder.messages}: "
                f"{str(error).partition(chr(10))[0]}"
            ) from error

    # ------------------------------------------------------------ reading

    def _read(self, name: AnswerName, entry: AnswerEntry) -> StoredAnswer | None:
        found = (
            self._opened()
            .execute(
                f"SELECT value FROM read_parquet({text(str(entry.path))}) WHERE capability = ? AND version = ? "
                "AND question = ? AND validity = ? ORDER BY made_time DESC LIMIT 1",
                [*name, entry.validity],
            )
            .fetchone()
        )
        if found is None or not isinstance(found[0], bytes):
            raise GarbageError("it is not where it was")
        envelope = open_envelope(found[0], _sealing_key(name, entry.validity))
        if envelope.expire_unix_nano <= time.time_ns():
            return None
        return StoredAnswer(envelope.payload, envelope.expire_unix_nano)

    def _look(self) -> None:
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._index.look()

    # ------------------------------------------------------------ writing

    def _acquire(self) -> None:
        if self._lock is None:
            self._lock = self._folder.lock()
            self._sweep()

    def _sweep(self) -> None:
        with suppress(OSError):  # Of a disk in trouble; the next write says so.
            self._folder.sweep()

    def _write(self, day: date, answers: Sequence[AnswerToKeep]) -> None:
        newest = {_name_of(answer.key): answer for answer in answers}
        stored_ns = time.time_ns()
        while (place := self._folder.place(day, 0, stored_ns, len(newest))).exists():
            stored_ns += 1
        engine = self._opened()
        rows = [_row_of(name, answer) for name, answer in newest.items()]
        unnested = ", ".join(
            f"unnest(?::{column.list_type}[]) AS {quoted(column.name)}" for column in ANSWER_COLUMNS
        )
        made = ", ".join(
            f"{column.of_list.format(quoted(column.name))} AS {quoted(column.name)}"
            for column in ANSWER_COLUMNS
        )
        engine.execute(
            f"CREATE OR REPLACE TEMP TABLE kept AS SELECT {made} FROM (SELECT {unnested})",
            [list(values) for values in zip(*rows, strict=True)],
        )
        try:
            self._copy("SELECT * FROM kept", place, self._settings.codec)
        finally:
            engine.execute("DROP TABLE IF EXISTS kept")
        entries = {
            name: AnswerEntry(
                answer.validity, answer.made_unix_nano, answer.expire_unix_nano, place
            )
            for name, answer in newest.items()
        }
        self._index.wrote(place, entries)

    def _copy(self, rows: str, place: Path, codec: str) -> None:
        aside = self._folder.aside / f"write-{place.name}"
        try:
            self._opened().execute(
                f"COPY ({rows} ORDER BY capability, version, question) TO {text(str(aside))} "
                f"(FORMAT parquet, {codec_options(codec)})"
            )
            publish_file(aside, place)
        finally:
            aside.unlink(missing_ok=True)

    def _upkeep(self, today: date) -> None:
        """Make few files of many, and drop days that are over."""
        left_alone = self._index.damaged | self._unmergeable
        files = [file for file in self._folder.files() if file.path not in left_alone]
        plan = plan_upkeep(files, today, self._settings)
        dropped = {file.path for file in files if file.day in plan.dropped}
        for path in dropped:
            path.unlink()
        for day in plan.dropped:
            folder = self._folder.place(day, 0, 0, 0).parent
            if not any(folder.iterdir()):
                folder.rmdir()
        for merge in plan.merges:
            try:
                self._merge(merge)
            except failures():
                # One of them is damaged, or the disk is full: they are read as ever, and left alone from now on.
                self._unmergeable |= {file.path for file in merge.files}
                self._discard()
        if dropped or plan.merges:
            self._look()

    def _merge(self, merge: Merge) -> None:
        paths = [file.path for file in merge.files]
        rows = newest_answers(paths, time.time_ns())
        engine = self._opened()
        counted = engine.execute(f"SELECT count(*) FROM ({rows})").fetchone()
        count = int(counted[0]) if counted else 0
        place = self._folder.place(merge.day, merge.level, merge.stored_ns, count)
        if count:
            self._copy(rows, place, merge.codec)
        for path in paths:
            if path != place:
                path.unlink()

    def _opened(self) -> DuckDBPyConnection:
        if self._engine is None:
            self._engine = open_engine(self._settings.memory_bytes, self._folder.aside)
        return self._engine

    def _discard(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def _name_of(key: AnswerKey) -> AnswerName:
    return key.space, key.version, key.digest


def _sealing_key(name: Iterable[str], validity: str) -> bytes:
    return "\0".join((*name, validity)).encode()


def _row_of(name: AnswerName, answer: AnswerToKeep) -> tuple[object, ...]:
    """Return an answer in the order of `ANSWER_COLUMNS`."""
    sealed = Envelope(bytes(16), answer.expire_unix_nano, answer.payload)
    return (
        *name,
        answer.validity,
        ",".join(answer.outdated_by),
        min(answer.made_unix_nano, TIME_NS_MAX),
        min(answer.expire_unix_nano, TIME_NS_MAX),
        _shown(answer.payload),
        sealed.seal(_sealing_key(name, answer.validity)),
    )


def _shown(payload: bytes) -> str | None:
    """Return an answer as people read it, where it is a text."""
    try:
        result = InvokeResponse.FromString(payload).result
        return result.decode() if len(result) <= ANSWER_CHARACTERS_MAX else None
    except Exception:  # noqa: BLE001 - whatever it is, it is kept.
        return None
