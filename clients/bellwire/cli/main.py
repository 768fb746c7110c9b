"""The door of the `bellwire` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main", "run"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave the process with its exit code."""
    status = run(arguments)
    _flush_or_abandon()
    sys.exit(status)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; errors go to stderr, one line each."""
    try:
        from bellwire.cli import app
    except ModuleNotFoundError as error:
        # The base install has no command line, so that agent processes stay small.
        if error.name not in ("typer", "rich"):
            raise
        sys.stderr.write("error: the command needs its own packages: pip install 'bellwire[cli]'\n")
        return 1
    return app.run(arguments)


def _flush_or_abandon() -> None:
    """Flush stdout; when its reader is gone, point it nowhere so that exit stays silent."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
