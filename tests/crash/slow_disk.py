"""`bellwire` on a disk that is slow to commit: what was only received stays so for a while.

On a fast disk it is on disk before anybody could kill the coordinator; a test of what a kill takes away
would then depend on luck. Usage: `python -m tests.crash.slow_disk serve …`, as the command itself.
"""

from __future__ import annotations

import sqlite3
import time
from functools import partial
from typing import Any, Final

from bellwire.cli.main import main

COMMIT_SECONDS: Final = 0.05


class SlowConnection(sqlite3.Connection):
    """Waits before each COMMIT, as a disk that is busy does."""

    def execute(self, statement: str, /, *parameters: Any) -> sqlite3.Cursor:
        """Run one statement."""
        if statement == "COMMIT":
            time.sleep(COMMIT_SECONDS)
        return super().execute(statement, *parameters)


if __name__ == "__main__":
    sqlite3.connect = partial(sqlite3.connect, factory=SlowConnection)  # type: ignore[assignment]
    main()
