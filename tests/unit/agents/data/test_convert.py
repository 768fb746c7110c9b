"""Sources become the canonical CSV without touching a digit."""

import gzip

from bellwire.agents.data.convert import equity_csv, eurusd_csv, write_gzip


def test_eurusd_times_become_iso_utc_and_digits_stay(tmp_path):
    source = tmp_path / "source.csv"
    source.write_bytes(
        b"Time,Open,High,Low,Close,Volume\r\n"
        b"01.02.2017 22:00:00.000,1.0520,1.05253,1.05221,1.0523,143539993.3\r\n"
    )
    assert eurusd_csv(source) == (
        "time,open,high,low,close,volume\n"
        "2017-02-01T22:00:00Z,1.0520,1.05253,1.05221,1.0523,143539993.3\n"
    )


def test_equity_keeps_one_ticker_and_drops_the_adjusted_close(tmp_path):
    source = tmp_path / "stocks.csv.gz"
    with gzip.open(source, "wt") as stream:
        stream.write("Ticker,Date,Open,High,Low,Close,Volume,Adj Close\n")
        stream.write("AAPL,2000-03-01,1.0,2.0,0.5,1.5,10,0.1\n")
        stream.write("IBM,2000-03-01,102.0,105.5,100.06,100.25,10807800,73.6\n")
    assert equity_csv(source, "IBM") == (
        "time,open,high,low,close,volume\n2000-03-01T00:00:00Z,102.0,105.5,100.06,100.25,10807800\n"
    )


def test_compressing_twice_gives_the_same_bytes_whatever_the_file_name(tmp_path):
    first, second = tmp_path / "a.csv.gz", tmp_path / "other.csv.gz"
    write_gzip("time\n", first)
    write_gzip("time\n", second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[4:8] == b"\0\0\0\0"  # no modification time
    assert gzip.decompress(first.read_bytes()) == b"time\n"
