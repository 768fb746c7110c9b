"""Bars that went over the bus, read back as a series: sorted, each once, checked like those of a file."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from bellwire.agents.bars._cells import CellError, parse_price, parse_volume
from bellwire.agents.bars.bar import NANOS_PER_SECOND, Bar, BarSeries, GapReport
from bellwire.agents.bars.interval import IntervalError, interval_seconds
from bellwire.trading.v1.market_data_pb2 import Bar as BarMessage
from bellwire.wire.errors import CallerError

TIME_NANOS_MAX: Final = 2**63 - 1  # 2262: what a signed 64-bit nanosecond clock holds

_Parsed = TypeVar("_Parsed")


class RecordedProblem(StrEnum):
    """The kinds of fault, for programs; people read the message."""

    NONE = "NONE"
    """No bar at all."""
    UNDECODABLE = "UNDECODABLE"
    """Bytes that are no `bellwire.trading.v1.Bar`."""
    SYMBOLS = "SYMBOLS"
    """Bars of several symbols."""
    INTERVALS = "INTERVALS"
    """Bars of several lengths, or of a length without a name."""
    TIME_INVALID = "TIME_INVALID"
    """A bar that does not last as long as its interval says, or one out of the clock's range."""
    OVERLAP = "OVERLAP"
    """A bar that opens before the one before it has closed."""
    NOT_A_NUMBER = "NOT_A_NUMBER"
    """A price or volume that is none."""
    OUTSIDE_RANGE = "OUTSIDE_RANGE"
    """High below low, or open or close outside the two."""


class RecordedBarsError(CallerError):
    """Recorded bars make no series: of what symbol, what was found, what to do."""

    reason = "RECORDED_BARS_INVALID"

    def __init__(self, problem: RecordedProblem, symbol: str, found: str, advice: str) -> None:
        self.problem = problem
        self.symbol = symbol
        self.found = found
        self.advice = advice
        super().__init__(
            f"recorded bars of {symbol}: {found}; {advice}",
            metadata={"symbol": symbol, "problem": problem.value},
        )


@dataclass(frozen=True, slots=True)
class RecordedSeries:
    """A series, and what was left out of it."""

    series: BarSeries
    repeated: int
    """Bars left out because one with their close time came before them."""
    contradicting: int
    """Those of the repeated whose numbers are others than those that came first."""


def recorded_series(symbol: str, payloads: Iterable[bytes]) -> RecordedSeries:
    """Return the bars of one symbol, oldest first, each close time once.

    Of several bars with one close time the first that was published counts: agents trade on it, and
    pass over what comes later.

    Args:
        symbol: The only one there may be.
        payloads: Serialized `bellwire.trading.v1.Bar`, in the order of publication; bounded by who
            calls, about 1 kB of memory each.

    Raises:
        RecordedBarsError: anything wrong with them.
    """
    first: dict[int, BarMessage] = {}
    repeated = contradicting = 0
    for payload in payloads:
        bar = _decoded(symbol, payload)
        kept = first.setdefault(bar.close_time_unix_nano, bar)
        if kept is not bar:
            repeated += 1
            contradicting += _numbers(kept) != _numbers(bar)
    ordered = [first[time] for time in sorted(first)]
    interval = _interval(symbol, ordered)
    gaps = _gaps(symbol, ordered, interval)
    bars = tuple(_checked(symbol, interval, bar) for bar in ordered)
    return RecordedSeries(BarSeries(symbol, interval, bars, gaps), repeated, contradicting)


def _decoded(symbol: str, payload: bytes) -> BarMessage:
    try:
        bar = BarMessage.FromString(payload)
    except DecodeError as error:
        problem, advice = RecordedProblem.UNDECODABLE, "leave that message out of the store"
        found = f"{len(payload)} bytes that are no Bar"
        raise RecordedBarsError(problem, symbol, found, advice) from error
    if bar.symbol != symbol:
        found = f"one of {bar.symbol!r} among them"
        raise RecordedBarsError(RecordedProblem.SYMBOLS, symbol, found, "read one symbol at a time")
    return bar


