"""The rules as an agent: bars in, signals out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bellwire.agents.features import FeatureMatrix, Observation
from bellwire.agents.tactical.bar_desk import BarDesk
from bellwire.agents.tactical.decision import Action, Decision, Side
from bellwire.agents.tactical.rules import RulesPolicy
from bellwire.agents.tactical.series import Series
from bellwire.agents.tactical.series_settings import SeriesSettings
from bellwire.risk.json_settings import from_json, to_json
from bellwire.runtime import (
    Agent,
    AssignedPartition,
    MessageContext,
    Outputs,
    subscribe,
    tool,
)
from bellwire.trading.v1 import signal_pb2
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Model, Signal
from bellwire.wire.settings import setting

RATIONALE_BYTES_MAX: Final = 1_024  # the contract's bound

_ACTIONS: Final = {
    Action.ENTER: signal_pb2.SIGNAL_ACTION_ENTER,
    Action.EXIT: signal_pb2.SIGNAL_ACTION_EXIT,
}
_SIDES: Final = {Side.BUY: signal_pb2.SIDE_BUY, Side.SELL: signal_pb2.SIDE_SELL}


@dataclass(frozen=True, slots=True)
class RulesAgentSettings(SeriesSettings):
    """Topics and rules of one rules agent."""

    strategy: str = field(
        default="rules-fvg",
        metadata=setting(unit="", why="the interval of the bars is added: rules-fvg-1h"),
    )


class RulesAgent(Agent):
    """Computes the features of each closed bar and signals what the rules decide.

    Reads event time only. It takes its signals for filled: what the gateway cut or denied shows in
    the decisions topic, not here. After a restart it knows its bars and its position again from the
    log, as far as the log goes back.
    """

    name = "rules"
    version = "0.1.0"
    publishes = ("{signals_topic}",)
    stage = "signals"
    default_settings = to_json(RulesAgentSettings())

    def __init__(self, settings: Mapping[str, object] | None = None, *, agent_id: str = "") -> None:
        super().__init__(settings, agent_id=agent_id)
        self.options = from_json(RulesAgentSettings, self.settings)
        self._desk = BarDesk(self.options, self.agent_id, self._decide, self._begin_series)

    @subscribe("{bars_topic}")
    async def on_bar(self, bar: Bar, context: MessageContext) -> Outputs:
        """Decide on a closed bar; publish a signal unless the rules hold.

        Raises:
            InvalidBarError: no feature can be computed from the bar.
            TooManySymbolsError: no room for its symbol in its interval.
        """
        return await self._desk.on_bar(bar, context)

    async def on_assigned(self, partition: AssignedPartition) -> None:
        """Know bars and position again, as they were before the message that waits."""
        await self._desk.on_assigned(partition)

    @tool(description="Why the rules signalled, or held, on the newest bar of a symbol.")
    async def explain_last_signal(self, symbol: str, interval: str = "") -> dict[str, object]:
        """Return the newest decision, every vote behind it, and the last signal published.

        `position` is where that signal leads, `position_before` where it found the position; both are
        -1 (short), 0 or 1 (long). Of several intervals, unless one is named, that whose newest bar closed
        last counts.
        """
        found = self._desk.newest(symbol, interval)
        if found is None:
            return {"symbol": symbol, "known": False, "symbols": self._desk.symbols}
        interval, state = found
        last = state.last_signal
        return {
            "symbol": symbol,
            "interval": interval,
            "known": True,
            "bars": state.features.bar_count,
            "last_signal": None if last is None else _summary(last),
            **state.rules.explain(),
            "position_before": state.position_before,
            "position": state.position,
        }

    def _begin_series(self) -> Series:
        return Series(FeatureMatrix(self.options.lookback_bars), RulesPolicy(self.options.rules))

    async def _decide(self, state: Series, bar: Bar, observation: Observation) -> Signal | None:
        decision = state.rules.decide(
            observation,
            event_time_unix_nano=bar.close_time_unix_nano,
            position=state.position,
        )
        return None if decision.action is Action.HOLD else self._signal(bar, decision)

    def _signal(self, bar: Bar, decision: Decision) -> Signal:
        votes = ", ".join(f"{v.name} {v.value:.4g}/{v.threshold:.4g}" for v in decision.votes)
        signal = self._desk.begin_signal(bar)
        signal.action = _ACTIONS[decision.action]
        signal.side = _SIDES[decision.side or Side.BUY]
        signal.strength = decision.strength
        signal.confidence = decision.confidence
        signal.rationale = f"{decision.reason}: {votes}"[:RATIONALE_BYTES_MAX]
        model = Model(name=self.options.strategy, version=self.version, quantization="none")
        signal.model.CopyFrom(model)
        return signal


def _summary(signal: Signal) -> dict[str, object]:
    return {
        "signal_id": signal.signal_id,
        "action": signal_pb2.SignalAction.Name(signal.action),
        "side": signal_pb2.Side.Name(signal.side),
        "decision_px": signal.decision_px,
        "decision_time_unix_nano": signal.decision_time_unix_nano,
        "rationale": signal.rationale,
    }
