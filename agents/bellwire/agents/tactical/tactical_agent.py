"""The networks as an agent: bars in, signals out; the rules in their place when they fail."""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np

from bellwire.agents.features import FeatureMatrix, Observation
from bellwire.agents.inference.constant import HOLD
from bellwire.agents.inference.endpoint import Endpoint, InferenceRequest, InferenceResult
from bellwire.agents.inference.errors import EngineTimeoutError, InvalidTensorError
from bellwire.agents.tactical.actions import read_probabilities
from bellwire.agents.tactical.agent import RATIONALE_BYTES_MAX, RulesAgent, RulesAgentSettings
from bellwire.agents.tactical.aggregate import Rule, decide_move
from bellwire.agents.tactical.bar_desk import BarDesk
from bellwire.agents.tactical.drift_watch import DriftWatch, open_watch
from bellwire.agents.tactical.model_source import NO_MODEL, ModelSource, open_source
from bellwire.agents.tactical.networks.weights import OBSERVATION_SIZE
from bellwire.agents.tactical.onnx_graph import OBSERVATION, POSITION, PROBABILITIES
from bellwire.agents.tactical.quantity import quantity_of
from bellwire.agents.tactical.rules import RulesPolicy
from bellwire.agents.tactical.series import Series
from bellwire.agents.tactical.synergy import Synergy
from bellwire.agents.tactical.synergy_watch import SynergyWatch
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
from bellwire.wire.errors import BellwireError, InternalError

logger = logging.getLogger(__name__)

_RULES: Final = DecidedBy(RulesAgentSettings().strategy, RulesAgent.version)


