"""Questions to an analytic store: read only, within bounds."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.sink.answer_files import AnswerFolder, answers_view
from bellwire.sink.contents import topics_in
from bellwire.sink.daily import daily_views
from bellwire.sink.engine import open_engine, quoted
from bellwire.sink.errors import AnalyticStoreError, QueryError, QueryLimitError
from bellwire.sink.folder import DataFile, StoreFolder, is_whole
from bellwire.sink.settings import QuerySettings
from bellwire.sink.views import (
    DAILY_SCHEMA,
    TYPE_SCHEMA,
    View,
    messages_view,
    topic_views,
    type_views,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Answer", "OpenStore", "ask", "open_store"]

FETCHED_ROWS: Final = 1_000
LOOK_AGAIN_SECONDS: Final = 0.01  # About what a compaction takes to remove its files.
TABLES_NAMED_MAX: Final = 30
_CATALOG: Final = re.compile(
    r"\b(show|describe|summarize|information_schema|pg_catalog|duckdb_\w+)\b"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave.

    Attributes:
        columns: Their names.
        rows: At most `rows_max` of them.
        more: True when there were more.
        damaged: Files left out because they could not be read.
    """

    columns: Sequence[str]
    rows: Sequence[tuple[object, ...]]
    more: bool
    damaged: Sequence[Path]


