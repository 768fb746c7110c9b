"""Read the bars of one symbol from a CSV file and check every cell."""

import csv
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from bellwire.agents.bars._cells import CellError, parse_price, parse_time, parse_volume
from bellwire.agents.bars._header import HEADER_EXAMPLE, columns_of
from bellwire.agents.bars._lines import lines
from bellwire.agents.bars._steps import BarTime, check_steps, usual_step_seconds
from bellwire.agents.bars.bar import Bar, BarSeries
from bellwire.agents.bars.errors import OhlcvFileError, OhlcvProblem
from bellwire.agents.bars.interval import interval_name, interval_seconds

if TYPE_CHECKING:
    from _csv import Reader

ROWS_MAX: Final = 1_000_000  # bars; nearly two years of one-minute bars around the clock
ROWS_MIN_DEFAULT: Final = 2  # bars; the interval cannot be told from fewer

_Parsed = TypeVar("_Parsed")


class _Row(NamedTuple):
    at: BarTime
    numbers: tuple[str, str, str, str, str]  # open, high, low, close, volume


class _Table(NamedTuple):
    path: Path
    header: list[str]
    columns: dict[str, int]

    def error(
        self, problem: OhlcvProblem, what: str, advice: str, line: int, value: str, found: str
    ) -> OhlcvFileError:
        column = self.header[self.columns[value]].strip()
        return OhlcvFileError(
            problem, self.path, what, advice, line=line, column=column, found=found
        )

    def outside(self, value: str, found: str, what: str, line: int) -> OhlcvFileError:
        advice = "check the order of the columns, or drop the row"
        return self.error(OhlcvProblem.OUTSIDE_RANGE, what, advice, line, value, found)


def read_ohlcv(
    path: str | Path,
    *,
    symbol: str,
    interval: str | None = None,
    rows_min: int = ROWS_MIN_DEFAULT,
    strict_gaps: bool = False,
) -> BarSeries:
    """Return the bars of a file, checked and oldest first. Blocks while reading.

    The header names, in any case and order: time (or timestamp, date, datetime), open, high, low,
    close, volume (or vol); other columns are ignored. The time is when the bar opened: ISO 8601,
    UTC if no zone is given, or epoch seconds or milliseconds. Plain numbers keep their digits.

    Args:
        path: CSV file in UTF-8, plain or gzip; told by its first bytes, not by its name.
        symbol: Symbol the bars carry.
        interval: Bar length like `1h`; by default the median step between bars.
        rows_min: Fewest bars the caller can use; never below 2.
        strict_gaps: Refuse missing bars. By default they are counted in `BarSeries.gaps`, since a
            market that closes leaves gaps.

    Raises:
        OhlcvFileError: anything wrong with the file, naming line, column and remedy.
        IntervalError: `interval` is no interval.
    """
    path = Path(path)
    seconds = None if interval is None else interval_seconds(interval)
    rows = list(_rows(path))
    needed = max(rows_min, ROWS_MIN_DEFAULT)
    if len(rows) < needed:
        raise OhlcvFileError(
            OhlcvProblem.TOO_FEW_ROWS,
            path,
            f"{len(rows)} bars, at least {needed} are needed",
            "give a longer file",
        )
    times = [row.at for row in rows]
    if seconds is None:
        seconds = usual_step_seconds(path, times)
    gaps = check_steps(path, times, seconds, strict_gaps=strict_gaps)
    name = interval_name(seconds)
    bars = (Bar(symbol, name, row.at.open_time_unix_nano, *row.numbers) for row in rows)
    return BarSeries(symbol, name, tuple(bars), gaps)


def _rows(path: Path) -> Iterator[_Row]:
    # Closed here and now: a reader left to the garbage collector keeps its file open.
    with closing(lines(path)) as text:
        yield from _parsed(path, csv.reader(text, strict=True))


def _parsed(path: Path, reader: "Reader") -> Iterator[_Row]:
    try:
        header = next(reader, [])
        if not header:
            advice = f"start it with {HEADER_EXAMPLE}"
            raise OhlcvFileError(OhlcvProblem.EMPTY, path, "no header in the first line", advice)
        table = _Table(path, header, columns_of(path, header))
        previous: BarTime | None = None
        for cells in reader:
            line = reader.line_num
            if line > ROWS_MAX + 1:
                what = f"more than {ROWS_MAX} lines"
                raise OhlcvFileError(OhlcvProblem.TOO_LARGE, path, what, "split the file")
            if not cells:
                continue
            row = _row(table, line, cells)
            _check_order(table, previous, row.at, cells)
            previous = row.at
            yield row
    except csv.Error as error:
        raise OhlcvFileError(
            OhlcvProblem.UNREADABLE,
            path,
            f"not CSV ({error})",
            "separate fields by commas, quote none",
            line=reader.line_num,
        ) from error


def _row(table: _Table, line: int, cells: list[str]) -> _Row:
    if len(cells) != len(table.header):
        raise OhlcvFileError(
            OhlcvProblem.FIELD_COUNT,
            table.path,
            f"{len(cells)} fields where the header has {len(table.header)}",
            "give every row one field per column",
            line=line,
            found=",".join(cells),
        )
    time = _cell(table, line, cells, "time", parse_time)
    open_, high, low, close = (
        _cell(table, line, cells, value, parse_price) for value in ("open", "high", "low", "close")
    )
    volume = _cell(table, line, cells, "volume", parse_volume)
    if high.value < low.value:
        raise table.outside("high", high.text, f"below the low {low.text}", line)
    for value, price in (("open", open_), ("close", close)):
        if not low.value <= price.value <= high.value:
            what = f"outside low {low.text} to high {high.text}"
            raise table.outside(value, price.text, what, line)
    return _Row(BarTime(line, time), (open_.text, high.text, low.text, close.text, volume))


def _cell(
    table: _Table, line: int, cells: list[str], value: str, parse: Callable[[str], _Parsed]
) -> _Parsed:
    text = cells[table.columns[value]].strip()
    try:
        return parse(text)
    except CellError as error:
        raise table.error(error.problem, error.what, error.advice, line, value, text) from error


def _check_order(table: _Table, previous: BarTime | None, now: BarTime, cells: list[str]) -> None:
    if previous is None or previous.open_time_unix_nano < now.open_time_unix_nano:
        return
    found = cells[table.columns["time"]].strip()
    if previous.open_time_unix_nano == now.open_time_unix_nano:
        problem, what = OhlcvProblem.TIME_REPEATED, f"the same time as line {previous.line}"
        advice = "keep one bar per time"
    else:
        problem, what = OhlcvProblem.TIME_UNSORTED, f"earlier than line {previous.line}"
        advice = "sort the file by time, oldest first"
    raise table.error(problem, what, advice, now.line, "time", found)
