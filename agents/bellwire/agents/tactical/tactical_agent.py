"""The networks as an agent: bars in, signals out; the rules in their place when they fail."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np

from bellwire.agents.features import FeatureMatrix, Observation
from bellwire.agents.inference.endpoint import Endpoint, InferenceRequest, InferenceResult
from bellwire.agents.inference.errors import EngineTimeoutError, InvalidTensorError
from bellwire.agents.tactical.actions import read_probabilities
from bellwire.agents.tactical.agent import (
    RATIONALE_BYTES_MAX,
    SIGNALS_KEPT_MAX,
    RulesAgent,
    RulesAgentSettings,
)
from bellwire.agents.tactical.aggregate import Rule, decide_move
from bellwire.agents.tactical.drift_watch import DriftWatch, open_watch
from bellwire.agents.tactical.followed import Followed
from bellwire.agents.tactical.model_endpoint import BUNDLED_MODEL, open_endpoint
from bellwire.agents.tactical.networks.weights import OBSERVATION_SIZE
from bellwire.agents.tactical.onnx_graph import OBSERVATION, POSITION, PROBABILITIES
from bellwire.agents.tactical.quantity import quantity_of
from bellwire.agents.tactical.rules import RulesPolicy
from bellwire.agents.tactical.synergy import Synergy
from bellwire.agents.tactical.synergy_watch import SynergyWatch, completed_gap
from bellwire.agents.tactical.tactical_settings import TacticalAgentSettings
from bellwire.agents.tactical.verdict import (
    DecidedBy,
    Verdict,
    by_networks,
    by_nobody,
    by_rules,
)
from bellwire.risk.decimal_text import decimal_text
from bellwire.risk.json_settings import from_json, to_json
from bellwire.runtime import Agent, MessageContext, Outputs, Publication, subscribe, tool
from bellwire.trading.v1 import signal_pb2
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Model, Signal
from bellwire.wire.errors import BellwireError, InternalError

logger = logging.getLogger(__name__)

MODEL: Final = "tactical"
_RULES: Final = DecidedBy(RulesAgentSettings().strategy, RulesAgent.version)


@dataclass(slots=True)
class _Series:
    features: FeatureMatrix
    rules: RulesPolicy
    synergies: SynergyWatch | None
    """None = switched off."""
    event: Synergy | None = None
    """Under way; the rule vote asks."""
    position: float = 0.0
    """Where the signals so far lead, -1 to 1, as if all had filled."""
    newest_close: int = -1
    verdict: Verdict | None = None
    last_signal: Signal | None = None
    signals: OrderedDict[int, Signal] = field(default_factory=OrderedDict)
    """By bar close, the newest only: a bar delivered again gives the signal it gave."""


class TacticalAgent(Agent):
    """Asks a tactical model about each closed bar and signals where the position should go.

    Whatever keeps the model from answering (not there, an error, too slow, no probabilities), the
    rules decide the bar instead, and where they are switched off or fail too it holds; the rationale
    says so. A model that could not be loaded is not tried again before a restart. It takes its
    signals for filled: what the gateway cut or denied shows in the decisions topic, not here. Nor
    does it remember across a restart: it needs its bars again and begins flat, so whoever restarts
    it while it holds a position closes that, or lets the risk gateway's limits do so.
    """

    name = "tactical"
    version = "0.1.0"
    publishes = ("{signals_topic}",)
    stage = "signals"
    default_settings = to_json(TacticalAgentSettings())

    def __init__(
        self,
        settings: Mapping[str, object] | None = None,
        *,
        agent_id: str = "",
        endpoint: Endpoint | None = None,
    ) -> None:
        """Take the settings, and who answers; None = the model of the settings, loaded on start."""
        super().__init__(settings, agent_id=agent_id)
        self.options = from_json(TacticalAgentSettings, self.settings)
        self._endpoint = endpoint
        self._absent = "NOT_STARTED"
        self._drift = DriftWatch({})
        self._followed = Followed(self.options.symbols_max, self._begin_series)

    async def on_start(self) -> Outputs:
        """Load the model, unless an endpoint was given, and the distributions it was trained on."""
        folder = Path(self.options.model_dir) if self.options.model_dir else None
        if self._endpoint is None:
            folder = folder or BUNDLED_MODEL
            try:
                self._endpoint = open_endpoint(folder)
            except BellwireError as error:
                logger.warning("agent %s decides without a model: %s", self.agent_id, error)
                self._absent = error.reason
        self._drift = open_watch(folder, self.options.drift)
        return None

    @subscribe("{bars_topic}")
    async def on_bar(self, bar: Bar, context: MessageContext) -> Outputs:
        """Decide on a closed bar; publish a signal when the position is to move.

        Raises:
            InvalidBarError: no feature can be computed from the bar.
            TooManySymbolsError: no room for its symbol in its interval.
        """
        state = self._followed.of(bar.symbol, bar.interval)
        if bar.close_time_unix_nano <= state.newest_close:
            signal = state.signals.get(bar.close_time_unix_nano)
        else:
            signal = await self._decide(state, bar)
        if signal is None:
            return None
        # From here on the signal names the business transaction.
        cause = replace(context.cause, correlation_id=signal.signal_id)
        return Publication("", signal, cause=cause)

    @tool(description="What the tactical model decided on the newest bar of a symbol, and why.")
    async def explain_last_signal(self, symbol: str, interval: str = "") -> dict[str, object]:
        """Return the newest verdict and the last signal published.

        Of several intervals, unless one is named, that whose newest bar closed last counts.
        """
        found = self._followed.newest(symbol, interval)
        if found is None:
            return {"symbol": symbol, "known": False, "symbols": self._followed.symbols}
        interval, state = found
        verdict, last = state.verdict, state.last_signal
        return {
            "symbol": symbol,
            "interval": interval,
            "known": True,
            "bars": state.features.bar_count,
            "position": state.position,
            "rationale": "WARMING_UP" if verdict is None else verdict.rationale,
            "decided_by": "" if verdict is None else verdict.decided_by.name,
            "confidence": 0.0 if verdict is None else verdict.confidence,
            "last_signal": "" if last is None else last.signal_id,
        }

    @tool(description="Whether what the model sees and says is still distributed as in training.")
    async def drift_report(self, symbol: str) -> dict[str, object]:
        """Return the verdict and the score of each feature and each network's actions."""
        return self._drift.report(symbol)

    def _begin_series(self) -> _Series:
        synergy = self.options.synergy
        return _Series(
            FeatureMatrix(self.options.lookback_bars),
            RulesPolicy(self.options.rules),
            SynergyWatch(synergy) if synergy.enabled else None,
        )

    async def _decide(self, state: _Series, bar: Bar) -> Signal | None:
        prices = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        state.features.push(*map(float, prices))
        state.newest_close = bar.close_time_unix_nano
        if state.synergies is not None:
            state.event = state.synergies.push(float(bar.close), completed_gap(state.features))
        observation = state.features.observation()
        if observation is None:
            return None
        verdict = await self._judge(state, bar, observation)
        self._drift.observe(bar.symbol, observation, verdict.actions)
        before, state.position, state.verdict = state.position, verdict.position, verdict
        if not verdict.has_moved:
            return None
        signal = self._signal(bar, verdict, before)
        state.last_signal = signal
        state.signals[bar.close_time_unix_nano] = signal
        if len(state.signals) > SIGNALS_KEPT_MAX:
            state.signals.popitem(last=False)
        return signal

    async def _judge(self, state: _Series, bar: Bar, observation: Observation) -> Verdict:
        """Ask the model, then the rules; never raises what keeps either of them from answering."""
        try:
            if self._endpoint is None:
                return self._without_model(state, bar, observation, self._absent)
            result = await self._ask(self._endpoint, bar, observation, state.position)
            return self._by_model(result, state.position, state.event)
        except TimeoutError:
            return self._without_model(state, bar, observation, EngineTimeoutError.reason)
        except BellwireError as error:
            return self._without_model(state, bar, observation, error.reason)
        except Exception:
            # The boundary of endpoints that we did not write: a bar is decided on whatever they raise.
            logger.exception("agent %s: the model failed on %s", self.agent_id, bar.symbol)
            return self._without_model(state, bar, observation, InternalError.reason)

    async def _ask(
        self, endpoint: Endpoint, bar: Bar, observation: Observation, position: float
    ) -> InferenceResult:
        matrix = observation.array().reshape(1, OBSERVATION_SIZE)  # (batch, input)
        held = np.array([[position]], np.float32)  # (batch, 1)
        request = InferenceRequest(
            MODEL,
            {OBSERVATION.name: matrix, POSITION.name: held},
            key=bar.symbol,
            cache_key=f"{bar.symbol}/{bar.interval}/{bar.close_time_unix_nano}",
        )
        async with asyncio.timeout(self.options.infer_seconds_max):
            return await endpoint.infer(request)

    def _by_model(self, result: InferenceResult, position: float, event: Synergy | None) -> Verdict:
        tables = result.outputs.get(PROBABILITIES.name)
        if tables is None or len(tables) != 1:
            found = "absent" if tables is None else f"{len(tables)} rows"
            raise InvalidTensorError(PROBABILITIES.name, found, "one row")
        actions = read_probabilities(tables[0])
        move = decide_move(actions, position, event, self.options.aggregation)
        name, _, version = result.answered_by.partition(":")
        decided_by = DecidedBy(name, version or self.version, result.quantization)
        notes = tuple(f"after {each.step} {each.reason}" for each in result.fallbacks)
        is_vote = self.options.aggregation.rule == Rule.VOTE
        return by_networks(actions, move, is_vote, decided_by, notes)

    def _without_model(
        self, state: _Series, bar: Bar, observation: Observation, why: str
    ) -> Verdict:
        notes = (f"after {MODEL} {why}",)
        if self.options.fallback == "hold":
            return by_nobody(state.position, notes)
        try:
            decision = state.rules.decide(
                observation,
                event_time_unix_nano=bar.close_time_unix_nano,
                position=state.position,
            )
        except BellwireError as error:
            return by_nobody(state.position, (*notes, f"after rules {error.reason}"))
        return by_rules(decision, state.position, _RULES, notes)

    def _signal(self, bar: Bar, verdict: Verdict, before: float) -> Signal:
        """Return the signal of a move; its id follows from strategy, symbol and bar alone."""
        options = self.options
        strategy = f"{options.strategy}-{bar.interval}"
        length = bar.close_time_unix_nano - bar.open_time_unix_nano
        by = verdict.decided_by
        signal = Signal(
            signal_id=f"{strategy}.{bar.symbol}.{bar.close_time_unix_nano}",
            strategy_id=strategy,
            agent_id=self.agent_id,
            symbol=bar.symbol,
            strength=abs(verdict.position) or 1.0,
            confidence=verdict.confidence,
            decision_time_unix_nano=bar.close_time_unix_nano,
            valid_until_unix_nano=bar.close_time_unix_nano + options.valid_bars * length,
            decision_px=bar.close,
            rationale=_clipped(verdict.rationale),
            model=Model(name=by.name, version=by.version, quantization=by.quantization),
        )
        _set_order(signal, verdict, before, options.base_qty, options.quantity_step)
        return signal


def _set_order(
    signal: Signal, verdict: Verdict, before: float, base: Decimal, step: Decimal
) -> None:
    """Ask for the position as a target, or for the end of it: a target of 0 is not in the contract."""
    if verdict.position == 0.0:
        signal.action = signal_pb2.SIGNAL_ACTION_EXIT
        signal.side = signal_pb2.SIDE_SELL if before > 0.0 else signal_pb2.SIDE_BUY
        return
    quantity = quantity_of(verdict.position, base, step, verdict.factor)
    signal.action = signal_pb2.SIGNAL_ACTION_TARGET
    signal.side = signal_pb2.SIDE_BUY if verdict.position > 0.0 else signal_pb2.SIDE_SELL
    signal.target_qty = decimal_text(quantity)


def _clipped(text: str) -> str:
    return text.encode()[:RATIONALE_BYTES_MAX].decode(errors="ignore")
