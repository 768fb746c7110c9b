"""The table: its name, the columns it should have, and those it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bellwire.sink.columns import COLUMNS
from bellwire.sink.errors import AnalyticStoreError
from bellwire.sink.settings import BIGQUERY_TABLE

__all__ = ["NEEDED", "TableName", "columns_in", "create_statement"]

# What a message is found by, and what makes it whole; a table may lack any of the others.
NEEDED: Final = (
    "topic",
    "partition",
    "offset",
    "source",
    "id",
    "admitted_time",
    "stored_time",
    "data",
)
_TYPES: Final = {
    "VARCHAR": "STRING",
    "INTEGER": "INT64",
    "BIGINT": "INT64",
    "UBIGINT": "NUMERIC",  # INT64 has no room for the upper half.
    "TIMESTAMP_NS": "TIMESTAMP",  # Microseconds: BigQuery keeps no more.
    "BOOLEAN": "BOOL",
    "BLOB": "BYTES",
}
_ALSO: Final = {"STRING": ("JSON",), "NUMERIC": ("BIGNUMERIC",)}
# TableFieldSchema.Type and .Mode of the contract.
_TYPE_NAMES: Final = {1: "STRING", 2: "INT64", 5: "BYTES", 6: "BOOL", 7: "TIMESTAMP"} | {
    12: "NUMERIC",
    13: "BIGNUMERIC",
    15: "JSON",
}
_REQUIRED: Final = 2
_REPEATED: Final = 3


@dataclass(frozen=True, slots=True)
class TableName:
    """PROJECT.DATASET.TABLE."""

    project: str
    dataset: str
    table: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read a name.

        Raises:
            AnalyticStoreError: It is none.
        """
        found = BIGQUERY_TABLE.fullmatch(text)
        if found is None:
            raise AnalyticStoreError(
                f"BigQuery table {text!r} cannot be: expected PROJECT.DATASET.TABLE"
            )
        return cls(**found.groupdict())

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def path(self) -> str:
        """As the API names it."""
        return f"projects/{self.project}/datasets/{self.dataset}/tables/{self.table}"


def create_statement(table: TableName) -> str:
    """Return the SQL that makes a table with all columns, for whoever has the right to."""
    columns = ", ".join(f"`{column.name}` {_TYPES[column.sql_type]}" for column in COLUMNS)
    return (
        f"CREATE TABLE `{table}` ({columns}) "
        "PARTITION BY DATE(admitted_time) CLUSTER BY key, source, topic"
    )


def columns_in(schema: Any, table: TableName) -> tuple[str, ...]:
    """Return which of our columns a table has, in our order; what it has beyond stays NULL.

    Args:
        schema: Its TableSchema.
        table: Its name, for errors.

    Raises:
        AnalyticStoreError: A column is missing that must be there, has another type, or must be filled and is
            not ours.
    """
    # proto-plus puts an underscore behind names that Python has a use for.
    kinds = {field.name: (field.type_, field.mode) for field in schema.fields}
    missing = [name for name in NEEDED if name not in kinds]
    if missing:
        raise AnalyticStoreError(
            f"BigQuery table {table} has no column {', '.join(missing)}: add it, or make another table with: "
            f"{create_statement(table)}"
        )
    for column in COLUMNS:
        wanted = _TYPES[column.sql_type]
        type_, mode = kinds.get(column.name, (None, None))
        found = _TYPE_NAMES.get(type_, f"another type ({type_})") if type_ is not None else wanted
        if found != wanted and found not in _ALSO.get(wanted, ()):
            raise AnalyticStoreError(
                f"column {column.name} of BigQuery table {table} is {found}, expected {wanted}"
            )
        if mode == _REPEATED:
            raise AnalyticStoreError(
                f"column {column.name} of BigQuery table {table} is REPEATED, expected one value"
            )
    ours = {column.name for column in COLUMNS}
    foreign = [name for name, (_, mode) in kinds.items() if mode == _REQUIRED and name not in ours]
    if foreign:
        raise AnalyticStoreError(
            f"BigQuery table {table} requires column {', '.join(foreign)}, which no message has: "
            "ALTER COLUMN … DROP NOT NULL"
        )
    return tuple(column.name for column in COLUMNS if column.name in kinds)
