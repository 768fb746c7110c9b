"""What the OHLCV reader accepts, and what it says about everything else."""

import gzip

import pytest

from bellwire.agents.bars import (
    GapReport,
    IntervalError,
    OhlcvFileError,
    OhlcvProblem,
    read_ohlcv,
)
from bellwire.agents.bars import ohlcv_file as reader_module
from bellwire.wire.errors import CallerError

HEADER = "time,open,high,low,close,volume\n"
GOOD = (
    HEADER
    + "2017-01-02T00:00:00Z,1.10,1.30,1.00,1.20,100\n"
    + "2017-01-02T01:00:00Z,1.20,1.40,1.10,1.30,0\n"
    + "2017-01-02T02:00:00Z,1.30,1.50,1.20,1.40,120.5\n"
)
MIDNIGHT = 1_483_315_200_000_000_000  # 2017-01-02T00:00:00Z
HOUR = 3_600_000_000_000


@pytest.fixture
def write(tmp_path):
    def _write(content: str | bytes, name: str = "bars.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


@pytest.fixture
def refuse(write):
    def _refuse(content: str | bytes, **options) -> OhlcvFileError:
        with pytest.raises(OhlcvFileError) as caught:
            read_ohlcv(write(content), symbol="X", **options)
        assert isinstance(caught.value, CallerError)
        return caught.value

    return _refuse


def with_row(row: str) -> str:
    """Return the good file with `row` as its third line."""
    lines = GOOD.splitlines(keepends=True)
    return "".join([*lines[:2], row + "\n", *lines[3:]])


# ------------------------------------------------------------------ accepted


def test_bars_keep_digits_symbol_and_inferred_interval(write):
    series = read_ohlcv(write(GOOD), symbol="EURUSD")
    assert (series.symbol, series.interval, len(series.bars)) == ("EURUSD", "1h", 3)
    first = series.bars[0]
    assert (first.symbol, first.interval, first.open_time_unix_nano) == ("EURUSD", "1h", MIDNIGHT)
    assert (first.open, first.high, first.low, first.close) == ("1.10", "1.30", "1.00", "1.20")
    assert [bar.volume for bar in series.bars] == ["100", "0", "120.5"]
    assert series.gaps == GapReport()


def test_gzip_is_told_by_its_bytes_not_its_name(write):
    plain = read_ohlcv(write(GOOD), symbol="X")
    assert read_ohlcv(write(gzip.compress(GOOD.encode()), "zipped.csv"), symbol="X") == plain


@pytest.mark.parametrize(
    "header",
    [
        "Timestamp,Open,High,Low,Close,Vol",
        "DATE,OPEN,HIGH,LOW,CLOSE,VOLUME",
        " datetime , open , high , low , close , volume ",
        "\ufefftime,open,high,low,close,volume",
    ],
)
def test_header_names_are_found_in_any_case_and_spelling(write, header):
    expected = read_ohlcv(write(GOOD), symbol="X")
    assert read_ohlcv(write(GOOD.replace(HEADER.strip(), header)), symbol="X") == expected


def test_columns_may_stand_in_any_order_among_others(write):
    rows = [line.split(",") for line in GOOD.splitlines()]
    shuffled = "\r\n".join(
        ",".join([v, c, "adj" + t[:2], lo, h, o, t]) for t, o, h, lo, c, v in rows
    )
    assert read_ohlcv(write(shuffled), symbol="X") == read_ohlcv(write(GOOD), symbol="X")


@pytest.mark.parametrize(
    "cell",
    [
        "2017-01-02T00:00:00Z",
        "2017-01-02 00:00:00",
        "2017-01-02",
        "2017-01-02T02:00:00+02:00",
        "2017-01-02T00:00:00.000",
        "1483315200",
        "1483315200.0",
        "1483315200000",
    ],
)
def test_time_is_iso_8601_or_epoch_seconds_or_milliseconds(write, cell):
    series = read_ohlcv(write(GOOD.replace("2017-01-02T00:00:00Z", cell)), symbol="X")
    assert series.bars[0].open_time_unix_nano == MIDNIGHT


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("1.2500", "1.2500"),
        ("+1.25", "1.25"),
        ("125e-2", "1.25"),
        (" 1.25 ", "1.25"),
        ("01.25", "1.25"),
    ],
)
def test_numbers_become_plain_decimals(write, cell, text):
    row = f"2017-01-02T01:00:00Z,{cell},1.40,1.10,1.30,0"
    assert read_ohlcv(write(with_row(row)), symbol="X").bars[1].open == text


