"""The synergy event under way in one series: signals from its closes and gaps, then events from signals.

* mlmi turns when the five most alike of the last 60 bars were followed by at least three more moves of one
  direction than of the other (`neighbours_min` is that over five), and were not on the bar before. A close that
  repeats counts for neither, so that on coarse ticks three without any against are enough.
* nwrqk turns when the slope of the faster kernel line changes its sign.
* fvg turns on the bar that completes a fair value gap.

Where an indicator points when it is first known is no turn.
"""

import math

from bellwire.agents.features import FeatureMatrix
from bellwire.agents.strategic.features import StrategicColumn, StrategicFeatures
from bellwire.agents.tactical.synergy import Synergy
from bellwire.agents.tactical.synergy_detector import Signals, SynergyDetector
from bellwire.agents.tactical.synergy_settings import SynergySettings


class SynergyWatch:
    """Follows one series; feed it every closed bar once, in order, from the first. Half a millisecond a bar."""

    __slots__ = ("_detector", "_event", "_features", "_left_bars", "_mlmi", "_nwrqk", "_settings")

    def __init__(self, settings: SynergySettings | None = None) -> None:
        self._settings = settings or SynergySettings()
        self._detector = SynergyDetector(self._settings)
        self._features = StrategicFeatures()
        self._mlmi: int | None = None  # where each pointed on the bar before, None = not known yet
        self._nwrqk: int | None = None
        self._event: Synergy | None = None
        self._left_bars = 0

    def push(self, close: float, gap: int) -> Synergy | None:
        """Take the next bar; return the event under way, the newest of several.

        Args:
            close: Of the bar.
            gap: Direction of the fair value gap that it completed, 0 = none; see `completed_gap`.

        Raises:
            InvalidBarError: The close is no price from 1e-18 to 1e18; nothing has changed then.
        """
        row = self._features.push(close)
        mlmi = nwrqk = 0
        if row is not None:
            likeness = float(row[StrategicColumn.NEIGHBOURS_DIRECTION])
            mlmi = self._turned_mlmi(likeness)
            nwrqk = self._turned_nwrqk(float(row[StrategicColumn.LINE_FAST_SLOPE]))
        event = self._detector.push(Signals(mlmi, nwrqk, gap))
        if event is not None:
            self._event, self._left_bars = event, self._settings.lasts_bars
        elif self._left_bars:
            self._left_bars -= 1
        return self._event if self._left_bars else None

    def _turned_mlmi(self, likeness: float) -> int:
        enough = abs(likeness) >= self._settings.neighbours_min
        before, now = self._mlmi, _sign(likeness) if enough else 0
        self._mlmi = now
        return 0 if before is None or now == before else now

    def _turned_nwrqk(self, slope: float) -> int:
        before, now = self._nwrqk, _sign(slope) or self._nwrqk  # Level is no turn.
        self._nwrqk = now
        return 0 if before is None or now is None or now == before else now


def completed_gap(features: FeatureMatrix) -> int:
    """Return the direction of the fair value gap that the newest bar completed, 0 without one."""
    zones = features.zones
    is_new = bool(zones) and zones[-1].created_bar == features.bar_count - 1
    return int(zones[-1].kind) if is_new else 0


def _sign(value: float) -> int:
    return int(math.copysign(1.0, value)) if value else 0
