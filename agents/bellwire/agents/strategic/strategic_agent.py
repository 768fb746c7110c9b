"""The strategic networks as an agent: bars in, a stance for whoever asks; it signals nothing."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bellwire.agents.features import InvalidBarError
from bellwire.agents.strategic.features import CLOSES, StrategicFeatures, check_close
from bellwire.agents.strategic.model import BUNDLED_MODEL, StrategicModel, open_model
from bellwire.agents.strategic.stance import RegimeAction, Stance, strategic_stance
from bellwire.agents.strategic.strategic_settings import StrategicAgentSettings
from bellwire.agents.tactical.aggregate import MoveReason
from bellwire.agents.tactical.followed import Followed, TooManySymbolsError
from bellwire.agents.tactical.networks.weights import Floats
from bellwire.agents.tactical.recovery import decoded
from bellwire.risk.json_settings import from_json, to_json
from bellwire.runtime import Agent, AssignedPartition, MessageContext, Outputs, subscribe, tool
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.wire.errors import BellwireError

logger = logging.getLogger(__name__)

WARMING_UP = "WARMING_UP"


@dataclass(slots=True)
class _Series:
    features: StrategicFeatures = field(default_factory=StrategicFeatures)
    bars: int = 0
    newest_close: int = -1
    stance: Stance | None = None
    reason: str = WARMING_UP
    """Why there is a stance, or none."""

    def push(self, bar: Bar) -> Floats | None:
        """Take a bar, unless it came before; return the features, None until there are closes enough.

        Raises:
            InvalidBarError: The close is no price; nothing has changed.
        """
        if bar.close_time_unix_nano <= self.newest_close:
            return None
        features = self.features.push(float(bar.close))
        self.bars += 1
        self.newest_close = bar.close_time_unix_nano
        return features


@dataclass(slots=True)
class _Past:
    """What the log says of a series: no more of it than a stance needs."""

    newest: deque[Bar] = field(default_factory=lambda: deque(maxlen=CLOSES))
    bars: int = 0

    def add(self, bar: Bar) -> None:
        """Take a bar, unless it came before, or was refused then."""
        if self.newest and bar.close_time_unix_nano <= self.newest[-1].close_time_unix_nano:
            return
        with suppress(InvalidBarError, ValueError):
            check_close(float(bar.close))
            self.newest.append(bar)
            self.bars += 1


class StrategicAgent(Agent):
    """Follows closed bars and answers `stance(symbol)`: what the slower system would hold.

    It publishes nothing and trades nothing: its card finds no edge. Who asks decides what a stance is
    worth. Without a model, or when it fails on a bar, there is no stance and the reason says why. After a
    restart it reads its bars back and has the stance it had.
    """

    name = "strategic"
    version = "0.1.0"
    default_settings = to_json(StrategicAgentSettings())

    def __init__(self, settings: Mapping[str, object] | None = None, *, agent_id: str = "") -> None:
        """Take the settings; the model is loaded on start."""
        super().__init__(settings, agent_id=agent_id)
        self.options = from_json(StrategicAgentSettings, self.settings)
        self._model: StrategicModel | None = None
        self._absent = "NOT_STARTED"
        self._followed = Followed(self.options.symbols_max, _Series)

    async def on_start(self) -> Outputs:
        """Load the model; without it the agent follows bars and says why it has no stance."""
        folder = Path(self.options.model_dir) if self.options.model_dir else BUNDLED_MODEL
        try:
            self._model = open_model(folder)
        except BellwireError as error:
            logger.warning("agent %s has no stance: %s", self.agent_id, error)
            self._absent = error.reason
        return None

    async def on_stop(self) -> Outputs:
        """Free the model."""
        if self._model is not None:
            self._model.close()
        return None

    @subscribe("{bars_topic}")
    async def on_bar(self, bar: Bar, context: MessageContext) -> Outputs:
        """Take a closed bar; one that came before is left out.

        Raises:
            InvalidBarError: the close is no price from 1e-18 to 1e18.
            TooManySymbolsError: no room for its symbol in its interval.
        """
        check_close(float(bar.close))
        series = self._followed.of(bar.symbol, bar.interval)
        self._take(series, bar)
        return None

    async def on_assigned(self, partition: AssignedPartition) -> None:
        """Follow the series of a partition again, from the bars that the log still has.

        Raises:
            BellwireError: The bus does not answer.
        """
        messages = await partition.before(self.options.recover_messages_max, type=Bar)
        past: defaultdict[tuple[str, str], _Past] = defaultdict(_Past)
        for bar in decoded(messages, Bar):
            past[bar.symbol, bar.interval].add(bar)
        for (symbol, interval), each in past.items():
            if each.bars:
                self._know_again(symbol, interval, each)
            await asyncio.sleep(0)  # Half a millisecond each: others have a turn between.

    @tool(description="What the strategic system would hold of a symbol, -1 to 1, and why.")
    async def stance(self, symbol: str, interval: str = "") -> dict[str, object]:
        """Return the stance on the newest bar.

        Of several intervals, unless one is named, that whose newest bar closed last counts.
        """
        found = self._followed.newest(symbol, interval)
        if found is None:
            return {"symbol": symbol, "known": False, "symbols": self._followed.symbols}
        interval, series = found
        stance = series.stance or Stance(0.0, RegimeAction.AVOID, 0.0, MoveReason.HOLD_VOTED)
        return {
            "symbol": symbol,
            "interval": interval,
            "known": True,
            "bars": series.bars,
            "bars_missing": max(CLOSES - series.bars, 0),
            "close_time_unix_nano": series.newest_close,
            "has_stance": series.stance is not None,
            "position": stance.position,
            "regime": stance.regime.name,
            "score": stance.score,
            "reason": series.reason,
            "model": "" if self._model is None else self._model.key,
        }

    def _know_again(self, symbol: str, interval: str, past: _Past) -> None:
        series = _Series()
        for bar in past.newest:
            self._take(series, bar)
        series.bars = past.bars
        try:
            self._followed.adopt(symbol, interval, series)
        except TooManySymbolsError as error:
            logger.warning("agent %s: %s %s: %s", self.agent_id, symbol, interval, error)

    def _take(self, series: _Series, bar: Bar) -> None:
        features = series.push(bar)
        if features is not None:
            series.stance, series.reason = self._judge(features)

    def _judge(self, features: Floats) -> tuple[Stance | None, str]:
        if self._model is None:
            return None, self._absent
        try:
            stance = strategic_stance(self._model.ask(features), self.options.stance)
        except BellwireError as error:
            return None, error.reason
        return stance, stance.reason.value