def test_small_prices_survive_scientific_notation(write):
    row = "2017-01-02T01:00:00Z,1e-7,2e-7,1e-7,1.5e-7,-0"
    bar = read_ohlcv(write(with_row(row)), symbol="X").bars[1]
    assert (bar.open, bar.close, bar.volume) == ("0.0000001", "0.00000015", "0")


def test_blank_lines_are_skipped(write):
    spaced = GOOD.replace("\n", "\n\n")
    assert read_ohlcv(write(spaced), symbol="X") == read_ohlcv(write(GOOD), symbol="X")


@pytest.mark.parametrize(
    ("step", "name"), [(300, "5m"), (86_400, "1d"), (60, "1m"), (14_400, "4h")]
)
def test_interval_is_named_after_the_median_step(write, step, name):
    start = 1_483_315_200
    times = [start, start + step, start + 2 * step, start + 9 * step]
    text = HEADER + "".join(f"{time},1,1,1,1,1\n" for time in times)
    series = read_ohlcv(write(text), symbol="X")
    assert series.interval == name
    assert series.gaps.count == 1


# ------------------------------------------------------------------ gaps


def test_gaps_are_counted_and_measured_not_refused(write):
    text = GOOD + (
        "2017-01-02T05:00:00Z,1,1,1,1,1\n"  # 3 and 4 o'clock are missing
        "2017-01-02T06:00:00Z,1,1,1,1,1\n"
        "2017-01-04T07:00:00Z,1,1,1,1,1\n"
    )
    gaps = read_ohlcv(write(text), symbol="X").gaps
    assert gaps == GapReport(2, 48 * 3_600, MIDNIGHT + 3 * HOUR)


def test_strict_gaps_refuse_the_first_gap_by_line(refuse):
    text = GOOD + "2017-01-02T05:00:00Z,1,1,1,1,1\n"
    error = refuse(text, strict_gaps=True)
    assert (error.problem, error.line) == (OhlcvProblem.GAP, 5)
    assert "bars of 1h are missing" in str(error)


def test_days_of_23_and_25_hours_are_neither_gap_nor_overlap(write):
    text = HEADER + "".join(
        f"2017-{day},1,1,1,1,1\n"
        for day in (
            "03-24T00:00:00+01:00",
            "03-25T00:00:00+01:00",
            "03-26T00:00:00+01:00",
            "03-27T00:00:00+02:00",
            "03-28T00:00:00+02:00",
        )
    )
    series = read_ohlcv(write(text), symbol="X", strict_gaps=True)
    assert (series.interval, series.gaps.count) == ("1d", 0)


def test_a_named_interval_wins_over_the_steps(write):
    series = read_ohlcv(write(GOOD), symbol="X", interval="30m")
    assert series.interval == series.bars[0].interval == "30m"
    assert series.gaps.count == 2


def test_an_interval_that_is_none_is_refused(write):
    with pytest.raises(IntervalError):
        read_ohlcv(write(GOOD), symbol="X", interval="1 hour")


# ------------------------------------------------------------------ refused, cell by cell