def _numbers(bar: BarMessage) -> tuple[str, ...]:
    return (bar.interval, bar.open, bar.high, bar.low, bar.close, bar.volume)


def _interval(symbol: str, bars: list[BarMessage]) -> str:
    """Return the one interval of all bars."""
    if not bars:
        advice = "record some with `bellwire sink`, or name another symbol or topic"
        raise RecordedBarsError(RecordedProblem.NONE, symbol, "there are none", advice)
    counts = Counter(bar.interval for bar in bars)
    if len(counts) > 1:
        found = "mixed intervals, " + ", ".join(
            f"{count} of {name}" for name, count in counts.items()
        )
        advice = "give each interval a topic of its own, and name one"
        raise RecordedBarsError(RecordedProblem.INTERVALS, symbol, found, advice)
    (interval,) = counts
    try:
        interval_seconds(interval)
    except IntervalError as error:
        problem = RecordedProblem.INTERVALS
        raise RecordedBarsError(problem, symbol, error.message, "mend the feed") from error
    return interval


def _gaps(symbol: str, bars: list[BarMessage], interval: str) -> GapReport:
    """Check times and return where bars are missing."""
    length = interval_seconds(interval) * NANOS_PER_SECOND
    for bar in bars:
        lasts = bar.close_time_unix_nano - bar.open_time_unix_nano
        if lasts != length or bar.close_time_unix_nano > TIME_NANOS_MAX:
            found = (
                f"one from {bar.open_time_unix_nano} to {bar.close_time_unix_nano} ns, "
                f"where {interval} is {length} ns"
            )
            problem = RecordedProblem.TIME_INVALID
            raise RecordedBarsError(problem, symbol, found, "mend the feed's times")
    count, largest, first_at = 0, 0, None
    for earlier, later in pairwise(bars):
        missing = later.open_time_unix_nano - earlier.close_time_unix_nano
        if missing < 0:
            found = (
                f"one opens at {later.open_time_unix_nano} ns, before the one before it has closed"
            )
            advice = "give each feed a topic of its own"
            raise RecordedBarsError(RecordedProblem.OVERLAP, symbol, found, advice)
        if missing > 0:
            count, largest = count + 1, max(largest, missing)
            first_at = earlier.close_time_unix_nano if first_at is None else first_at
    return GapReport(count, largest // NANOS_PER_SECOND, first_at)


def _checked(symbol: str, interval: str, bar: BarMessage) -> Bar:
    texts = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
    prices = (_parsed(symbol, bar, name, parse_price, text) for name, text in texts.items())
    open_, high, low, close = prices
    volume = _parsed(symbol, bar, "volume", parse_volume, bar.volume)
    if not all(low.value <= price.value <= high.value for price in (open_, close)):
        found = (
            f"open {open_.text} or close {close.text} outside low {low.text} to high {high.text}, "
            f"{_where(bar)}"
        )
        raise RecordedBarsError(RecordedProblem.OUTSIDE_RANGE, symbol, found, "mend the feed")
    return Bar(
        symbol=symbol,
        interval=interval,
        open_time_unix_nano=bar.open_time_unix_nano,
        open=open_.text,
        high=high.text,
        low=low.text,
        close=close.text,
        volume=volume,
    )


def _parsed(
    symbol: str, bar: BarMessage, name: str, parse: Callable[[str], _Parsed], text: str
) -> _Parsed:
    try:
        return parse(text)
    except CellError as error:
        found = f"{name} {text[:80]!r} is {error.what}, {_where(bar)}"
        problem = RecordedProblem.NOT_A_NUMBER
        raise RecordedBarsError(problem, symbol, found, "mend the feed") from error


def _where(bar: BarMessage) -> str:
    return f"in the bar that closed at {bar.close_time_unix_nano} ns"