class TacticalAgent(Agent):
    """Asks a tactical model about each closed bar and signals where the position should go.

    A version is asked, then the one it was quantized from; whatever keeps both from answering (not there,
    an error, too slow, no probabilities), the rules decide the bar instead, and where they are switched off
    or fail too it holds: the rationale names each step that was passed by, and why. With the setting
    `models` the versions are those that rollouts have in service, while the agent runs. It takes its signals
    for filled: what the gateway cut or denied shows in the decisions topic, not here. After a restart it
    knows its bars and its position again from the log, as far as the log goes back.
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
        self._source = NO_MODEL if endpoint is None else ModelSource(endpoint)
        self._open = AsyncExitStack()
        self._drift = DriftWatch({})
        self._desk = BarDesk(self.options, self.agent_id, self._decide, self._begin_series)

    async def on_start(self) -> Outputs:
        """Load the model, unless an endpoint was given, and the distributions it was trained on."""
        if self._source.endpoint is None:
            self._source = await open_source(self.options, self._open)
        self._drift = open_watch(self._drift_folder(), self.options.drift)
        return None

    async def on_stop(self) -> Outputs:
        """Give the models back."""
        await self._open.aclose()
        return None

    async def on_assigned(self, partition: AssignedPartition) -> None:
        """Know bars and position again, as they were before the message that waits."""
        await self._desk.on_assigned(partition)

    @subscribe("{bars_topic}")
    async def on_bar(self, bar: Bar, context: MessageContext) -> Outputs:
        """Decide on a closed bar; publish a signal when the position is to move.

        Raises:
            InvalidBarError: no feature can be computed from the bar.
            TooManySymbolsError: no room for its symbol in its interval.
        """
        return await self._desk.on_bar(bar, context)

    @tool(description="What the tactical model decided on the newest bar of a symbol, and why.")
    async def explain_last_signal(self, symbol: str, interval: str = "") -> dict[str, object]:
        """Return the newest verdict and the last signal published.

        `position` is where that signal leads, `position_before` where it found the position; both are -1 (all
        short) to 1. Of several intervals, unless one is named, that whose newest bar closed last counts.
        """
        found = self._desk.newest(symbol, interval)
        if found is None:
            return {"symbol": symbol, "known": False, "symbols": self._desk.symbols}
        interval, state = found
        verdict, last = state.verdict, state.last_signal
        return {
            "symbol": symbol,
            "interval": interval,
            "known": True,
            "bars": state.features.bar_count,
            "position_before": state.position_before,
            "position": state.position,
            "rationale": _rationale(state),
            "decided_by": "" if verdict is None else verdict.decided_by.name,
            "confidence": 0.0 if verdict is None else verdict.confidence,
            "last_signal": "" if last is None else last.signal_id,
        }

    @tool(description="Whether what the model sees and says is still distributed as in training.")
    async def drift_report(self, symbol: str, interval: str = "") -> dict[str, object]:
        """Return the verdict and the score of each feature and each network's actions.

        Of several intervals, unless one is named, that whose newest bar closed last counts.
        """
        found = self._desk.newest(symbol, interval)
        return self._drift.report(symbol, interval if found is None else found[0])

    def _drift_folder(self) -> Path | None:
        """Return where the drift's reference lies; an endpoint that was given may stand for a folder."""
        given = Path(self.options.model_dir) if self.options.model_dir else None
        return self._source.folder or given

    def _begin_series(self) -> Series:
        synergy = self.options.synergy
        return Series(
            FeatureMatrix(self.options.lookback_bars),
            RulesPolicy(self.options.rules),
            SynergyWatch(synergy) if synergy.enabled else None,
        )

    async def _decide(self, state: Series, bar: Bar, observation: Observation) -> Signal | None:
        verdict = await self._judge(state, bar, observation)
        self._drift.observe(bar.symbol, bar.interval, observation, verdict.actions)
        state.verdict = verdict
        return self._signal(bar, verdict, state.position) if verdict.has_moved else None

    async def _judge(self, state: Series, bar: Bar, observation: Observation) -> Verdict:
        """Ask the model, then the rules; never raises what keeps either of them from answering."""
        try:
            if self._source.endpoint is None:
                return self._without_model(
                    state, bar, observation, self._notes(self._source.absent)
                )
            result = await self._ask(self._source.endpoint, bar, observation, state.position)
            if result.answered_by == HOLD:
                return self._without_model(state, bar, observation, _notes_of(result))
            return self._by_model(result, state.position, state.event)
        except TimeoutError:
            why = EngineTimeoutError.reason
        except BellwireError as error:
            why = error.reason
        except Exception:
            # The boundary of endpoints that we did not write: a bar is decided on whatever they raise.
            logger.exception("agent %s: the model failed on %s", self.agent_id, bar.symbol)
            why = InternalError.reason
        return self._without_model(state, bar, observation, self._notes(why))

    async def _ask(
        self, endpoint: Endpoint, bar: Bar, observation: Observation, position: float
    ) -> InferenceResult:
        matrix = observation.array().reshape(1, OBSERVATION_SIZE)  # (batch, input)
        held = np.array([[position]], np.float32)  # (batch, 1)
        request = InferenceRequest(
            self.options.model,
            {OBSERVATION.name: matrix, POSITION.name: held},
            key=bar.symbol,
            cache_key=f"{bar.symbol}/{bar.interval}/{bar.close_time_unix_nano}",
            deadline_seconds=time.monotonic() + self.options.infer_seconds_max,
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
        is_vote = self.options.aggregation.rule == Rule.VOTE
        return by_networks(actions, move, is_vote, decided_by, _notes_of(result))

    def _notes(self, why: str) -> tuple[str, ...]:
        return (f"after {self.options.model} {why}",)

    def _without_model(
        self, state: Series, bar: Bar, observation: Observation, notes: tuple[str, ...]
    ) -> Verdict:
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
        by, options = verdict.decided_by, self.options
        signal = self._desk.begin_signal(bar)
        signal.strength = abs(verdict.position) or 1.0
        signal.confidence = verdict.confidence
        signal.rationale = _clipped(verdict.rationale)
        model = Model(name=by.name, version=by.version, quantization=by.quantization)
        signal.model.CopyFrom(model)
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


def _notes_of(result: InferenceResult) -> tuple[str, ...]:
    return tuple(f"after {each.step} {each.reason}" for each in result.fallbacks)


def _rationale(state: Series) -> str:
    if state.verdict is not None:
        return state.verdict.rationale
    return "RECOVERED" if state.features.ready else "WARMING_UP"
