"""Bars as a model sees them: observations, and what the next bar brought."""

from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.bars import BarSeries, read_ohlcv
from bellwire.agents.data import EURUSD_1H, IBM_1D, BundledSeries
from bellwire.agents.features import feature_rows, observation_windows, ready_after_bars
from bellwire.agents.quantize.errors import CalibrationError

BUNDLED: Final[dict[str, BundledSeries]] = {"eurusd-1h": EURUSD_1H, "ibm-1d": IBM_1D}
"""Names that need no file."""
BARS_MIN: Final = ready_after_bars() + 1  # one bar to decide on and the one after it


@dataclass(frozen=True, slots=True, eq=False)
class BarWindows:
    """The bars of one series that can be decided on, oldest first."""

    source: str
    """The file's name, or that of the series."""
    sha256: str
    """Of the file as it lies on disk."""
    observations: NDArray[np.float32]
    """(bars, 60, 7): a view that shares its rows, 28 bytes a bar."""
    log_returns: NDArray[np.float64]
    """(bars,): from the close of each bar to that of the next."""

    def __len__(self) -> int:
        """Return the number of bars that can be decided on."""
        return len(self.log_returns)

    def part(self, bars: slice) -> Self:
        """Return some of the bars."""
        cut = self.observations[bars], self.log_returns[bars]
        return type(self)(self.source, self.sha256, *cut)


def read_windows(data: str) -> BarWindows:
    """Return the windows of a bundled series or an OHLCV file. Blocks while it reads.

    Raises:
        CalibrationError: No such file, or too few bars.
        OhlcvFileError: Something is wrong with the file.
        InvalidBarError: A bar no feature can be computed from.
    """
    bundled = BUNDLED.get(data)
    path = Path(data) if bundled is None else bundled.path
    if not path.is_file():
        known = ", ".join(BUNDLED)
        raise CalibrationError(data, "no such file", f"an OHLCV file, or one of {known}")
    series = read_ohlcv(path, symbol=path.name.partition(".")[0], rows_min=BARS_MIN)
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return windows_of(series, source=path.name, sha256=digest)


def windows_of(series: BarSeries, *, source: str, sha256: str) -> BarWindows:
    """Return the windows of bars that were read; the last bar has no next one and is left out."""
    columns = np.array([bar.floats() for bar in series.bars], np.float64).T  # (number, bar)
    observations = observation_windows(feature_rows(*columns))[:-1]  # (bars, 60, 7)
    close = columns[3, ready_after_bars() - 1 :]
    return BarWindows(source, sha256, observations, np.log(close[1:] / close[:-1]))