@pytest.mark.parametrize(
    ("row", "problem", "column", "found"),
    [
        ("2017-01-02T01:00:00Z,NaN,1.4,1.1,1.3,0", "NOT_A_NUMBER", "open", "NaN"),
        ("2017-01-02T01:00:00Z,1.2,,1.1,1.3,0", "NOT_A_NUMBER", "high", ""),
        ("2017-01-02T01:00:00Z,1.2,1.4,abc,1.3,0", "NOT_A_NUMBER", "low", "abc"),
        ("2017-01-02T01:00:00Z,1.2,1.4,1.1,inf,0", "NOT_A_NUMBER", "close", "inf"),
        ("2017-01-02T01:00:00Z,1.2,1.4,1.1,1.3,1_000", "NOT_A_NUMBER", "volume", "1_000"),
        ("2017-01-02T01:00:00Z,1.2,1e999,1.1,1.3,0", "NOT_A_NUMBER", "high", "1e999"),
        ("2017-01-02T01:00:00Z,1.2,١,1.1,1.3,0", "NOT_A_NUMBER", "high", "١"),
        ("2017-01-02T01:00:00Z,-1.2,1.4,1.1,1.3,0", "NOT_POSITIVE", "open", "-1.2"),
        ("2017-01-02T01:00:00Z,1.2,1.4,0.0,1.3,0", "NOT_POSITIVE", "low", "0.0"),
        ("2017-01-02T01:00:00Z,1.2,1.4,1.1,1.3,-5", "NOT_POSITIVE", "volume", "-5"),
        ("2017-01-02T01:00:00Z,1.2,1.0,1.1,1.3,0", "OUTSIDE_RANGE", "high", "1.0"),
        ("2017-01-02T01:00:00Z,1.5,1.4,1.1,1.3,0", "OUTSIDE_RANGE", "open", "1.5"),
        ("2017-01-02T01:00:00Z,1.2,1.4,1.1,1.0,0", "OUTSIDE_RANGE", "close", "1.0"),
        ("02.01.2017 01:00,1.2,1.4,1.1,1.3,0", "TIME_INVALID", "time", "02.01.2017 01:00"),
        ("20170102,1.2,1.4,1.1,1.3,0", "TIME_INVALID", "time", "20170102"),
        ("1483318800000000,1.2,1.4,1.1,1.3,0", "TIME_INVALID", "time", "1483318800000000"),
        ("1969-01-01,1.2,1.4,1.1,1.3,0", "TIME_INVALID", "time", "1969-01-01"),
        ("2300-01-01,1.2,1.4,1.1,1.3,0", "TIME_INVALID", "time", "2300-01-01"),
        (",1.2,1.4,1.1,1.3,0", "TIME_INVALID", "time", ""),
        ("2017-01-02T00:00:00Z,1.2,1.4,1.1,1.3,0", "TIME_REPEATED", "time", "2017-01-02T00:00:00Z"),
        ("2017-01-01T23:00:00Z,1.2,1.4,1.1,1.3,0", "TIME_UNSORTED", "time", "2017-01-01T23:00:00Z"),
    ],
)
def test_bad_cell_is_named_by_line_column_and_text(refuse, row, problem, column, found):
    error = refuse(with_row(row))
    assert (error.problem, error.line, error.column) == (OhlcvProblem(problem), 3, column)
    assert error.found == found
    assert f"line 3, column '{column}'" in str(error)
    assert str(error).endswith(error.advice)
    assert error.metadata["line"] == "3"
    assert error.metadata["column"] == column


def test_row_with_too_few_fields_is_refused(refuse):
    error = refuse(with_row("2017-01-02T01:00:00Z,1.2,1.4"))
    assert (error.problem, error.line) == (OhlcvProblem.FIELD_COUNT, 3)
    assert "3 fields where the header has 6" in str(error)


def test_column_is_named_as_the_header_spells_it(refuse):
    error = refuse(GOOD.replace("high", " HIGH ").replace("1.40", "x", 1))
    assert error.column == "HIGH"


def test_line_number_counts_blank_lines(refuse):
    error = refuse(with_row("\n\n2017-01-02T01:00:00Z,x,1.4,1.1,1.3,0"))
    assert error.line == 5


