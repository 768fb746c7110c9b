"""bellwire.agents.train.data: names, files, and what the card needs to know of them."""

import hashlib

import numpy as np
import pytest

from bellwire.agents.bars import OhlcvFileError
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.train.data import KNOWN_DATA, load_bars
from bellwire.agents.train.errors import UnknownDataError

LINES = ("2024-01-01T00:00:00Z,10,11,9,10.5,100", "2024-01-01T01:00:00Z,10.5,12,10,11,200")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "ACME.daily.csv"
    path.write_text("\n".join(("time,open,high,low,close,volume", *LINES)))
    return path


@pytest.mark.parametrize(
    ("name", "symbol", "interval", "count"),
    [("eurusd-1h", "EURUSD", "1h", 6225), ("ibm-1d", "IBM", "1d", 3270)],
)
def test_a_bundled_series_is_known_by_name(name, symbol, interval, count):
    bars = load_bars(name)
    assert (bars.symbol, bars.interval, len(bars)) == (symbol, interval, count)


def test_the_digest_is_that_of_the_file_on_disk():
    digest = hashlib.sha256(EURUSD_1H.path.read_bytes()).hexdigest()
    assert load_bars("eurusd-1h").sha256 == digest


def test_a_file_gives_its_columns_and_its_name(file):
    bars = load_bars(str(file))
    assert (bars.symbol, bars.interval, bars.source) == ("ACME", "1h", "ACME.daily.csv")
    assert bars.high.tolist() == [11.0, 12.0]
    assert bars.volume.tolist() == [100.0, 200.0]
    assert bars.close_time(1) == "2024-01-01T02:00:00Z"
    assert load_bars(str(file), symbol="XYZ").symbol == "XYZ"


def test_what_is_neither_name_nor_file_is_refused_with_the_names():
    with pytest.raises(UnknownDataError, match="'euros' is no file; give an OHLCV file or one of"):
        load_bars("euros")
    assert KNOWN_DATA == ("eurusd-1h", "ibm-1d", "synthetic")


def test_a_bad_cell_is_refused_by_line_and_column(file):
    file.write_text(file.read_text().replace("9,10.5", "9,nonsense"))
    with pytest.raises(OhlcvFileError, match="line 2, column 'close'"):
        load_bars(str(file))


def test_a_generated_series_depends_on_its_seed_alone():
    once, again, other = (load_bars("synthetic", seed=seed) for seed in (3, 3, 4))
    assert once.sha256 == again.sha256 != other.sha256
    assert np.array_equal(once.close, again.close)
    assert np.diff(once.open_times).tolist() == [300 * 10**9] * (len(once) - 1)
