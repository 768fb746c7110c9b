"""Rebuild the bundled series from the files inside the two source wheels (see NOTICE).

Usage: unpack both wheels, then
`python -m bellwire.agents.data.convert FOREX_EURUSD_1H_ASK.csv stocks.csv.gz OUT_FOLDER`.
Only times are rewritten; prices and volumes keep the digits of the source.
"""

import argparse
import csv
import gzip
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bellwire.agents.data.series import EURUSD_1H, IBM_1D

HEADER: Final = ("time", "open", "high", "low", "close", "volume")
_EURUSD_TIME_FORMAT: Final = "%d.%m.%Y %H:%M:%S.%f"  # the source writes 01.01.2017 22:00:00.000
_COMPRESS_LEVEL: Final = 9  # committed once, read often: smallest wins


def eurusd_csv(source: Path) -> str:
    """Return the canonical CSV of the hourly EUR/USD file of gym-anytrading."""
    with source.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        return _canonical(
            [_iso_utc(datetime.strptime(row["Time"], _EURUSD_TIME_FORMAT)), *_ohlcv(row)]
            for row in rows
        )


def equity_csv(source: Path, ticker: str) -> str:
    """Return the canonical CSV of one ticker of bokeh_sampledata's stocks file."""
    with gzip.open(source, "rt", encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        return _canonical(
            [_iso_utc(datetime.fromisoformat(row["Date"])), *_ohlcv(row)]
            for row in rows
            if row["Ticker"] == ticker
        )


def write_gzip(text: str, target: Path) -> None:
    """Compress `text` without a name or time in the header: equal input gives equal bytes."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", _COMPRESS_LEVEL, fileobj=raw, mtime=0) as stream,
    ):
        stream.write(text.encode("ascii"))


def _ohlcv(row: dict[str, str]) -> list[str]:
    return [row[name] for name in ("Open", "High", "Low", "Close", "Volume")]


def _iso_utc(naive: datetime) -> str:
    return naive.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _canonical(rows: Iterable[list[str]]) -> str:
    return "".join(",".join(row) + "\n" for row in (HEADER, *rows))


def main() -> None:
    """Write both bundled files into the folder named last on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("eurusd", type=Path, help="FOREX_EURUSD_1H_ASK.csv of gym-anytrading")
    parser.add_argument("stocks", type=Path, help="stocks.csv.gz of bokeh_sampledata")
    parser.add_argument("out", type=Path, help="folder to write into")
    arguments = parser.parse_args()
    write_gzip(eurusd_csv(arguments.eurusd), arguments.out / EURUSD_1H.file_name)
    write_gzip(equity_csv(arguments.stocks, IBM_1D.symbol), arguments.out / IBM_1D.file_name)


if __name__ == "__main__":
    main()
