"""What an agent remembers of one symbol in one interval, and how a signal changes it."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from bellwire.agents.features import FeatureMatrix, InvalidBarError, Observation
from bellwire.agents.tactical.rules import RulesPolicy
from bellwire.agents.tactical.synergy import Synergy
from bellwire.agents.tactical.synergy_watch import SynergyWatch, completed_gap
from bellwire.agents.tactical.verdict import Verdict
from bellwire.trading.v1 import signal_pb2
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Signal

SIGNALS_KEPT_MAX: Final = 1_000  # per symbol; an agent's window: no more bars can come again


@dataclass(slots=True)
class Series:
    """One symbol in one interval; no I/O.

    A position is never more than what signals say: it is read off them, so that the log of signals is
    all it takes to know it again.
    """

    features: FeatureMatrix
    rules: RulesPolicy
    synergies: SynergyWatch | None = None
    """None = switched off, or an agent that does not ask."""
    event: Synergy | None = None
    """Under way; the rule vote asks."""
    position: float = 0.0
    """Where the signals so far lead, -1 to 1, as if all had filled."""
    position_before: float = 0.0
    """Where it was before the newest of them."""
    newest_close: int = -1
    observation: Observation | None = None
    """Of the newest bar; None until there are bars enough."""
    is_open: bool = False
    """Whether the newest bar waits for what comes of it."""
    last_signal: Signal | None = None
    verdict: Verdict | None = None
    """Of the newest bar; None where the rules alone decide, and before the first bar after a start."""
    signals: OrderedDict[int, Signal] = field(default_factory=OrderedDict)
    """By bar close, the newest only: a bar delivered again gives the signal it gave."""
    logged: deque[Signal] = field(default_factory=deque)
    """Published before the start, on bars that did not come yet; by decision time. They come again, or
    are older than the bars that are kept."""

    def push(self, bar: Bar) -> None:
        """Take the prices of the next bar, which is open from then on.

        Raises:
            InvalidBarError: No feature can be computed from it; nothing has changed.
            ValueError: A price is no number; nothing has changed.
        """
        self.features.push(*map(float, (bar.open, bar.high, bar.low, bar.close, bar.volume)))
        self.newest_close = bar.close_time_unix_nano
        if self.synergies is not None:
            with suppress(
                InvalidBarError
            ):  # Beyond its prices there are no events; bars are decided.
                self.event = None
                self.event = self.synergies.push(float(bar.close), completed_gap(self.features))
        self.observation, self.is_open = self.features.observation(), True

    def hear(self, signals: Iterable[Signal]) -> None:
        """Take up what was published elsewhere meanwhile, by decision time: signals newer than those known."""
        known = self.logged[-1] if self.logged else self.last_signal
        newest = -1 if known is None else known.decision_time_unix_nano
        self.logged.extend(each for each in signals if each.decision_time_unix_nano > newest)

    def take_logged(self, close_unix_nano: int) -> Signal | None:
        """Return what was signalled on a bar before the start, having gone by what was signalled earlier."""
        while self.logged and self.logged[0].decision_time_unix_nano < close_unix_nano:
            self._go_by(self.logged.popleft())
        if self.logged and self.logged[0].decision_time_unix_nano == close_unix_nano:
            return self.logged.popleft()
        return None

    def settle(self, signal: Signal | None) -> None:
        """End a bar: go by its signal, if there is one, and let the rules know, whoever decided."""
        before, self.is_open = self.position, False
        if signal is not None:
            self._go_by(signal)
        self.rules.follow(self.features.bar_count, before, self.position)

    def _go_by(self, signal: Signal) -> None:
        self.position_before, self.position = self.position, position_of(signal)
        self.last_signal = signal
        self.signals[signal.decision_time_unix_nano] = signal
        if len(self.signals) > SIGNALS_KEPT_MAX:
            self.signals.popitem(last=False)


def position_of(signal: Signal) -> float:
    """Return where a signal leads, -1 to 1: a target its strength of the way, an entry all of it."""
    if signal.action == signal_pb2.SIGNAL_ACTION_EXIT:
        return 0.0
    share = signal.strength if signal.action == signal_pb2.SIGNAL_ACTION_TARGET else 1.0
    return -share if signal.side == signal_pb2.SIDE_SELL else share
