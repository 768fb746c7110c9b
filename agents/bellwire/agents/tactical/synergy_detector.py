"""Synergy events out of the signals of three indicators, without I/O, bar after bar.

An indicator gives a signal on the bar on which it turns to a direction. Three newest signals that agree, the
first and the last of them at most a window of bars apart, make an event on the bar of the last; their order
gives its type:

========  ==================  =====================================================
TYPE_1    mlmi, nwrqk, fvg    a fresh gap confirms: the gaps weigh more
TYPE_2    mlmi, fvg, nwrqk    the smooth line confirms: both weigh alike
TYPE_3    nwrqk, fvg, mlmi    momentum confirms: momentum weighs more
TYPE_4    nwrqk, mlmi, fvg    a fresh gap confirms a line: both weigh alike
========  ==================  =====================================================

An order that begins with fvg has no type: a gap is an answer to a move, no announcement of one. Of signals on
one bar the slower indicator counts as the earlier: mlmi, nwrqk, fvg. A newer signal of an indicator takes the
place of its older one, whichever way that pointed; an event uses its three signals up.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from bellwire.agents.tactical.synergy import Synergy, SynergyType
from bellwire.agents.tactical.synergy_settings import SynergySettings

TYPES: Final[Mapping[tuple[str, ...], SynergyType]] = {
    ("mlmi", "nwrqk", "fvg"): SynergyType.TYPE_1,
    ("mlmi", "fvg", "nwrqk"): SynergyType.TYPE_2,
    ("nwrqk", "fvg", "mlmi"): SynergyType.TYPE_3,
    ("nwrqk", "mlmi", "fvg"): SynergyType.TYPE_4,
}


class Signals(NamedTuple):
    """Which indicators turned on one bar: 1 up, -1 down, 0 did not turn. In the order of ties."""

    mlmi: int = 0
    nwrqk: int = 0
    fvg: int = 0


class SynergyDetector:
    """Follows one series; feed it the signals of every closed bar once, in order."""

    __slots__ = ("_bar", "_newest", "_window_bars")

    def __init__(self, settings: SynergySettings | None = None) -> None:
        self._window_bars = (settings or SynergySettings()).window_bars
        self._bar = 0
        self._newest: dict[str, tuple[int, int]] = {}
        """Bar and direction of each indicator's newest signal, the oldest first; at most three."""

    def push(self, signals: Signals) -> Synergy | None:
        """Take the signals of the next bar; return the event that they complete.

        Its confidence falls with the bars between the first and the last signal, from 1 on one bar to
        1 / window: a rank, not a probability.
        """
        self._bar += 1
        turned = {name: way for name, way in zip(Signals._fields, signals, strict=True) if way}
        for name, direction in turned.items():
            self._newest.pop(name, None)  # So that it comes last in the order of signals.
            self._newest[name] = (self._bar, direction)
        return self._completed() if turned else None

    def _completed(self) -> Synergy | None:
        order = tuple(self._newest)
        directions = {direction for _, direction in self._newest.values()}
        if len(directions) != 1 or order not in TYPES:
            return None
        (direction,) = directions
        apart = self._bar - self._newest[order[0]][0]
        if apart >= self._window_bars:
            return None
        self._newest.clear()
        return Synergy(TYPES[order], direction, 1.0 - apart / self._window_bars, order)
