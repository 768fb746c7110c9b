"""Bars to train on: a file, a series that ships with the package, or a generated one."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.bars import BarSeries, interval_seconds, read_ohlcv
from bellwire.agents.bars.bar import NANOS_PER_SECOND
from bellwire.agents.data import EURUSD_1H, IBM_1D, BundledSeries
from bellwire.agents.train.errors import UnknownDataError
from bellwire.agents.train.synthetic import Prices, SyntheticSettings, synthetic_prices

SYNTHETIC: Final = "synthetic"
SYNTHETIC_INTERVAL: Final = "5m"
_SYNTHETIC_FIRST_SECOND: Final = 1_577_836_800  # 2020-01-01 UTC; any round time does
_BUNDLED: Final = {"eurusd-1h": EURUSD_1H, "ibm-1d": IBM_1D}

KNOWN_DATA: Final = (*_BUNDLED, SYNTHETIC)
"""Names that need no file."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BarArrays:
    """The bars of one symbol as columns, oldest first, all of one length."""

    symbol: str
    interval: str
    open_times: NDArray[np.int64]
    """Nanoseconds since 1970-01-01 UTC."""
    open: _Floats
    high: _Floats
    low: _Floats
    close: _Floats
    volume: _Floats
    source: str
    """Where they come from, for the card: a file's name or that of a series."""
    sha256: str
    """Of the file as it lies on disk; of the columns' little-endian bytes where there is none."""

    def __len__(self) -> int:
        """Return the number of bars."""
        return len(self.close)

    @property
    def close_times(self) -> NDArray[np.int64]:
        """When each bar closed, nanoseconds since 1970-01-01 UTC."""
        return self.open_times + interval_seconds(self.interval) * NANOS_PER_SECOND

    def close_time(self, bar: int) -> str:
        """Return when a bar closed, ISO 8601 UTC."""
        return utc_text(
            int(self.open_times[bar]) + interval_seconds(self.interval) * NANOS_PER_SECOND
        )


def utc_text(unix_nano: int) -> str:
    """Return a time of the whole second it lies in, ISO 8601 UTC."""
    return datetime.fromtimestamp(unix_nano // NANOS_PER_SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def load_bars(data: str, *, symbol: str = "", seed: int = 0) -> BarArrays:
    """Return the bars that `data` names: one of `KNOWN_DATA`, or else an OHLCV file. Blocks.

    Args:
        data: Name or path.
        symbol: What to call a file's symbol; by default the name of the file up to its first dot.
        seed: Of the generated series.

    Raises:
        UnknownDataError: neither a name nor a file.
        OhlcvFileError: something is wrong with the file.
    """
    if data == SYNTHETIC:
        return generate(SyntheticSettings(seed=seed))
    if data in _BUNDLED:
        return _bundled(_BUNDLED[data])
    path = Path(data)
    if not path.exists():
        raise UnknownDataError(data, KNOWN_DATA)
    series = read_ohlcv(path, symbol=symbol or path.name.partition(".")[0])
    return from_series(series, source=path.name, sha256=_file_sha256(path))


def from_series(series: BarSeries, *, source: str, sha256: str) -> BarArrays:
    """Return bars that were read as columns."""
    numbers = np.array([bar.floats() for bar in series.bars], np.float64)  # (bar, number)
    times = np.array([bar.open_time_unix_nano for bar in series.bars], np.int64)
    prices = Prices(*(np.ascontiguousarray(column) for column in numbers.T))
    return BarArrays(series.symbol, series.interval, times, *prices, source=source, sha256=sha256)


def generate(settings: SyntheticSettings) -> BarArrays:
    """Return a generated series: equal settings give equal bars."""
    prices = synthetic_prices(settings)
    numbers = np.arange(settings.bars, dtype=np.int64)
    seconds = _SYNTHETIC_FIRST_SECOND + interval_seconds(SYNTHETIC_INTERVAL) * numbers
    times = seconds * NANOS_PER_SECOND
    digest = hashlib.sha256()
    for column in (times, *prices):
        digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    source = f"{SYNTHETIC}: seed {settings.seed}, planted {settings.effect_bp:g} bp a bar"
    name = f"SYNTHETIC{settings.seed}"
    return BarArrays(
        name, SYNTHETIC_INTERVAL, times, *prices, source=source, sha256=digest.hexdigest()
    )


def _bundled(series: BundledSeries) -> BarArrays:
    read = read_ohlcv(series.path, symbol=series.symbol, interval=series.interval)
    return from_series(read, source=series.file_name, sha256=_file_sha256(series.path))


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
