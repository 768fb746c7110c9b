"""The committed market data is exactly what NOTICE says it is."""

import gzip
import hashlib

import pytest

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import BUNDLED_SERIES, NOTICE

SIZE_BYTES_MAX = 150_000


def notice_entries() -> dict[str, dict[str, str]]:
    """Return the `key: value` lines of NOTICE, grouped by the file they follow."""
    entries: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in NOTICE.read_text(encoding="utf-8").splitlines():
        key, separator, value = line.partition(": ")
        if key == "file":
            current = entries.setdefault(value, {})
        elif separator and " " not in key:
            current[key] = value
    return entries


@pytest.mark.parametrize("series", BUNDLED_SERIES, ids=lambda series: series.file_name)
def test_checksums_rows_and_period_agree_with_the_notice(series):
    entry = notice_entries()[series.file_name]
    packed = series.path.read_bytes()
    text = gzip.decompress(packed)
    lines = text.decode("ascii").splitlines()
    assert hashlib.sha256(packed).hexdigest() == entry["sha256"]
    assert hashlib.sha256(text).hexdigest() == entry["csv_sha256"]
    assert lines[0] == "time,open,high,low,close,volume"
    assert len(lines) - 1 == int(entry["rows"])
    assert lines[1].split(",")[0] == entry["first_time"]
    assert lines[-1].split(",")[0] == entry["last_time"]
    assert len(packed) < SIZE_BYTES_MAX


@pytest.mark.parametrize("series", BUNDLED_SERIES, ids=lambda series: series.file_name)
def test_reader_accepts_every_bundled_bar(series):
    entry = notice_entries()[series.file_name]
    read = read_ohlcv(series.path, symbol=series.symbol)
    assert (read.symbol, read.interval) == (entry["symbol"], entry["interval"])
    assert read.interval == series.interval
    assert len(read.bars) == int(entry["rows"])


def test_every_data_file_is_recorded_with_origin_and_licence():
    entries = notice_entries()
    assert set(entries) == {path.name for path in NOTICE.parent.glob("*.csv*")}
    for entry in entries.values():
        assert {"origin", "origin_wheel_sha256", "origin_file_sha256", "licence"} <= set(entry)


def test_notice_carries_the_mit_licence_its_data_requires():
    text = NOTICE.read_text(encoding="utf-8")
    assert "Copyright (c) 2019 Mohammad Amin Haghpanah" in text
    assert "THE SOFTWARE IS PROVIDED" in text
