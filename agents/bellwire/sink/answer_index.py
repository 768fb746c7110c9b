"""Which answers the files of a store hold, so that a question nobody answered costs no look at a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from bellwire.policy.envelope import GarbageError
from bellwire.sink.answer_files import AnswerFolder, answers_in
from bellwire.sink.folder import is_whole

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "AnswerEntry",
    "AnswerIndex",
    "AnswerKey",
    "AnswerName",
    "AnswerToKeep",
    "StoredAnswer",
    "failures",
]

INDEXED_MAX: Final = 200_000  # Answers that can be found; about 100 MB. The oldest go first.
AnswerName: TypeAlias = "tuple[str, str, str]"  # Capability, version and question.


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
class AnswerEntry:
    """Where an answer is, and when it is meant."""

    validity: str
    made_ns: int
    expire_ns: int
    path: Path


class AnswerIndex:
    """The newest answer of each question. Not for two threads at once.

    Attributes:
        damaged: Files that could not be read, left alone.
    """

    def __init__(
        self,
        folder: AnswerFolder,
        engine: Callable[[], DuckDBPyConnection],
        discard: Callable[[], None],
    ) -> None:
        """Begin with nothing; `look` reads what there is.

        Args:
            folder: Of the files.
            engine: Gives one to read them with.
            discard: Called when that one has failed: its state is in doubt.
        """
        self._folder = folder
        self._engine = engine
        self._discard = discard
        self._entries: dict[AnswerName, AnswerEntry] = {}
        self._known: set[Path] = set()
        self.damaged: set[Path] = set()

    def get(self, name: AnswerName) -> AnswerEntry | None:
        """Return where the newest answer of a question is."""
        return self._entries.get(name)

    def drop(self, name: AnswerName) -> None:
        """Forget an answer that is not where it was."""
        self._entries.pop(name, None)

    def wrote(self, path: Path, entries: dict[AnswerName, AnswerEntry]) -> None:
        """Take in a file of our own."""
        for name, entry in entries.items():
            self._note(name, entry)
        self._known.add(path)

    def look(self) -> None:
        """Take in files that are new, and forget those that are gone."""
        try:
            paths = {file.path for file in self._folder.files()}
        except OSError:
            paths = set()
        gone = self._known - paths
        self._known &= paths
        if gone:
            self._entries = {
                name: entry for name, entry in self._entries.items() if entry.path not in gone
            }
        self._take_in(sorted(paths - self._known - self.damaged))

    def _take_in(self, new: Sequence[Path]) -> None:
        if not new:
            return
        try:
            self.damaged |= {path for path in new if not is_whole(path)}
            self._read([path for path in new if path not in self.damaged])
        except failures():
            self._discard()
            for path in new:  # One by one: a damaged one costs itself and no other.
                try:
                    if path not in self.damaged:
                        self._read([path])
                except failures():
                    self._discard()
                    self.damaged.add(path)

    def _read(self, paths: Sequence[Path]) -> None:
        if not paths:
            return
        rows = (
            self._engine()
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
                (capability, version, question),
                AnswerEntry(validity, made_ns or 0, expire_ns, Path(path)),
            )
        self._known |= {*paths}

    def _note(self, name: AnswerName, entry: AnswerEntry) -> None:
        older = self._entries.pop(name, None)
        self._entries[name] = entry if older is None or older.made_ns <= entry.made_ns else older
        while len(self._entries) > INDEXED_MAX:
            del self._entries[next(iter(self._entries))]


def failures() -> tuple[type[Exception], ...]:
    """Return what a disk, a file of somebody else and DuckDB come with."""
    import duckdb

    return GarbageError, OSError, duckdb.Error
