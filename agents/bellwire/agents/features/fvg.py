"""Fair value gaps, one bar at a time.

A gap of three bars whose middle body is large leaves a zone: `[high(i-2), low(i)]` when bullish,
`[high(i), low(i-2)]` when bearish. A zone ends when price crosses it whole (mitigation) or when it
grows too old. Steps per bar: detect new, mitigate older, expire, report. Cost: one pass over the
active zones (at most 51: each bar adds one or none, each lives 50 bars) and over the body window.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from bellwire.wire.settings import SettingsError

BODY_FACTOR: Final = 1.5  # times the mean body: what makes the middle bar of a gap large
ZONE_AGE_BARS_MAX: Final = 50  # bars a zone stays active after the one that created it

TIE: Final = 1e-12  # of the close: far above float64 rounding (2e-16), far below any tick
"""Differences below it are ties, so that rounding never decides (prices times 1e5, say)."""

LOOKBACK_BARS_DEFAULT: Final = 20  # bars of the body mean; short enough to follow volatility
LOOKBACK_BARS_MIN: Final = 2  # a gap looks two bars back
LOOKBACK_BARS_MAX: Final = 500  # bounds the window each bar walks over


def check_lookback(lookback_bars: int) -> None:
    """Refuse a window of the body mean outside its bounds.

    Raises:
        SettingsError: naming the bounds.
    """
    if not LOOKBACK_BARS_MIN <= lookback_bars <= LOOKBACK_BARS_MAX:
        expected = f"{LOOKBACK_BARS_MIN} to {LOOKBACK_BARS_MAX} bars"
        raise SettingsError("features", "lookback_bars", lookback_bars, expected)


class ZoneKind(IntEnum):
    """Which side of the market left the gap."""

    BULLISH = 1
    """Price jumped up; the zone lies below it."""
    BEARISH = -1
    """Price jumped down; the zone lies above it."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One gap, from the bar that completed it until it is mitigated or expires."""

    kind: ZoneKind
    lower: float
    upper: float
    created_bar: int
    """Absolute number of the creating bar, counted from 0 at the first bar ever seen."""


class FvgState(NamedTuple):
    """What the zones look like once a bar has closed."""

    bullish_active: bool
    bearish_active: bool
    nearest_edge: float | None
    """Zone edge closest to the close, in price units; None without an active zone."""
    nearest_age_bars: int
    """Age of the zone that edge belongs to, 0 to 50; 0 without an active zone."""
    mitigated: bool
    """True when this bar crossed at least one older zone whole."""


class FvgDetector:
    """Follow the zones of one symbol; feed it every closed bar once, in order.

    Bars carry an absolute number, so ages and expiry do not depend on how much history the caller
    keeps. Prices must be checked before (see `FeatureMatrix.push`).
    """

    __slots__ = ("_bars", "_bodies", "_earlier", "_lookback", "_previous", "_zones")

    def __init__(self, lookback_bars: int = LOOKBACK_BARS_DEFAULT) -> None:
        check_lookback(lookback_bars)
        self._lookback = lookback_bars
        self._bars = 0
        self._bodies: deque[float] = deque(maxlen=lookback_bars)
        self._earlier = (0.0, 0.0)  # high and low two bars ago
        self._previous = (0.0, 0.0)  # high and low one bar ago
        self._zones: list[Zone] = []  # oldest first

    @property
    def bar_count(self) -> int:
        """How many bars have been seen."""
        return self._bars

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The active zones, oldest first."""
        return tuple(self._zones)

    def update(self, open_: float, high: float, low: float, close: float) -> FvgState:
        """Take the next closed bar and report the zones as they stand after it."""
        bar = self._bars
        created = self._detect(bar, high, low, close)
        mitigated = self._mitigate_and_expire(bar, high, low)
        if created is not None:
            self._zones.append(created)
        self._bodies.append(abs(close - open_))
        self._earlier, self._previous = self._previous, (high, low)
        self._bars = bar + 1
        return self._state(bar, close, mitigated)

    def _detect(self, bar: int, high: float, low: float, close: float) -> Zone | None:
        if bar < self._lookback:
            return None
        high_before, low_before = self._earlier
        if low > high_before:
            kind, lower, upper = ZoneKind.BULLISH, high_before, low
        elif high < low_before:
            kind, lower, upper = ZoneKind.BEARISH, high, low_before
        else:
            return None
        # Summed afresh, oldest first: a running sum drifts, and the batch form adds in this order.
        total = 0.0
        for body in self._bodies:
            total += body
        # No floor on the mean: the middle body is inside the window, so a zero mean is a zero body.
        if self._bodies[-1] > BODY_FACTOR * (total / self._lookback) + TIE * close:
            return Zone(kind, lower, upper, bar)
        return None

    def _mitigate_and_expire(self, bar: int, high: float, low: float) -> bool:
        """Drop the zones this bar ends; tell whether price crossed one (age 51 still counts)."""
        mitigated = False
        kept = []
        for zone in self._zones:
            if low <= zone.lower if zone.kind is ZoneKind.BULLISH else high >= zone.upper:
                mitigated = True
            elif bar - zone.created_bar <= ZONE_AGE_BARS_MAX:
                kept.append(zone)
        self._zones = kept
        return mitigated

    def _state(self, bar: int, close: float, mitigated: bool) -> FvgState:
        """Report; of equally near edges the older zone's counts, then its lower one."""
        bullish = bearish = False
        nearest: float | None = None
        age = 0
        best = float("inf")
        tie = TIE * close
        for zone in self._zones:
            if zone.kind is ZoneKind.BULLISH:
                bullish = True
            else:
                bearish = True
            for edge in (zone.lower, zone.upper):
                distance = abs(edge - close)
                if distance < best - tie:
                    best, nearest, age = distance, edge, bar - zone.created_bar
        return FvgState(bullish, bearish, nearest, age, mitigated)
