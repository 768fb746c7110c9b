"""The rules as an agent: bars in, signals out."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bellwire.agents.features import FeatureMatrix
from bellwire.agents.features.fvg import (
    LOOKBACK_BARS_DEFAULT,
    LOOKBACK_BARS_MAX,
    LOOKBACK_BARS_MIN,
)
from bellwire.agents.tactical.decision import Action, Decision, Side
from bellwire.agents.tactical.followed import Followed
from bellwire.agents.tactical.rules import RulesPolicy, RulesSettings
from bellwire.risk.json_settings import from_json, to_json
from bellwire.runtime import Agent, MessageContext, Outputs, Publication, subscribe, tool
from bellwire.trading.v1 import signal_pb2
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Model, Signal
from bellwire.wire.settings import check_settings, setting

SIGNALS_KEPT_MAX: Final = 1_000  # per symbol; an agent's window: no more bars can come again
RATIONALE_BYTES_MAX: Final = 1_024  # the contract's bound

_ACTIONS: Final = {
    Action.ENTER: signal_pb2.SIGNAL_ACTION_ENTER,
    Action.EXIT: signal_pb2.SIGNAL_ACTION_EXIT,
}
_SIDES: Final = {Side.BUY: signal_pb2.SIDE_BUY, Side.SELL: signal_pb2.SIDE_SELL}


@dataclass(frozen=True, slots=True)
class RulesAgentSettings:
    """Topics and rules of one rules agent."""

    bars_topic: str = field(
        default="bars.1h", metadata=setting(unit="", why="the interval of the bundled EUR/USD bars")
    )
    signals_topic: str = field(
        default="signals.tactical", metadata=setting(unit="", why="all tactical agents share it")
    )
    strategy: str = field(
        default="rules-fvg",
        metadata=setting(unit="", why="the interval of the bars is added: rules-fvg-1h"),
    )
    valid_bars: int = field(
        default=1,
        metadata=setting(
            unit="bars a signal stays fresh", why="the next bar has its own opinion", ge=1, le=1_000
        ),
    )
    lookback_bars: int = field(
        default=LOOKBACK_BARS_DEFAULT,
        metadata=setting(
            unit="bars of the body mean",
            why="as the features",
            ge=LOOKBACK_BARS_MIN,
            le=LOOKBACK_BARS_MAX,
        ),
    )
    symbols_max: int = field(
        default=1_000,
        metadata=setting(
            unit="symbols, each interval of one counted",
            why="bounds memory against made-up names",
            ge=1,
            le=100_000,
        ),
    )
    rules: RulesSettings = field(default_factory=RulesSettings)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(slots=True)
class _Series:
    features: FeatureMatrix
    policy: RulesPolicy
    newest_close: int = -1
    last_signal: Signal | None = None
    signals: OrderedDict[int, Signal] = field(default_factory=OrderedDict)
    """By bar close, the newest only: a bar delivered again gives the signal it gave."""


class RulesAgent(Agent):
    """Computes the features of each closed bar and signals what the rules decide.

    Reads event time only. It takes its signals for filled: what the gateway cut or denied shows in
    the decisions topic, not here.
    """

    name = "rules"
    version = "0.1.0"
    publishes = ("{signals_topic}",)
    stage = "signals"
    default_settings = to_json(RulesAgentSettings())

    def __init__(self, settings: Mapping[str, object] | None = None, *, agent_id: str = "") -> None:
        super().__init__(settings, agent_id=agent_id)
        self.options = from_json(RulesAgentSettings, self.settings)
        self._followed = Followed(self.options.symbols_max, self._begin_series)

    @subscribe("{bars_topic}")
    async def on_bar(self, bar: Bar, context: MessageContext) -> Outputs:
        """Decide on a closed bar; publish a signal unless the rules hold.

        Raises:
            InvalidBarError: no feature can be computed from the bar.
            TooManySymbolsError: no room for its symbol in its interval.
        """
        state = self._followed.of(bar.symbol, bar.interval)
        if bar.close_time_unix_nano <= state.newest_close:
            signal = state.signals.get(bar.close_time_unix_nano)
        else:
            signal = self._decide(state, bar)
        if signal is None:
            return None
        # From here on the signal names the business transaction.
        cause = replace(context.cause, correlation_id=signal.signal_id)
        return Publication("", signal, cause=cause)

    @tool(description="Why the rules signalled, or held, on the newest bar of a symbol.")
    async def explain_last_signal(self, symbol: str, interval: str = "") -> dict[str, object]:
        """Return the newest decision, every vote behind it, and the last signal published.

        Of several intervals, unless one is named, that whose newest bar closed last counts.
        """
        found = self._followed.newest(symbol, interval)
        if found is None:
            return {"symbol": symbol, "known": False, "symbols": self._followed.symbols}
        interval, state = found
        last = state.last_signal
        return {
            "symbol": symbol,
            "interval": interval,
            "known": True,
            "bars": state.features.bar_count,
            "last_signal": None if last is None else _summary(last),
            **state.policy.explain(),
        }

    def _begin_series(self) -> _Series:
        return _Series(FeatureMatrix(self.options.lookback_bars), RulesPolicy(self.options.rules))

    def _decide(self, state: _Series, bar: Bar) -> Signal | None:
        prices = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        state.features.push(*map(float, prices))
        state.newest_close = bar.close_time_unix_nano
        decision = state.policy.decide(
            state.features.observation(),
            event_time_unix_nano=bar.close_time_unix_nano,
            position=state.policy.intended_position,
        )
        signal = None if decision.action is Action.HOLD else self._signal(bar, decision)
        if signal is None:
            return None
        state.last_signal = signal
        state.signals[bar.close_time_unix_nano] = signal
        if len(state.signals) > SIGNALS_KEPT_MAX:
            state.signals.popitem(last=False)
        return signal

    def _signal(self, bar: Bar, decision: Decision) -> Signal:
        """Return the signal of a decision; its id follows from strategy, symbol and bar alone."""
        strategy = f"{self.options.strategy}-{bar.interval}"
        length = bar.close_time_unix_nano - bar.open_time_unix_nano
        side = decision.side or Side.BUY
        votes = ", ".join(f"{v.name} {v.value:.4g}/{v.threshold:.4g}" for v in decision.votes)
        return Signal(
            signal_id=f"{strategy}.{bar.symbol}.{bar.close_time_unix_nano}",
            strategy_id=strategy,
            agent_id=self.agent_id,
            symbol=bar.symbol,
            action=_ACTIONS[decision.action],
            side=_SIDES[side],
            strength=decision.strength,
            confidence=decision.confidence,
            decision_time_unix_nano=bar.close_time_unix_nano,
            valid_until_unix_nano=bar.close_time_unix_nano + self.options.valid_bars * length,
            decision_px=bar.close,
            rationale=f"{decision.reason}: {votes}"[:RATIONALE_BYTES_MAX],
            model=Model(name=self.options.strategy, version=self.version, quantization="none"),
        )


def _summary(signal: Signal) -> dict[str, object]:
    return {
        "signal_id": signal.signal_id,
        "action": signal_pb2.SignalAction.Name(signal.action),
        "side": signal_pb2.Side.Name(signal.side),
        "decision_px": signal.decision_px,
        "decision_time_unix_nano": signal.decision_time_unix_nano,
        "rationale": signal.rationale,
    }
