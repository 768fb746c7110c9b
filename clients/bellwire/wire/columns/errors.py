"""What can be wrong with columns; a payload too large is the bus's own `PayloadTooLargeError`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bellwire.wire.errors import CallerError

NAMES_SHOWN: Final = 8  # A message is one or two terminal lines, however many columns there are.


class ColumnsError(CallerError):
    """The columns are no batch that can be sent or read."""

    reason = "COLUMNS_INVALID"


class NumpyMissingError(ColumnsError, ImportError):
    """Columns need numpy, which is not installed: install bellwire[agents]."""

    reason = "NUMPY_MISSING"


class ColumnsCorruptError(ColumnsError):
    """The payload is no serialized ColumnBatch."""

    reason = "COLUMNS_CORRUPT"


class ColumnCountError(ColumnsError):
    """There are no columns, or too many."""

    reason = "COLUMN_COUNT"

    def __init__(self, found: int, limit: int) -> None:
        self.found = found
        self.limit = limit
        super().__init__(
            f"batch holds {found} columns, 1 to {limit} are allowed",
            metadata={"found": str(found), "limit": str(limit)},
        )


class RowCountError(ColumnsError):
    """There are no rows, or too many."""

    reason = "COLUMN_ROW_COUNT"

    def __init__(self, found: int, limit: int) -> None:
        self.found = found
        self.limit = limit
        advice = "send nothing instead" if not found else "use split_columns()"
        super().__init__(
            f"batch holds {found} rows, 1 to {limit} are allowed: {advice}",
            metadata={"found": str(found), "limit": str(limit)},
        )


class ColumnNameError(ColumnsError):
    """The name of the table or of a column is empty, too long or no text."""

    reason = "COLUMN_NAME"

    def __init__(self, what: str, name: str, limit_bytes: int) -> None:
        self.name = name
        self.limit_bytes = limit_bytes
        super().__init__(
            f"name of the {what} is {name[:limit_bytes]!r}, 1 to {limit_bytes} bytes of UTF-8 are allowed",
            metadata={"limit_bytes": str(limit_bytes)},
        )


class ColumnRepeatedError(ColumnsError):
    """Two columns have one name."""

    reason = "COLUMN_REPEATED"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"column {name!r} is there twice: give each column a name of its own",
            metadata={"column": name},
        )


class ColumnLengthError(ColumnsError):
    """A column does not hold one value for each row."""

    reason = "COLUMN_LENGTH"

    def __init__(self, name: str, found: str, expected: str) -> None:
        self.name = name
        self.found = found
        self.expected = expected
        super().__init__(
            f"column {name!r} holds {found}, expected {expected}: all columns have the same rows",
            metadata={"column": name, "found": found, "expected": expected},
        )


class ColumnDtypeError(ColumnsError):
    """The values are no one-dimensional numpy array of little-endian int64."""

    reason = "COLUMN_DTYPE"

    def __init__(self, name: str, found: str, advice: str) -> None:
        self.name = name
        self.found = found
        super().__init__(
            f"column {name!r} is {found}, expected a one-dimensional numpy array of little-endian int64: {advice}",
            metadata={"column": name, "found": found},
        )


class ColumnWidthError(ColumnsError):
    """The values have a width that no column has."""

    reason = "COLUMN_WIDTH"

    def __init__(self, name: str, found: int) -> None:
        self.name = name
        self.found = found
        super().__init__(
            f"values of column {name!r} have {found} bytes each, 1, 2, 4 or 8 are allowed",
            metadata={"column": name, "found": str(found)},
        )


class ColumnScaleError(ColumnsError):
    """The scale is not a whole number of decimal places that int64 can have."""

    reason = "COLUMN_SCALE"

    def __init__(self, name: str, found: object, expected: str) -> None:
        self.name = name
        self.found = found
        self.expected = expected
        super().__init__(
            f"scale of column {name!r} is {found!r}, expected {expected}",
            metadata={"column": name, "found": str(found), "expected": expected},
        )


class ColumnMissingError(ColumnsError, KeyError):
    """The batch has no column of that name."""

    reason = "COLUMN_MISSING"

    def __init__(self, name: str, table: str, names: Iterable[str]) -> None:
        self.name = name
        self.table = table
        self.names = tuple(names)
        shown = ", ".join(self.names[:NAMES_SHOWN])
        more = ", …" if len(self.names) > NAMES_SHOWN else ""
        super().__init__(
            f"table {table!r} has no column {name!r}, it has: {shown}{more}",
            metadata={"column": name, "table": table},
        )

    __str__ = Exception.__str__  # KeyError would show the sentence in quotes.


class ColumnInexactError(ColumnsError):
    """A float has no exact integer at the scale asked for."""

    reason = "COLUMN_INEXACT"

    def __init__(self, row: int, found: float, scale: int, advice: str) -> None:
        self.row = row
        self.found = found
        self.scale = scale
        super().__init__(
            f"value {found!r} of row {row} is no decimal of {scale} places that float64 holds exactly: {advice}",
            metadata={"row": str(row), "found": repr(found), "scale": str(scale)},
        )
