"""What the demo plays: a series that ships with Bellwire, or the user's own file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bellwire.agents.bars import BarSeries, OhlcvFileError, read_ohlcv
from bellwire.agents.data.series import BUNDLED_SERIES, EURUSD_1H, BundledSeries
from bellwire.cli.demo.report import DataFacts
from bellwire.cli.faults import UsageFault

__all__ = ["MarketData", "choose_market_data"]

SYMBOL: Final = re.compile(r"[a-zA-Z0-9._-]{1,64}")
# The features look back 60 bars; with fewer no agent ever decides anything.
BARS_MIN: Final = 100
BARS_DEFAULT: Final = 1_000  # half a minute on two busy cores, less on idle ones


@dataclass(frozen=True, slots=True)
class MarketData:
    """The file to play, already read once and found good."""

    path: Path
    source: str  # for people
    symbol: str
    interval: str
    series: BarSeries  # cut to the bars that are played

    @property
    def bars(self) -> int:
        """Bars that are played."""
        return len(self.series.bars)

    @property
    def is_usual(self) -> bool:
        """Tell whether this is the series the default limits were made for."""
        return self.path == EURUSD_1H.path.absolute()

    def facts(self) -> DataFacts:
        """Return what the report says of the data."""
        return DataFacts(
            source=self.source,
            sha256=hashlib.sha256(self.path.read_bytes()).hexdigest(),
            symbol=self.symbol,
            interval=self.interval,
            bars=self.bars,
            first_open_unix_nano=self.series.bars[0].open_time_unix_nano,
            last_close_unix_nano=self.series.bars[-1].close_time_unix_nano,
            gaps=self.series.gaps.count,
        )


def choose_market_data(file: Path | None, symbol: str | None, bars: int | None) -> MarketData:
    """Read and check what shall be played.

    Args:
        file: The user's OHLCV file; None = a bundled series.
        symbol: Bundled symbol, or the name the user's bars get (default: from the file's name).
        bars: Play only so many, from the start; None = a default that ends well within a minute.

    Raises:
        UsageFault: No such bundled symbol, a bad name, fewer bars than the agents look back, or
            anything wrong with the file, naming line, column and remedy.
    """
    if bars is not None and bars < BARS_MIN:
        raise UsageFault(
            f"--bars is {bars}; the agents look back 60 bars, give at least {BARS_MIN}"
        )
    if file is None:
        bundled = _bundled(symbol)
        return _read(
            bundled.path, f"bundled {bundled.file_name}", bundled.symbol, bundled.interval, bars
        )
    name = symbol or _symbol_of(file)
    if SYMBOL.fullmatch(name) is None:
        raise UsageFault(f"--symbol is {name!r}; expected {SYMBOL.pattern}")
    return _read(file, str(file), name, None, bars)


def _bundled(symbol: str | None) -> BundledSeries:
    if symbol is None:
        return EURUSD_1H
    for series in BUNDLED_SERIES:
        if series.symbol == symbol.upper():
            return series
    names = " and ".join(series.symbol for series in BUNDLED_SERIES)
    raise UsageFault(f"no bundled series of {symbol!r}; there are {names}, or give --data FILE")


def _symbol_of(file: Path) -> str:
    """Make a symbol of the file's name: eurusd_1h.csv.gz becomes EURUSD_1H."""
    stem = file.name.split(".", 1)[0]
    return re.sub(r"[^a-zA-Z0-9_-]", "-", stem).upper()[:64] or "DATA"


def _read(
    path: Path, source: str, symbol: str, interval: str | None, bars: int | None
) -> MarketData:
    try:
        series = read_ohlcv(path, symbol=symbol, interval=interval, rows_min=BARS_MIN)
    except OhlcvFileError as error:
        raise UsageFault(error.message) from None
    cut = series.bars[: bars or BARS_DEFAULT]
    return MarketData(
        path=path.absolute(),
        source=source,
        symbol=symbol,
        interval=series.interval,
        series=BarSeries(symbol, series.interval, cut, series.gaps),
    )
