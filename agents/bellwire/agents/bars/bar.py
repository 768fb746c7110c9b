"""One closed OHLCV bar and a series of them, as read from a file."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from bellwire.agents.bars.interval import interval_seconds

NANOS_PER_SECOND: Final = 1_000_000_000


class Ohlcv(NamedTuple):
    """The numbers of a bar as floats, for features; never for orders."""

    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One closed bar; prices and volume are plain decimal strings, as on the order path."""

    symbol: str
    interval: str
    """Length, like `1h`; part of topic names."""
    open_time_unix_nano: int
    """When the bar opened, nanoseconds since 1970-01-01 UTC."""
    open: str
    high: str
    low: str
    close: str
    volume: str

    @property
    def close_time_unix_nano(self) -> int:
        """When the bar closed: nothing of it may be known before."""
        return self.open_time_unix_nano + interval_seconds(self.interval) * NANOS_PER_SECOND

    def floats(self) -> Ohlcv:
        """Return the nearest floats of the five numbers."""
        return Ohlcv(
            float(self.open),
            float(self.high),
            float(self.low),
            float(self.close),
            float(self.volume),
        )


@dataclass(frozen=True, slots=True)
class GapReport:
    """Times at which bars are missing: weekends and holidays, or lost data."""

    count: int = 0
    """How often two neighbours lie further apart than one interval."""
    largest_seconds: int = 0
    """Longest time without a bar; 0 without a gap."""
    first_at_unix_nano: int | None = None
    """When the first missing bar would have opened; None without a gap."""


@dataclass(frozen=True, slots=True)
class BarSeries:
    """The bars of one file, oldest first, all of one symbol and interval."""

    symbol: str
    interval: str
    bars: tuple[Bar, ...]
    gaps: GapReport
