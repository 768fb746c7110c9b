"""Changes to database files behind the store's back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def set_pragma(database: Path, name: str, value: int) -> None:
    """Set one of the numbers SQLite keeps in a file's header."""
    rewrite(database, f"PRAGMA {name} = {value}")


def rewrite(database: Path, *statements: str) -> None:
    """Execute statements on a database whose store is closed."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def number_in(database: Path, statement: str) -> int:
    """Return the one number a statement gives."""
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(statement).fetchone()[0])
