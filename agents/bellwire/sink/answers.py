"""Answers of cacheable calls, kept as Parquet files by day: written in batches, found through an index in memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from bellwire.agent.v1.invocation_pb2 import InvokeResponse
from bellwire.policy.envelope import Envelope, GarbageError, open_envelope
from bellwire.sink.answer_files import (
    ANSWER_COLUMNS,
    AnswerFolder,
    answers_in,
    newest_answers,
)
from bellwire.sink.columns import TIME_NS_MAX
from bellwire.sink.engine import codec_options, open_engine, quoted, text
from bellwire.sink.errors import AnalyticStoreError, SinkWriteError
from bellwire.sink.folder import DataFile, is_whole, publish_file
from bellwire.sink.settings import SinkSettings
from bellwire.sink.upkeep_plan import Merge, plan_upkeep

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["AnswerFiles", "AnswerKey", "AnswerToKeep", "StoredAnswer"]

INDEXED_MAX: Final = 200_000  # Answers that can be found; about 100 MB. The oldest go first.
LOOK_SECONDS: Final = 5.0  # Between two looks for files that others have written.
ANSWER_CHARACTERS_MAX: Final = 10_000  # Of the column for people.
NANOS: Final = 1_000_000_000
_Key: TypeAlias = "tuple[str, str, str]"


class AnswerKey(Protocol):
    """What an answer is found by."""

    @property
    def space(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def digest(self) -> str: ...


class AnswerToKeep(Protocol):
    """An answer and until when it is meant."""

    @property
    def key(self) -> AnswerKey: ...
    @property
    def validity(self) -> str: ...
    @property
    def outdated_by(self) -> tuple[str, ...]: ...
    @property
    def made_unix_nano(self) -> int: ...
    @property
    def expire_unix_nano(self) -> int: ...
    @property
    def payload(self) -> bytes: ...


class StoredAnswer(NamedTuple):
    """An answer as it was kept."""

    payload: bytes
    expire_unix_nano: int


@dataclass(slots=True)
class _Entry:
    validity: str
    made_ns: int
    expire_ns: int
    path: Path


class AnswerFiles:
    """The table `answers` of a store. Not for two threads at once.

    Attributes:
        damaged: Files that could not be read, left alone.
    """

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
        self._index: dict[_Key, _Entry] = {}
        self._known: set[Path] = set()
        self._unmergeable: set[Path] = set()
        self._look_at = 0.0
        self.damaged: set[Path] = set()

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
        except _failures():
            # Damaged, or gone in a compaction of another writer.
            self._index.pop(name, None)
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
        except _failures() as error:
            self._discard()
            self._sweep()
            raise SinkWriteError(
                f"{len(answers)} answers cannot be written to {self._folder.messages}: "
                f"{str(error).partition(chr(10))[0]}"
            ) from error

    # ------------------------------------------------------------ reading

    def _read(self, name: _Key, entry: _Entry) -> StoredAnswer | None:
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
        """Take in files that are new, and forget those that are gone."""
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            files = self._folder.files()
        except OSError:
            files = []
        paths = {file.path for file in files}
        gone = self._known - paths
        self._known &= paths
        if gone:
            self._index = {
                name: entry for name, entry in self._index.items() if entry.path not in gone
            }
        self._take_in([file for file in files if file.path not in self._known])

    def _take_in(self, files: Sequence[DataFile]) -> None:
        new = [file.path for file in files if file.path not in self.damaged]
        if not new:
            return
        try:
            whole = [path for path in new if is_whole(path)]
            self.damaged |= {*new} - {*whole}
            self._index_rows(whole)
        except _failures():
            self._discard()
            for path in new:  # One by one: a damaged one costs itself and no other.
                try:
                    if path not in self.damaged:
                        self._index_rows([path])
                except _failures():
                    self._discard()
                    self.damaged.add(path)

    def _index_rows(self, paths: Sequence[Path]) -> None:
        if not paths:
            return
        rows = (
            self._opened()
            .execute(
                "SELECT capability, version, question, validity, epoch_ns(made_time), epoch_ns(expire_time), filename "
                f"FROM ({answers_in(paths)}) WHERE epoch_ns(expire_time) > ? AND validity IS NOT NULL "
                f"ORDER BY made_time DESC LIMIT {INDEXED_MAX}",
                [time.time_ns()],
            )
            .fetchall()
        )
        for capability, version, question, validity, made_ns, expire_ns, path in reversed(rows):
            self._note(
                (capability, version, question), _Entry(validity, made_ns, expire_ns, Path(path))
            )
        self._known |= {*paths}

    def _note(self, name: _Key, entry: _Entry) -> None:
        older = self._index.pop(name, None)
        self._index[name] = entry if older is None or older.made_ns <= entry.made_ns else older
        while len(self._index) > INDEXED_MAX:
            del self._index[next(iter(self._index))]

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
        for name, answer in newest.items():
            entry = _Entry(answer.validity, answer.made_unix_nano, answer.expire_unix_nano, place)
            self._note(name, entry)
        self._known.add(place)

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
        left_alone = self.damaged | self._unmergeable
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
            except _failures():
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


def _name_of(key: AnswerKey) -> _Key:
    return key.space, key.version, key.digest


def _sealing_key(name: Iterable[str], validity: str) -> bytes:
    return "\0".join((*name, validity)).encode()


def _row_of(name: _Key, answer: AnswerToKeep) -> tuple[object, ...]:
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


def _failures() -> tuple[type[Exception], ...]:
    """Return what a disk, a file of somebody else and DuckDB come with."""
    import duckdb

    return GarbageError, OSError, duckdb.Error
