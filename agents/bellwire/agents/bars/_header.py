"""Which column of a CSV file holds what."""

from pathlib import Path
from typing import Final

from bellwire.agents.bars.errors import OhlcvFileError, OhlcvProblem

_NAMES: Final = {
    "time": ("time", "timestamp", "date", "datetime"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume", "vol"),
}
HEADER_EXAMPLE: Final = ",".join(_NAMES)


def columns_of(path: Path, header: list[str]) -> dict[str, int]:
    """Return the column number of time, open, high, low, close and volume.

    Raises:
        OhlcvFileError: one of them is missing or claimed twice.
    """
    spelled = [name.strip().lower() for name in header]
    columns: dict[str, int] = {}
    for value, names in _NAMES.items():
        at = [index for index, name in enumerate(spelled) if name in names]
        if len(at) > 1:
            raise _repeated(path, value, header[at[0]], header[at[1]])
        if not at:
            raise _missing(path, value, header)
        columns[value] = at[0]
    return columns


def _repeated(path: Path, value: str, first: str, second: str) -> OhlcvFileError:
    return OhlcvFileError(
        OhlcvProblem.COLUMN_REPEATED,
        path,
        f"the columns {first!r} and {second!r} both name the {value}",
        "keep one (day and time of day belong in one column)",
        line=1,
        column=second,
    )


def _missing(path: Path, value: str, header: list[str]) -> OhlcvFileError:
    text = ",".join(header)
    advice = f"start the file with {HEADER_EXAMPLE}"
    if len(header) == 1 and any(separator in text for separator in ";\t|"):
        advice = "separate the fields by commas"
    return OhlcvFileError(
        OhlcvProblem.COLUMN_MISSING,
        path,
        f"no column for the {value} (named {' or '.join(_NAMES[value])})",
        advice,
        line=1,
        column=value,
        found=text,
    )