class OpenStore:
    """The tables of a store as it was when it was opened."""

    def __init__(
        self,
        engine: DuckDBPyConnection,
        settings: QuerySettings,
        views: Sequence[View],
        damaged: Sequence[Path],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self.views = views
        self.damaged = damaged

    def ask(self, sql: str) -> Answer:
        """Run one reading statement.

        Raises:
            QueryError: It is wrong, or does more than read.
            QueryLimitError: It needs more memory, or longer, than it may.
            FileNotFoundError: A compaction took a file away meanwhile: open the store again.
        """
        import duckdb

        self._check(sql)
        timer = threading.Timer(self._settings.seconds_max, self._engine.interrupt)
        timer.daemon = True
        timer.start()
        try:
            return self._fetched(sql)
        except duckdb.InterruptException:
            raise QueryLimitError(
                f"the query took longer than {self._settings.seconds_max:g} s and was stopped: ask for fewer days "
                "(`day >= '2026-01-31'`), or raise query.seconds_max"
            ) from None
        except duckdb.OutOfMemoryException as error:
            raise QueryLimitError(
                f"the query needs more than its {self._settings.memory_bytes >> 20} MiB of memory and "
                f"{self._settings.spill_bytes >> 20} MiB of temporary files: ask for fewer rows or columns, or "
                f"raise query.memory_bytes ({_first_line(error)})"
            ) from None
        except duckdb.IOException as error:
            raise _unreadable(error) from error
        except duckdb.Error as error:
            raise QueryError(f"{_first_line(error)}; {self._hint()}") from None
        finally:
            timer.cancel()

    def _check(self, sql: str) -> None:
        import duckdb

        try:
            statements = self._engine.extract_statements(sql)
        except duckdb.Error as error:
            raise QueryError(f"{_first_line(error)}; {self._hint()}") from None
        if len(statements) != 1:
            raise QueryError(f"one statement is expected, {len(statements)} were found")
        kind = statements[0].type.name
        if kind != "SELECT":  # EXPLAIN ANALYZE runs what it explains, writing or not.
            raise QueryError(
                f"a query only reads: SELECT is expected, {kind} was found; the store is written by `bellwire sink`"
            )

    def _fetched(self, sql: str) -> Answer:
        cursor = self._engine.execute(sql)
        columns = [described[0] for described in cursor.description or ()]
        rows: list[tuple[object, ...]] = []
        wanted = self._settings.rows_max + 1  # One more, to know whether there are more.
        while len(rows) < wanted:
            fetched = cursor.fetchmany(min(FETCHED_ROWS, wanted - len(rows)))
            if not fetched:
                break
            rows.extend(fetched)
        more = len(rows) == wanted
        return Answer(columns, rows[: self._settings.rows_max], more, self.damaged)

    def _hint(self) -> str:
        """Name the tables there are."""
        names = [view.written for view in self.views if not view.other_name]
        shown = ", ".join(names[:TABLES_NAMED_MAX])
        rest = len(names) - TABLES_NAMED_MAX
        return f"tables here: {shown}" + (f" and {rest} more (SHOW ALL TABLES)" if rest > 0 else "")


@contextmanager
def open_store(root: Path, settings: QuerySettings, sql: str) -> Iterator[OpenStore]:
    """Open a store for one question; whether a sink writes to it does not matter.

    Raises:
        AnalyticStoreError: There is no store, or it cannot be read.
        FileNotFoundError: A compaction took a file away meanwhile: open it again.
    """
    folder = StoreFolder(root.absolute())
    answers = AnswerFolder(folder.root)
    has_answers = answers.messages.is_dir()  # Of coordinators, whether or not there is a sink.
    if not has_answers:
        folder.check_there()
    files, damaged = _look(folder)
    answer_files, damaged_answers = _look(answers)
    spill = Path(tempfile.mkdtemp(prefix="bellwire-query-"))
    try:
        engine = open_engine(
            settings.memory_bytes, spill, threads=settings.threads, spill_bytes=settings.spill_bytes
        )
        try:
            views = _make_views(engine, folder, files, answer_files if has_answers else None, sql)
            _close_in(engine, folder, answers)
            yield OpenStore(engine, settings, views, [*damaged, *damaged_answers])
        finally:
            engine.close()
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _look(folder: StoreFolder) -> tuple[Sequence[DataFile], Sequence[Path]]:
    """Return the files that are whole, and those that are not.

    A folder that changes while it is listed may show neither a new file nor those it replaces; two equal listings
    are one moment.
    """
    if not folder.messages.is_dir():
        return [], []
    try:
        found = folder.files()
        if folder.files() != found:
            raise FileNotFoundError(f"{folder.messages} changed while it was listed")
        whole = {file.path for file in found if is_whole(file.path)}
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AnalyticStoreError(
            f"analytic store {folder.root} cannot be read: {error.strerror}"
        ) from error
    files = [file for file in found if file.path in whole]
    return files, [file.path for file in found if file.path not in whole]


def _make_views(
    engine: DuckDBPyConnection,
    folder: StoreFolder,
    files: Sequence[DataFile],
    answer_files: Sequence[DataFile] | None,
    sql: str,
) -> Sequence[View]:
    import duckdb

    try:
        topics = topics_in(engine, [file.path for file in files])
        types = {name for of_topic in topics.values() for name in of_topic}
        views = [
            messages_view(files),
            *([answers_view(answer_files)] if answer_files is not None else []),
            *topic_views(topics),
            *type_views(topics),
            *daily_views(folder, files, types),
        ]
        for schema in sorted({view.schema for view in views} - {"main"}):
            engine.execute(f"CREATE SCHEMA {quoted(schema)}")
        for view in _asked_for(views, sql):
            engine.execute(view.create())
    except duckdb.Error as error:
        raise _unreadable(error) from error
    return views


def _asked_for(views: Sequence[View], sql: str) -> Sequence[View]:
    """Return the tables that a question may name: making one costs a look at every file.

    Who asks which tables there are gets them all.
    """
    lowered = sql.lower()
    if _CATALOG.search(lowered):
        return views
    return [
        view
        for view in views
        if view.is_base
        or view.name.lower() in lowered
        or (view.schema == TYPE_SCHEMA and DAILY_SCHEMA in lowered)  # Made of those.
    ]


def _close_in(engine: DuckDBPyConnection, folder: StoreFolder, answers: StoreFolder) -> None:
    """Let queries read the store and nothing else, and change no setting back."""
    allowed = [str(place) for place in (folder.messages, folder.daily, answers.messages)]
    engine.execute("SET allowed_directories = ?", [allowed])
    engine.execute("SET enable_external_access = false")
    engine.execute("SET lock_configuration = true")


def ask(root: Path, sql: str, settings: QuerySettings) -> Answer:
    """Open a store, ask, and close it; asks again, for `seconds_max`, when a compaction took a file away meanwhile.

    Raises:
        AnalyticStoreError: There is no store, or it cannot be read.
        QueryError: The query is wrong, or does more than read.
        QueryLimitError: It needs more memory, or longer, than it may.
    """
    until = time.monotonic() + settings.seconds_max
    while True:
        try:
            with open_store(root, settings, sql) as store:
                return store.ask(sql)
        except FileNotFoundError as error:
            if time.monotonic() > until:
                raise AnalyticStoreError(
                    f"files of {root} went away while they were read, for {settings.seconds_max:g} s: is something "
                    f"else deleting them, or the query longer than compactions are apart? ({_first_line(error)})"
                ) from error
        time.sleep(LOOK_AGAIN_SECONDS)


def _unreadable(error: Exception) -> Exception:
    if "No such file" in str(error) or "No files found" in str(error):
        return FileNotFoundError(str(error))
    return AnalyticStoreError(f"a file of the store cannot be read: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """Return what was wrong, without the drawing of where, and without guesses among tables that are not ours."""
    for line in str(error).splitlines():
        if line.strip():
            return line.strip().rstrip(".")
    return type(error).__name__
