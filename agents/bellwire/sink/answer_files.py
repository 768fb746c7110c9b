"""The files of the table `answers`: where they stand, what they hold, and how SQL reads them.

STORE/answers-LOCK                          held by the coordinator that writes
STORE/answers/day=2026-11-21/L0-<ns>-<rows>.parquet
STORE/answers-aside/                        written here first
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from bellwire.sink.columns import Column
from bellwire.sink.engine import text
from bellwire.sink.errors import AnalyticStoreLockedError
from bellwire.sink.folder import DataFile, StoreFolder
from bellwire.sink.views import View

__all__ = ["ANSWER_COLUMNS", "AnswerFolder", "answers_in", "answers_view", "newest_answers"]

TABLE: Final = "answers"
ANSWER_COLUMNS: Final = (
    Column("capability", "VARCHAR"),
    Column("version", "VARCHAR"),
    Column("question", "VARCHAR"),
    Column("validity", "VARCHAR"),
    Column("outdated_by", "VARCHAR"),
    Column("made_time", "TIMESTAMP_NS", "make_timestamp_ns({})"),
    Column("expire_time", "TIMESTAMP_NS", "make_timestamp_ns({})"),
    Column("answer", "VARCHAR"),
    Column("value", "BLOB"),
)
_EMPTY: Final = "SELECT {}, NULL::VARCHAR AS filename WHERE false".format(
    ", ".join(f'NULL::{column.sql_type} AS "{column.name}"' for column in ANSWER_COLUMNS)
)
_TYPED: Final = ", ".join(
    f'TRY_CAST("{column.name}" AS {column.sql_type}) AS "{column.name}"'
    for column in ANSWER_COLUMNS
)


class AnswerFolder(StoreFolder):
    """The part of a store that coordinators write."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.messages = root / TABLE
        self.daily = self.messages
        self.aside = root / f"{TABLE}-aside"
        self.lock_file = root / f"{TABLE}-LOCK"

    def lock(self) -> int:
        """Keep other coordinators from writing until the descriptor returned is closed, or we die.

        Raises:
            AnalyticStoreError: The folder cannot be made or written.
            AnalyticStoreLockedError: Another coordinator writes here.
        """
        try:
            return super().lock()
        except AnalyticStoreLockedError:
            raise AnalyticStoreLockedError(
                f"another coordinator keeps its answers in {self.messages}: this one only reads them"
            ) from None


def answers_in(paths: Iterable[Path]) -> str:
    """Return a query of all rows in these files: what one lacks, or has as something else, is NULL there."""
    files = ", ".join(text(str(path)) for path in paths)
    if not files:
        return _EMPTY
    rows = (
        f"({_EMPTY}) UNION ALL BY NAME (SELECT * FROM read_parquet([{files}], union_by_name = true, "
        "hive_partitioning = false, filename = true))"
    )
    return f"SELECT {_TYPED}, filename FROM ({rows})"


def newest_answers(paths: Iterable[Path], since_ns: int) -> str:
    """Return a query of each question's newest answer, without those too old."""
    columns = ", ".join(column.name for column in ANSWER_COLUMNS)
    return (
        f"SELECT {columns} FROM ({answers_in(paths)}) WHERE epoch_ns(expire_time) > {since_ns} "
        "QUALIFY row_number() OVER (PARTITION BY capability, version, question ORDER BY made_time DESC) = 1"
    )


def answers_view(files: Sequence[DataFile]) -> View:
    """Return the table `answers`: all that were kept, those that are outdated by now included."""
    columns = ", ".join(column.name for column in ANSWER_COLUMNS)
    rows = answers_in(file.path for file in files)
    return View(
        "main",
        TABLE,
        f"SELECT {columns}, CAST(made_time AS DATE) AS day FROM ({rows}) QUALIFY row_number() OVER "
        "(PARTITION BY capability, version, question, made_time ORDER BY filename) = 1",
    )