# ------------------------------------------------------------------ refused as a whole


@pytest.mark.parametrize("missing", ["time", "open", "high", "low", "close", "volume"])
def test_missing_column_is_named(refuse, missing):
    error = refuse(GOOD.replace(missing, "other", 1))
    assert (error.problem, error.line, error.column) == (OhlcvProblem.COLUMN_MISSING, 1, missing)
    assert "time,open,high,low,close,volume" in error.advice


def test_file_without_a_header_is_told_to_start_with_one(refuse):
    error = refuse(GOOD.removeprefix(HEADER))
    assert error.problem is OhlcvProblem.COLUMN_MISSING
    assert "start the file with" in error.advice


def test_semicolons_are_recognised(refuse):
    error = refuse(GOOD.replace(",", ";"))
    assert error.advice == "separate the fields by commas"


def test_date_beside_time_is_ambiguous(refuse):
    error = refuse(GOOD.replace("volume", "volume,date"))
    assert (error.problem, error.column) == (OhlcvProblem.COLUMN_REPEATED, "date")


@pytest.mark.parametrize("content", ["", "\n"])
def test_empty_file_is_refused(refuse, content):
    assert refuse(content).problem is OhlcvProblem.EMPTY


@pytest.mark.parametrize(("rows", "needed"), [(0, 2), (1, 2), (3, 4)])
def test_too_few_rows_are_counted(refuse, rows, needed):
    text = "".join(GOOD.splitlines(keepends=True)[: rows + 1])
    error = refuse(text, rows_min=needed)
    assert error.problem is OhlcvProblem.TOO_FEW_ROWS
    assert f"{rows} bars, at least {needed} are needed" in str(error)


def test_bars_shorter_apart_than_their_interval_overlap(refuse):
    error = refuse(GOOD, interval="4h")
    assert (error.problem, error.line) == (OhlcvProblem.OVERLAP, 3)


@pytest.mark.parametrize("step", [31 * 86_400, 0.5])
def test_step_that_is_no_interval_is_refused(refuse, step):
    text = HEADER + "".join(
        f"{int((1_483_315_200 + i * step) * 1000)},1,1,1,1,1\n" for i in range(4)
    )
    assert refuse(text).problem is OhlcvProblem.INTERVAL


def test_missing_file_and_folder_are_unreadable(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(OhlcvFileError, match="cannot be read") as caught:
            read_ohlcv(path, symbol="X")
        assert caught.value.problem is OhlcvProblem.UNREADABLE
        assert caught.value.path == path


@pytest.mark.parametrize("damage", ["truncated", "flipped", "trailing"])
def test_broken_gzip_is_unreadable(refuse, damage):
    packed = bytearray(gzip.compress(GOOD.encode()))
    if damage == "truncated":
        del packed[-12:]
    elif damage == "flipped":
        packed[len(packed) // 2] ^= 0xFF
    else:
        packed += b"rubbish"
    assert refuse(bytes(packed)).problem is OhlcvProblem.UNREADABLE


def test_bytes_that_are_not_utf8_are_unreadable(refuse):
    error = refuse(GOOD.encode() + b"\xff\xfe\n")
    assert error.problem is OhlcvProblem.UNREADABLE
    assert "UTF-8" in str(error)


def test_unclosed_quote_is_not_csv(refuse):
    assert refuse(GOOD + '"2017').problem is OhlcvProblem.UNREADABLE


def test_endless_line_is_cut_off_not_loaded(refuse):
    error = refuse(gzip.compress(HEADER.encode() + b"9" * 50_000_000))
    assert (error.problem, error.line) == (OhlcvProblem.TOO_LARGE, 2)
    assert len(str(error)) < 400


def test_more_rows_than_the_bound_are_refused(refuse, monkeypatch):
    monkeypatch.setattr(reader_module, "ROWS_MAX", 2)
    assert refuse(GOOD).problem is OhlcvProblem.TOO_LARGE
