"""What can be wrong with an OHLCV file."""

from enum import StrEnum
from pathlib import Path
from typing import Final

from bellwire.wire.errors import CallerError

_FOUND_CHARS_MAX: Final = 80  # a message is one or two terminal lines, whatever the file holds


class OhlcvProblem(StrEnum):
    """The kinds of fault, for programs; people read the message."""

    UNREADABLE = "UNREADABLE"
    """Missing, a folder, not permitted, a broken gzip, not UTF-8, not CSV."""
    EMPTY = "EMPTY"
    """No header line."""
    COLUMN_MISSING = "COLUMN_MISSING"
    """The header lacks a needed column."""
    COLUMN_REPEATED = "COLUMN_REPEATED"
    """Two columns claim the same meaning, like `date` and `time`."""
    FIELD_COUNT = "FIELD_COUNT"
    """A row has more or fewer fields than the header."""
    NOT_A_NUMBER = "NOT_A_NUMBER"
    """An empty, NaN, infinite or non-numeric cell."""
    NOT_POSITIVE = "NOT_POSITIVE"
    """A price at or below 0, or a negative volume."""
    OUTSIDE_RANGE = "OUTSIDE_RANGE"
    """High below low, or open or close outside the two."""
    TIME_INVALID = "TIME_INVALID"
    """Neither ISO 8601 nor epoch seconds or milliseconds."""
    TIME_UNSORTED = "TIME_UNSORTED"
    """A bar earlier than the one before it."""
    TIME_REPEATED = "TIME_REPEATED"
    """Two bars with the same time."""
    INTERVAL = "INTERVAL"
    """The usual step between bars is no supported interval."""
    OVERLAP = "OVERLAP"
    """A bar that opens before the one before it has closed."""
    GAP = "GAP"
    """Missing bars, where the caller asked for none."""
    TOO_FEW_ROWS = "TOO_FEW_ROWS"
    """Fewer bars than the caller needs."""
    TOO_LARGE = "TOO_LARGE"
    """More rows, or a longer line, than the reader takes."""


class OhlcvFileError(CallerError):
    """An OHLCV file cannot be used: which line and column, what was found, what to do."""

    reason = "OHLCV_INVALID"

    def __init__(
        self,
        problem: OhlcvProblem,
        path: Path,
        what: str,
        advice: str,
        *,
        line: int | None = None,
        column: str | None = None,
        found: str | None = None,
    ) -> None:
        self.problem = problem
        self.path = path
        self.line = line
        """Line in the file, the header being 1; None when the file as a whole is meant."""
        self.column = column
        """Name of the column as the header spells it; None when the whole row is meant."""
        self.found = found
        """The offending text."""
        self.advice = advice
        where = str(path)
        where += f", line {line}" if line is not None else ""
        where += f", column {column!r}" if column is not None else ""
        seen = f", found {_shortened(found)!r}" if found is not None else ""
        known = {"path": str(path), "line": line, "column": column, "found": found}
        super().__init__(
            f"{where}: {what}{seen}; {advice}",
            metadata={
                name: _shortened(str(value)) for name, value in known.items() if value is not None
            },
        )


def _shortened(text: str) -> str:
    return text if len(text) <= _FOUND_CHARS_MAX else text[:_FOUND_CHARS_MAX] + "…"
