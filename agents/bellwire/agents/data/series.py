"""The real market series that ship with the package: small, licensed, recorded in NOTICE."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent

NOTICE: Final = _FOLDER / "NOTICE"
"""Origin, licence, changes and checksums of every file here."""


@dataclass(frozen=True, slots=True)
class BundledSeries:
    """One OHLCV file of the package; read it with `bellwire.agents.bars.read_ohlcv`."""

    symbol: str
    """The message key its bars are published under."""
    interval: str
    """Bar length, as in the topic name `bars.<interval>`."""
    file_name: str
    """Name of the gzip-compressed CSV inside this package."""

    @property
    def path(self) -> Path:
        """Where the file lies on this machine."""
        return _FOLDER / self.file_name


EURUSD_1H: Final = BundledSeries("EURUSD", "1h", "eurusd_1h.csv.gz")
"""EUR/USD, ask side, hourly bars of 2017."""

IBM_1D: Final = BundledSeries("IBM", "1d", "ibm_1d.csv.gz")
"""IBM on its home exchange, daily, 2000-03-01 to 2013-03-01, unadjusted (no split falls inside)."""

BUNDLED_SERIES: Final = (EURUSD_1H, IBM_1D)
