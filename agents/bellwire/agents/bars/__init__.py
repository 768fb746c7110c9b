"""OHLCV bars: the values, their interval names, and a reader that checks every cell."""

from bellwire.agents.bars.bar import Bar, BarSeries, GapReport, Ohlcv
from bellwire.agents.bars.errors import OhlcvFileError, OhlcvProblem
from bellwire.agents.bars.interval import IntervalError, interval_name, interval_seconds
from bellwire.agents.bars.ohlcv_file import read_ohlcv
from bellwire.agents.bars.recorded import (
    RecordedBarsError,
    RecordedProblem,
    RecordedSeries,
    recorded_series,
)

__all__ = [
    "Bar",
    "BarSeries",
    "GapReport",
    "IntervalError",
    "Ohlcv",
    "OhlcvFileError",
    "OhlcvProblem",
    "RecordedBarsError",
    "RecordedProblem",
    "RecordedSeries",
    "interval_name",
    "interval_seconds",
    "read_ohlcv",
    "recorded_series",
]
