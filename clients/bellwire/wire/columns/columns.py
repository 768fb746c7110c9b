"""Columns in the hand: names, scales and one int64 array each, checked once and never changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from bellwire.wire.columns.errors import (
    ColumnCountError,
    ColumnDtypeError,
    ColumnLengthError,
    ColumnMissingError,
    ColumnNameError,
    ColumnRepeatedError,
    NumpyMissingError,
    RowCountError,
)
from bellwire.wire.columns.fixed_point import check_scale, to_floats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Int64Array: TypeAlias = NDArray[np.int64]
    Float64Array: TypeAlias = NDArray[np.float64]

COLUMNS_MAX: Final = 64  # Far above any feed's fields; bounds what a reader builds for one message.
ROWS_MAX: Final = 65_536  # One column of so many rows fills the largest message.
NAME_BYTES_MAX: Final = 64
DTYPE: Final = "<i8"  # Little-endian int64: what the contract says `values` are.


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One named column.

    Attributes:
        name: 1..64 bytes.
        values: One-dimensional, little-endian int64; not to be changed any more.
        scale: Decimal places, 0..18: value = integer × 10^-scale.

    Raises:
        ColumnNameError, ColumnDtypeError, ColumnScaleError: The attribute is something else.
    """

    name: str
    values: Int64Array
    scale: int = 0

    def __post_init__(self) -> None:
        check_name("column", self.name)
        check_values(self.name, self.values)
        check_scale(self.name, self.scale)


class Columns:
    """Rows of one table as columns of equal length, for one message.

    `columns[name]` is a read-only array: of a received batch a view into the payload, which it keeps
    alive; of a batch to send a view of what was given.

    Args:
        table: What the rows are, 1..64 bytes.
        columns: 1..64 of them, all with the same rows, at least one; a message takes 65,536 of them.

    Raises:
        ColumnsError: Its class says what is wrong.
    """

    __slots__ = ("_arrays", "row_count", "scales", "table")

    def __init__(self, table: str, columns: Sequence[Column]) -> None:
        check_name("table", table)
        check_column_count(len(columns))
        rows = len(columns[0].values)
        check_some_rows(rows)
        arrays: dict[str, Int64Array] = {}
        for column in columns:
            if column.name in arrays:
                raise ColumnRepeatedError(column.name)
            if len(column.values) != rows:
                raise ColumnLengthError(
                    column.name,
                    f"{len(column.values)} values",
                    f"{rows} as in {columns[0].name!r}",
                )
            arrays[column.name] = _read_only(column.values)
        self._hold(table, rows, {column.name: column.scale for column in columns}, arrays)

    @classmethod
    def of_checked(
        cls, table: str, row_count: int, scales: dict[str, int], arrays: dict[str, Int64Array]
    ) -> Columns:
        """Hold what a decoder has checked already."""
        columns = cls.__new__(cls)
        columns._hold(table, row_count, scales, arrays)
        return columns

    def _hold(
        self, table: str, row_count: int, scales: dict[str, int], arrays: dict[str, Int64Array]
    ) -> None:
        self.table = table
        self.row_count = row_count
        self.scales = scales
        """Decimal places by name, in the order of the columns."""
        self._arrays = arrays

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self._arrays)

    @property
    def values_bytes(self) -> int:
        """Bytes of all values together."""
        return 8 * self.row_count * len(self._arrays)

    def __len__(self) -> int:
        return self.row_count

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __getitem__(self, name: str) -> Int64Array:
        try:
            return self._arrays[name]
        except KeyError:
            raise ColumnMissingError(name, self.table, self._arrays) from None

    def scale(self, name: str) -> int:
        """Return the decimal places of a column.

        Raises:
            ColumnMissingError: There is no such column.
        """
        try:
            return self.scales[name]
        except KeyError:
            raise ColumnMissingError(name, self.table, self._arrays) from None

    def floats(self, name: str) -> Float64Array:
        """Return a column as float64, a copy; above 2^53 the last digits are rounded.

        Raises:
            ColumnMissingError: There is no such column.
        """
        return to_floats(self[name], self.scale(name))

    def rows(self, start: int, stop: int) -> Columns:
        """Return the rows `start`..`stop` (exclusive) as views.

        Raises:
            RowCountError: That are no rows.
        """
        arrays = {name: values[start:stop] for name, values in self._arrays.items()}
        count = len(next(iter(arrays.values())))
        check_some_rows(count)
        return Columns.of_checked(self.table, count, self.scales, arrays)

    def __repr__(self) -> str:
        return f"Columns({self.table!r}, {self.row_count} rows, {', '.join(self._arrays)})"


def check_name(what: str, name: str) -> None:
    """Refuse a name the contract does not allow.

    Raises:
        ColumnNameError: It is empty, too long, or no UTF-8.
    """
    # Of ASCII, which names are, length and bytes are the same: nothing is encoded to know it.
    if name.isascii() and 0 < len(name) <= NAME_BYTES_MAX:
        return
    size_bytes = len(name.encode(errors="replace"))
    if not 0 < size_bytes <= NAME_BYTES_MAX or any("\ud800" <= c <= "\udfff" for c in name):
        raise ColumnNameError(what, name, NAME_BYTES_MAX)


def check_column_count(count: int) -> None:
    """Refuse no columns, and too many.

    Raises:
        ColumnCountError: Not 1 to 64.
    """
    if not 1 <= count <= COLUMNS_MAX:
        raise ColumnCountError(count, COLUMNS_MAX)


def check_row_count(count: int) -> None:
    """Refuse no rows, and too many.

    Raises:
        RowCountError: Not 1 to 65,536.
    """
    if not 1 <= count <= ROWS_MAX:
        raise RowCountError(count, ROWS_MAX)


def check_some_rows(count: int) -> None:
    """Refuse no rows.

    Raises:
        RowCountError: None.
    """
    if not count:
        raise RowCountError(count, ROWS_MAX)


def check_numpy() -> None:
    """Tell in our words when numpy is absent; the first use of columns asks.

    Raises:
        NumpyMissingError: It is.
    """
    try:
        import numpy  # noqa: F401 - only whether it can be
    except ImportError:
        raise NumpyMissingError from None


def check_values(name: str, values: object) -> None:
    """Refuse what is not an array of the contract's kind; nothing is converted silently.

    Raises:
        ColumnDtypeError: Another type, dtype, byte order or number of dimensions.
    """
    check_numpy()
    import numpy as np

    if not isinstance(values, np.ndarray):
        raise ColumnDtypeError(
            name, f"a {type(values).__name__}", "use numpy.array(…, dtype='int64')"
        )
    if values.dtype != DTYPE:
        raise ColumnDtypeError(name, f"an array of {values.dtype.str}", _advice(values.dtype))
    if values.ndim != 1:
        raise ColumnDtypeError(name, f"an array of shape {values.shape}", "give one column of it")


def _advice(dtype: np.dtype[np.generic]) -> str:
    if dtype.kind == "f":
        return "use from_floats(values, scale)"
    if dtype.str == ">i8":
        return "it is big-endian, use values.astype('<i8')"
    if dtype.kind in "iu":
        return "use values.astype('int64') after making sure that it fits"
    return "use whole numbers"


def _read_only(values: Int64Array) -> Int64Array:
    if not values.flags.writeable:
        return values
    view = values.view()
    view.flags.writeable = False
    return view
