import asyncio

import pytest

from bellwire.agents.bars import OhlcvFileError
from bellwire.agents.feed import BarFeed, BarSchedule
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark
from bellwire.trading.v1.order_pb2 import ExecutionReport
from bellwire.wire.settings import SettingsError

CSV = """time,open,high,low,close,volume
2024-01-01T00:00:00Z,1.0,1.2,0.9,1.1,10
2024-01-01T01:00:00Z,1.1,1.3,1.0,1.2,20
2024-01-01T02:00:00Z,1.2,1.4,1.1,1.30,30.5
"""
T0 = 1_704_067_200 * 10**9
HOUR = 3_600 * 10**9
CLOCK, STAGE = "executions.paper", "executions.accepted"


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "bars.csv"
    file.write_text(CSV)
    return str(file)


def feed(path, **settings):
    return AgentHarness(BarFeed({"path": path, "symbol": "X", **settings}))


def told(published):
    return [
        ("bar", item.payload.sequence)
        if isinstance(item.payload, Bar)
        else ("end" if item.payload.end_of_stream else "promise", item.payload.time_unix_nano)
        for item in published
    ]


async def test_the_first_bar_goes_out_at_the_start_and_each_next_one_when_the_clock_says(path):
    harness = feed(path)
    assert told(await harness.start()) == [("bar", 0), ("promise", T0 + HOUR)]
    close = T0 + HOUR
    for number in (1, 2):
        published = await harness.feed_watermark(CLOCK, STAGE, "X", close)
        close += HOUR
        assert told(published) == [("bar", number), ("promise", close)]
    assert told(await harness.feed_watermark(CLOCK, STAGE, "X", close)) == [("end", close)]
    assert await harness.feed_watermark(CLOCK, STAGE, "X", close, end=True) == []


async def test_a_bar_carries_the_digits_of_the_file_and_begins_a_trace_of_its_own(path):
    harness = feed(path, bars_topic="bars.x")
    await harness.start()
    await harness.feed_watermark(CLOCK, STAGE, "X", T0 + HOUR)
    bar, promise = await harness.feed_watermark(CLOCK, STAGE, "X", T0 + 2 * HOUR)
    assert bar.payload == Bar(
        symbol="X",
        interval="1h",
        open_time_unix_nano=T0 + 2 * HOUR,
        close_time_unix_nano=T0 + 3 * HOUR,
        open="1.2",
        high="1.4",
        low="1.1",
        close="1.30",
        volume="30.5",
        sequence=2,
    )
    for item in (bar, promise):
        assert (item.topic, item.message.key, item.message.subject) == ("bars.x", "X", "X")
        assert item.message.time_unix_nano == T0 + 3 * HOUR
        assert (item.message.causation_id, item.message.traceparent) == ("", "")


async def test_other_stages_symbols_and_messages_do_not_move_it(path):
    harness = feed(path)
    await harness.start()
    assert await harness.feed_watermark(CLOCK, "executions.matched", "X", T0 + HOUR) == []
    assert await harness.feed_watermark(CLOCK, STAGE, "Y", T0 + HOUR) == []
    assert await harness.feed(CLOCK, ExecutionReport(symbol="X")) == []
    assert harness.counters.skipped == 0  # it takes them knowingly, so nothing is logged


async def test_a_repeated_or_early_promise_sends_nothing_twice(path):
    harness = feed(path)
    await harness.start()
    assert await harness.feed_watermark(CLOCK, STAGE, "X", T0) == []
    assert len(await harness.feed_watermark(CLOCK, STAGE, "X", T0 + HOUR)) == 2
    assert await harness.feed_watermark(CLOCK, STAGE, "X", T0 + HOUR) == []


async def test_running_free_it_reads_its_own_promises_back(path):
    harness = feed(path, clock_topic="bars.1h", clock_stage="bars", ahead_bars_max=2)
    assert [kind for kind, _ in told(await harness.start())] == ["bar", "promise"] * 2
    assert told(await harness.feed_watermark("bars.1h", "bars", "X", T0 + HOUR))[0] == ("bar", 2)
    assert await harness.feed_watermark("bars.1h", "bars", "X", T0 + 2 * HOUR) == []
    ended = await harness.feed_watermark("bars.1h", "bars", "X", T0 + 3 * HOUR)
    assert told(ended) == [("end", T0 + 3 * HOUR)]


async def test_a_limit_ends_the_stream_early(path):
    harness = feed(path, bars_max=1)
    await harness.start()
    ended = await harness.feed_watermark(CLOCK, STAGE, "X", T0 + HOUR)
    assert told(ended) == [("end", T0 + HOUR)]


async def test_a_pace_spaces_bars_without_changing_them(path):
    harness = feed(path, pace_bars_per_second=1e6)
    await harness.start()
    task = asyncio.create_task(harness.feed_watermark(CLOCK, STAGE, "X", T0 + HOUR))
    await asyncio.sleep(0)
    assert not task.done()
    assert told(await task) == [("bar", 1), ("promise", T0 + 2 * HOUR)]


async def test_a_bad_file_stops_the_agent_before_it_is_ready(tmp_path):
    missing = tmp_path / "missing.csv"
    with pytest.raises(OhlcvFileError, match=r"missing\.csv"):
        await feed(str(missing)).start()


async def test_without_a_path_the_bundled_series_is_read():
    harness = AgentHarness(BarFeed())
    bar, promise = await harness.start()
    assert isinstance(bar.payload, Bar)
    assert (bar.payload.symbol, bar.payload.interval) == ("EURUSD", "1h")
    assert isinstance(promise.payload, Watermark)


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="ahead_bars_max"):
        BarFeed({"ahead_bars_max": 0})


def test_a_schedule_never_runs_further_ahead_than_allowed():
    schedule = BarSchedule([10, 20, 30, 40], ahead_bars_max=2)
    assert list(schedule.due()) == [0, 1]
    assert list(schedule.due()) == []
    schedule.reached(10)
    assert list(schedule.due()) == [2]
    schedule.reached(10**6)  # beyond what was sent: only what was sent counts
    assert list(schedule.due()) == [3]
    assert schedule.sent == 4
    assert not schedule.finish()
    schedule.reached(40)
    assert schedule.finish()
    assert not schedule.finish()


def test_an_empty_schedule_is_finished_at_once():
    schedule = BarSchedule([], ahead_bars_max=1)
    assert list(schedule.due()) == []
    assert schedule.finish()
