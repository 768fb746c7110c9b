"""The last words of a process that failed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["log_tail"]

TAIL_BYTES: Final = 16_384  # Enough for a traceback; a log may be large.
TAIL_LINES: Final = 15


def log_tail(path: Path) -> str:
    """Return the last lines of a log, or words for one that is empty or not there."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"(its log {path} cannot be read: {error.strerror})"
    lines = text.rstrip().splitlines()[-TAIL_LINES:]
    return "\n".join(lines) if lines else "(its log is empty)"
