"""What a query of the analytic store gives, as a table, JSON lines or CSV."""

from __future__ import annotations

import csv
import math
import sys
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from bellwire.cli.faults import UsageFault
from bellwire.cli.output import (
    Style,
    console,
    encodable,
    error_console,
    harmless,
    plain_table,
    print_json,
)
from bellwire.sink import AnalyticStoreError, QueryError, ask

if TYPE_CHECKING:
    from bellwire.sink import Answer, QuerySettings

__all__ = ["Form", "print_answer"]

Form = Literal["table", "json", "csv"]

CELL_MAX: Final = 200  # Of a table; JSON and CSV cut nothing.
BYTES_SHOWN_MAX: Final = 16


def print_answer(store: Path, sql: str, settings: QuerySettings, form: Form) -> None:
    """Ask, and print the answer; notices go to stderr.

    Raises:
        UsageFault: There is no store there, or the query is wrong.
        QueryLimitError: It needs more than it may have.
    """
    try:
        answer = ask(store, sql, settings)
    except (AnalyticStoreError, QueryError) as error:
        raise UsageFault(error.message) from error
    if form == "json":
        for row in answer.rows:
            print_json(dict(zip(answer.columns, map(_json_value, row), strict=True)))
    elif form == "csv":
        _print_csv(answer)
    else:
        _print_table(answer)
    _print_notices(answer, settings)


def _print_table(answer: Answer) -> None:
    numbers = tuple(
        index
        for index in range(len(answer.columns))
        if any(isinstance(row[index], int | float | Decimal) for row in answer.rows)
    )
    table = plain_table(*map(harmless, answer.columns), right=numbers)
    for row in answer.rows:
        table.add_row(*(_cell(value) for value in row))
    console().print(table, markup=False)


def _print_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    for row in answer.rows:
        writer.writerow(["" if value is None else _csv_value(value) for value in row])
    sys.stdout.flush()


def _print_notices(answer: Answer, settings: QuerySettings) -> None:
    if answer.more:
        error_console().print(
            f"only the first {settings.rows_max:,} rows are shown; --rows shows more",
            style=Style.WARN,
        )
    for path in answer.damaged:
        error_console().print(
            f"damaged file left out: {path}", style=Style.BAD, soft_wrap=True, markup=False
        )


def _json_value(value: object) -> object:
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Decimal):
        # A number where a reader's float is the same number, else the text, which loses nothing.
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, dict):
        return {str(key): _json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(inner) for inner in value]
    return value


def _csv_value(value: object) -> object:
    return b64encode(value).decode("ascii") if isinstance(value, bytes) else encodable(str(value))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bytes):
        rest = f"… ({len(value)} bytes)" if len(value) > BYTES_SHOWN_MAX else ""
        return value[:BYTES_SHOWN_MAX].hex() + rest
    shown = f"{value:.6g}" if isinstance(value, float) else str(value)
    shown = harmless(encodable(shown))
    return shown if len(shown) <= CELL_MAX else f"{shown[: CELL_MAX - 1]}…"
