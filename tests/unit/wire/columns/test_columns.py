"""Columns refuse what is no batch, in words that say what to do."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bellwire.wire.columns import (
    COLUMNS_MAX,
    Column,
    ColumnCountError,
    ColumnDtypeError,
    ColumnLengthError,
    ColumnMissingError,
    ColumnNameError,
    ColumnRepeatedError,
    Columns,
    ColumnScaleError,
    RowCountError,
)


def ints(*values: int):
    return np.array(values, dtype="int64")


def quotes() -> Columns:
    return Columns("quotes", [Column("bid", ints(100, 101), 2), Column("ask", ints(102, 103), 2)])


def test_it_gives_back_what_it_was_given():
    columns = quotes()
    assert (columns.table, len(columns), columns.names) == ("quotes", 2, ("bid", "ask"))
    assert columns["ask"].tolist() == [102, 103]
    assert columns.scale("ask") == 2
    assert columns.floats("bid").tolist() == [1.0, 1.01]
    assert "bid" in columns
    assert "size" not in columns


def test_its_arrays_cannot_be_written_but_those_it_was_made_of_still_can():
    values = ints(1, 2)
    columns = Columns("t", [Column("a", values)])
    with pytest.raises(ValueError, match="read-only"):
        columns["a"][0] = 7
    values[0] = 7


def test_rows_are_views():
    columns = quotes()
    part = columns.rows(1, 2)
    assert part["bid"].tolist() == [101]
    assert np.shares_memory(part["bid"], columns["bid"])
    with pytest.raises(RowCountError):
        columns.rows(2, 9)


def test_columns_of_unequal_length_are_refused_by_name():
    with pytest.raises(ColumnLengthError, match=r"'ask' holds 1 values, expected 2 as in 'bid'"):
        Columns("t", [Column("bid", ints(1, 2)), Column("ask", ints(1))])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 2], "is a list.*numpy.array"),
        (np.array([1.5]), "<f8.*from_floats"),
        (np.array([1], dtype="int32"), "<i4.*astype"),
        (np.array([1], dtype="uint64"), "<u8.*astype"),
        (np.array([1], dtype=">i8"), ">i8.*big-endian"),
        (np.array([True]), "whole numbers"),
        (np.array(["1"]), "whole numbers"),
        (np.array(["2024-01-01"], dtype="datetime64[ns]"), "whole numbers"),
        (np.array([[1, 2]]), r"shape \(1, 2\)"),
        (np.array(1), r"shape \(\)"),
    ],
    ids=lambda value: getattr(value, "dtype", None) and f"{value.dtype.str}-{value.ndim}",
)
def test_what_is_no_array_of_int64_is_refused_and_never_converted(values, words):
    with pytest.raises(ColumnDtypeError, match=words):
        Column("price", values)


@pytest.mark.parametrize("scale", [-1, 19, 2.0, True, "2", None, np.int64(2)])
def test_a_scale_is_a_whole_number_from_0_to_18(scale):
    with pytest.raises(ColumnScaleError, match=r"scale of column 'price'.*from 0 to 18"):
        Column("price", ints(1), scale)


@pytest.mark.parametrize("name", ["", "x" * 65, "ü" * 33, "\ud800"])
def test_a_name_has_1_to_64_bytes(name):
    with pytest.raises(ColumnNameError, match="1 to 64 bytes"):
        Column(name, ints(1))
    with pytest.raises(ColumnNameError, match="name of the table"):
        Columns(name, [Column("a", ints(1))])


def test_a_name_may_have_64_bytes_of_any_script():
    assert Columns("ü" * 32, [Column("x" * 64, ints(1))]).names == ("x" * 64,)


def test_no_name_is_there_twice():
    with pytest.raises(ColumnRepeatedError, match="'a' is there twice"):
        Columns("t", [Column("a", ints(1)), Column("a", ints(2))])


def test_there_are_1_to_64_columns_and_at_least_one_row():
    many = [Column(f"c{n}", ints(1)) for n in range(COLUMNS_MAX + 1)]
    assert len(Columns("t", many[:-1]).names) == COLUMNS_MAX
    with pytest.raises(ColumnCountError, match="65 columns, 1 to 64"):
        Columns("t", many)
    with pytest.raises(ColumnCountError, match="0 columns"):
        Columns("t", [])
    with pytest.raises(RowCountError, match=r"0 rows.*send nothing"):
        Columns("t", [Column("a", ints())])


def test_a_column_that_is_missing_is_named_with_those_that_are_there():
    with pytest.raises(
        ColumnMissingError, match=r"'quotes' has no column 'size', it has: bid, ask"
    ) as e:
        quotes()["size"]
    assert isinstance(e.value, KeyError)
    with pytest.raises(ColumnMissingError):
        quotes().scale("size")


@pytest.mark.parametrize("use", ["decode_columns(b'')", "Column('a', [1])"])
def test_without_numpy_it_says_what_to_install(use):
    program = f"import sys; sys.modules['numpy'] = None\nfrom bellwire.wire.columns import *\n{use}"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    last_line = run.stderr.splitlines()[-1]
    assert last_line.endswith(
        "NumpyMissingError: Columns need numpy, which is not installed: install bellwire[agents]."
    )


def test_importing_it_loads_no_numpy():
    program = (
        "import sys, bellwire.wire.columns, bellwire.client.columns; print('numpy' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert run.stdout.strip() == "False"
