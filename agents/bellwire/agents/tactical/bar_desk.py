"""Bars in, signals out: what all agents that decide bar by bar do alike, whatever they decide with."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from bellwire.agents.features import Observation
from bellwire.agents.tactical.followed import Followed, TooManySymbolsError
from bellwire.agents.tactical.recovery import (
    NOTHING,
    SignalLog,
    decoded,
    read_signals,
    replay_bar,
)
from bellwire.agents.tactical.series import Series
from bellwire.agents.tactical.series_settings import SeriesSettings
from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime import AssignedPartition, MessageContext, Outputs, Publication
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Signal

logger = logging.getLogger(__name__)

BARS_A_TURN: Final = (
    100  # replayed before others have a turn: some ms, and some tens where a bar takes more
)

Decide: TypeAlias = Callable[[Series, Bar, Observation], Awaitable[Signal | None]]
"""Returns the signal of a bar, None where the position stays as it is."""


class BarDesk:
    """Keeps the series of an agent, has each closed bar decided on once, and publishes what was decided.

    A bar that comes again gives the signal it gave: from memory, or after a restart from the log of
    signals, from which the positions are known again, as the features are from the bars.
    """

    def __init__(
        self,
        settings: SeriesSettings,
        agent_id: str,
        decide: Decide,
        begin: Callable[[], Series],
    ) -> None:
        """Follow nothing yet.

        Args:
            settings: Of the agent.
            agent_id: Stands in its signals.
            decide: Asked about each closed bar once there are enough for an observation.
            begin: Makes the memory of a new series.
        """
        self._settings = settings
        self._agent_id = agent_id
        self._decide = decide
        self._make = begin
        self._followed = Followed(settings.symbols_max, begin)
        self._logged: dict[tuple[str, str], Sequence[Signal]] = {}

    @property
    def symbols(self) -> list[str]:
        """Symbols that are followed, in order."""
        return self._followed.symbols

    def newest(self, symbol: str, interval: str = "") -> tuple[str, Series] | None:
        """Return a series and its interval, as `Followed.newest`."""
        return self._followed.newest(symbol, interval)

    async def on_bar(self, bar: Bar, context: MessageContext) -> Outputs:
        """Have a bar decided on, and return its signal to be published.

        Raises:
            InvalidBarError: no feature can be computed from the bar.
            TooManySymbolsError: no room for its symbol in its interval.
        """
        series = self._followed.of(bar.symbol, bar.interval)
        if self._logged:
            series.logged.extend(self._take_over(bar.symbol, bar.interval))
        close = bar.close_time_unix_nano
        if close > series.newest_close:
            series.push(bar)
        if close == series.newest_close and series.is_open:
            signal = await self._end(series, bar)
        else:
            signal = series.signals.get(close)
        if signal is None:
            return None
        # From here on the signal names the business transaction.
        cause = replace(context.cause, correlation_id=signal.signal_id)
        return Publication("", signal, cause=cause)

    async def on_assigned(self, partition: AssignedPartition) -> None:
        """Know again what was known of a partition's series when the message that waits was published.

        Raises:
            BellwireError: The bus does not answer.
        """
        count = self._settings.recover_messages_max
        bars = await partition.before(count, type=Bar)
        signals = await partition.newest(self._settings.signals_topic, count, type=Signal)
        logged = read_signals(signals, self._settings.strategy)
        found = await self._replay(bars, logged)
        for (symbol, interval), series in found.items():
            self._adopt(symbol, interval, series)
        self._hear(logged)
        self._logged = {key: each for key, each in logged.items() if not self._is_followed(*key)}
        if found:
            logger.info(
                "agent %s knows %d series of %s/%d again, from %d messages before offset %d",
                self._agent_id,
                len(found),
                partition.topic,
                partition.partition,
                len(bars),
                partition.offset,
            )

    def begin_signal(self, bar: Bar) -> Signal:
        """Return what every signal on a bar says; its id follows from strategy, symbol and bar alone."""
        strategy, close = self._strategy(bar.interval), bar.close_time_unix_nano
        length = close - bar.open_time_unix_nano
        return Signal(
            signal_id=f"{strategy}.{bar.symbol}.{close}",
            strategy_id=strategy,
            agent_id=self._agent_id,
            symbol=bar.symbol,
            decision_time_unix_nano=close,
            valid_until_unix_nano=close + self._settings.valid_bars * length,
            decision_px=bar.close,
        )

    async def _end(self, series: Series, bar: Bar) -> Signal | None:
        """Have the newest bar decided on, unless it was: before the start, with or without a signal.

        A bar on which that raises stays open, and is decided on when it comes again.
        """
        signal = series.take_logged(bar.close_time_unix_nano)
        if signal is None and series.observation is not None and not series.logged:
            signal = await self._decide(series, bar, series.observation)
        series.settle(signal)
        return signal

    async def _replay(
        self, messages: Sequence[Message], logged: SignalLog
    ) -> dict[tuple[str, str], Series]:
        found: dict[tuple[str, str], Series] = {}

        def begin(symbol: str, interval: str) -> Series:
            return self._begin_from(symbol, interval, logged)

        for number, bar in enumerate(decoded(messages, Bar), 1):
            replay_bar(bar, found, begin)
            if number % BARS_A_TURN == 0:
                await asyncio.sleep(0)
        return found

    def _adopt(self, symbol: str, interval: str, series: Series) -> None:
        try:
            self._followed.adopt(symbol, interval, series)
        except TooManySymbolsError as error:
            logger.warning("agent %s: %s %s: %s", self._agent_id, symbol, interval, error)

    def _hear(self, logged: SignalLog) -> None:
        """Tell series that are followed what another replica signalled, though their bars were not read back."""
        for (symbol, strategy), signals in logged.items():
            followed = self._followed.newest(symbol, self._interval(strategy))
            if followed is not None:
                followed[1].hear(signals)

    def _is_followed(self, symbol: str, strategy: str) -> bool:
        return self._followed.newest(symbol, self._interval(strategy)) is not None

    def _interval(self, strategy: str) -> str:
        return strategy.removeprefix(f"{self._settings.strategy}-")

    def _take_over(self, symbol: str, interval: str) -> Sequence[Signal]:
        """Return the signals that waited for the first bar of a series."""
        return self._logged.pop((symbol, self._strategy(interval)), NOTHING)

    def _begin_from(self, symbol: str, interval: str, logged: SignalLog) -> Series:
        series = self._make()
        series.logged.extend(logged.get((symbol, self._strategy(interval)), NOTHING))
        return series

    def _strategy(self, interval: str) -> str:
        return f"{self._settings.strategy}-{interval}"
