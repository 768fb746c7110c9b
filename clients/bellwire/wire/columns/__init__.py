"""Market data as columns: numpy arrays in, one payload, read-only numpy views out.

Importing this needs no numpy; using it does (`bellwire[agents]`).
"""

from bellwire.wire.columns.columns import COLUMNS_MAX, NAME_BYTES_MAX, ROWS_MAX, Column, Columns
from bellwire.wire.columns.decoder import decode_columns
from bellwire.wire.columns.encoder import COLUMNS_BYTES_MAX, encode_columns
from bellwire.wire.columns.errors import (
    ColumnCountError,
    ColumnDtypeError,
    ColumnInexactError,
    ColumnLengthError,
    ColumnMissingError,
    ColumnNameError,
    ColumnRepeatedError,
    ColumnScaleError,
    ColumnsCorruptError,
    ColumnsError,
    ColumnWidthError,
    NumpyMissingError,
    RowCountError,
)
from bellwire.wire.columns.fixed_point import SCALE_MAX, from_floats, to_floats
from bellwire.wire.columns.split import rows_per_message, split_columns

__all__ = [
    "COLUMNS_BYTES_MAX",
    "COLUMNS_MAX",
    "NAME_BYTES_MAX",
    "ROWS_MAX",
    "SCALE_MAX",
    "Column",
    "ColumnCountError",
    "ColumnDtypeError",
    "ColumnInexactError",
    "ColumnLengthError",
    "ColumnMissingError",
    "ColumnNameError",
    "ColumnRepeatedError",
    "ColumnScaleError",
    "ColumnWidthError",
    "Columns",
    "ColumnsCorruptError",
    "ColumnsError",
    "NumpyMissingError",
    "RowCountError",
    "decode_columns",
    "encode_columns",
    "from_floats",
    "rows_per_message",
    "split_columns",
    "to_floats",
]
