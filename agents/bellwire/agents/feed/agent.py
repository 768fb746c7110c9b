"""Publishes the bars of a file, each followed by the promise that nothing before it will come."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bellwire.agents.bars import Bar as FileBar
from bellwire.agents.bars import BarSeries, read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.feed.schedule import BarSchedule
from bellwire.bus.v1.message_pb2 import Message
from bellwire.risk.json_settings import from_json, to_json
from bellwire.runtime import (
    NO_CAUSE,
    Agent,
    MessageContext,
    Output,
    Outputs,
    Publication,
    on_watermark,
    subscribe,
)
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark
from bellwire.wire.settings import check_settings, setting

STAGE: Final = "bars"


@dataclass(frozen=True, slots=True)
class BarFeedSettings:
    """What one feed reads, where to it publishes, and whom it waits for.

    In lockstep it waits for `executions.accepted` on the executions topic after each bar. To run free,
    make the clock the bars topic itself and the stage "bars": then it waits only for the bus, with
    `ahead_bars_max` bars under way.
    """

    path: str = field(
        default="", metadata=setting(unit="", why="CSV file; empty = the bundled EUR/USD series")
    )
    symbol: str = field(
        default=EURUSD_1H.symbol, metadata=setting(unit="", why="of the bundled series")
    )
    interval: str = field(
        default="", metadata=setting(unit="", why="length of a bar; empty = as the file shows")
    )
    bars_max: int = field(
        default=0,
        metadata=setting(unit="bars", why="0 = the whole file", ge=0, le=10_000_000),
    )
    bars_topic: str = field(
        default=f"bars.{EURUSD_1H.interval}", metadata=setting(unit="", why="names the interval")
    )
    clock_topic: str = field(
        default="executions.paper",
        metadata=setting(unit="", why="lockstep: the adapter is the last to see a bar"),
    )
    clock_stage: str = field(
        default="executions.accepted",
        metadata=setting(unit="", why="lockstep: all orders of the bar are booked then"),
    )
    ahead_bars_max: int = field(
        default=1,
        metadata=setting(
            unit="bars under way",
            why="lockstep needs one; running free, 100 fill a batch",
            ge=1,
            le=10_000,
        ),
    )
    pace_bars_per_second: float = field(
        default=0.0,
        metadata=setting(
            unit="bars/s", why="0 = as fast as the clock allows; some, to watch", ge=0, le=1e6
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)


class BarFeed(Agent):
    """Reads a file once and lets its bars out; decides nothing by the wall clock."""

    name = "feed"
    version = "0.1.0"
    publishes = ("{bars_topic}",)
    default_settings = to_json(BarFeedSettings())

    def __init__(self, settings: Mapping[str, object] | None = None, *, agent_id: str = "") -> None:
        super().__init__(settings, agent_id=agent_id)
        self.options = from_json(BarFeedSettings, self.settings)
        self._bars: tuple[FileBar, ...] = ()
        self._schedule = BarSchedule((), ahead_bars_max=1)

    async def on_start(self) -> Outputs:
        """Read the file and publish the first bars.

        Raises:
            OhlcvFileError: anything wrong with the file.
        """
        series = await asyncio.to_thread(self._read)
        limit = self.options.bars_max or len(series.bars)
        self._bars = series.bars[:limit]
        self._schedule = BarSchedule(
            [bar.close_time_unix_nano for bar in self._bars],
            ahead_bars_max=self.options.ahead_bars_max,
        )
        return self._due()

    @on_watermark("{clock_topic}")
    async def on_clock(self, watermark: Watermark, context: MessageContext) -> Outputs:
        """Publish the next bars when the followers are done with the last ones."""
        options = self.options
        if watermark.stage != options.clock_stage or watermark.symbol != options.symbol:
            return None
        if options.pace_bars_per_second:
            await asyncio.sleep(1 / options.pace_bars_per_second)
        self._schedule.reached(watermark.time_unix_nano)
        if self._schedule.finish():
            return self._promise(self._bars[-1].close_time_unix_nano, end=True)
        return self._due()

    @subscribe("{clock_topic}")
    async def on_other(self, message: Message, context: MessageContext) -> None:
        """Ignore what else the clock's topic carries; only its watermarks tell the time."""

    def _read(self) -> BarSeries:
        options = self.options
        path = options.path or EURUSD_1H.path
        return read_ohlcv(path, symbol=options.symbol, interval=options.interval or None)

    def _due(self) -> list[Output]:
        outputs: list[Output] = []
        for number in self._schedule.due():
            bar = self._bars[number]
            outputs.append(
                Publication(
                    self.options.bars_topic,
                    to_message(bar, number),
                    key=bar.symbol,
                    subject=bar.symbol,
                    time_unix_nano=bar.close_time_unix_nano,
                    cause=NO_CAUSE,  # each bar begins a trace
                )
            )
            outputs.append(self._promise(bar.close_time_unix_nano))
        return outputs

    def _promise(self, time_unix_nano: int, *, end: bool = False) -> Publication:
        symbol = self.options.symbol
        return Publication(
            self.options.bars_topic,
            Watermark(stage=STAGE, symbol=symbol, time_unix_nano=time_unix_nano, end_of_stream=end),
            key=symbol,
            subject=symbol,
            time_unix_nano=time_unix_nano,
            cause=NO_CAUSE,
        )


def to_message(bar: FileBar, sequence: int) -> Bar:
    """Return a bar of a file as it goes over the bus."""
    return Bar(
        symbol=bar.symbol,
        interval=bar.interval,
        open_time_unix_nano=bar.open_time_unix_nano,
        close_time_unix_nano=bar.close_time_unix_nano,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        sequence=sequence,
    )
